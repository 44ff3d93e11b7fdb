//! As whom others are asked: the `aws` section of the configuration, and what a part says itself.

use crate::{
    config::{AwsOptions, RoleArn},
    net::{
        aws::{Access, Role, StaticKeys},
        keys::{KeySource, SecretsManager},
    },
    units::Secret,
};

/// As whom others are asked, as far as a part does not say so itself.
pub(super) struct Identity<'a> {
    pub aws: &'a AwsOptions,
    /// Whether the stream is from the configuration file.
    pub from_file: bool,
}

impl Identity<'_> {
    /// Whether roles that a destination names are assumed.
    pub fn assumes(&self) -> bool {
        match self.aws.role_arn {
            RoleArn::Assume => true,
            RoleArn::Ignore => false,
            RoleArn::Auto => self.from_file || self.aws.endpoint.is_none(),
        }
    }

    pub fn access(&self, region: Option<&str>, role_arn: Option<&str>) -> Access {
        let environment =
            || ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|n| std::env::var(n).ok());
        let region = region.map(str::to_owned).or_else(|| self.aws.region.clone());
        Access {
            region: region.or_else(environment).unwrap_or_else(|| "us-east-1".into()),
            keys: self.aws.credentials.as_ref().map(|keys| StaticKeys {
                access_key_id: keys.access_key_id.clone(),
                secret_access_key: keys.secret_access_key.clone(),
                session_token: keys.session_token.clone(),
            }),
            role: role_arn
                .filter(|_| self.assumes())
                .map(|arn| Role { arn: arn.to_owned(), external_id: None }),
            sts_endpoint: self.aws.sts_endpoint.clone(),
        }
    }

    pub fn key(
        &self,
        given: &Option<Secret>,
        managed: &Option<SecretsManager>,
        role_arn: Option<&str>,
    ) -> Option<KeySource> {
        match managed {
            Some(managed) => {
                let access = self.access(None, role_arn);
                let mut managed = managed.clone();
                managed.role_arn = managed.role_arn.filter(|_| self.assumes());
                Some(KeySource::Managed(managed, access))
            }
            None => given.clone().map(KeySource::Given),
        }
    }
}
