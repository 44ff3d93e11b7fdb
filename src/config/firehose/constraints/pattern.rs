//! The patterns of the API's model. The service matches whole strings.

use std::sync::OnceLock;

use regex::Regex;

macro_rules! patterns {
    ($($(#[$doc:meta])* $name:ident = $printed:literal $(as $equivalent:literal)?,)+) => {
        /// A pattern a text must match as a whole.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Pattern { $($(#[$doc])* $name,)+ }

        impl Pattern {
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As it stands in error messages.
            pub fn printed(self) -> &'static str {
                match self { $(Self::$name => $printed,)+ }
            }

            /// What the `regex` crate can run: without look-around.
            fn equivalent(self) -> &'static str {
                match self { $(Self::$name => patterns!(@equivalent $printed $(, $equivalent)?),)+ }
            }
        }

        const COUNT: usize = [$(Pattern::$name,)+].len();
    };
    (@equivalent $printed:literal) => { $printed };
    (@equivalent $printed:literal, $equivalent:literal) => { $equivalent };
}

patterns! {
    StreamName = r"[a-zA-Z0-9_.-]+",
    VersionId = r"[0-9]+",
    DestinationId = r"[a-zA-Z0-9-]+",
    RoleArn = r"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+",
    BucketArn = r"arn:.*:s3:::[\w\.\-]{1,255}",
    KmsKeyArn = r"arn:.*:kms:[a-zA-Z0-9\-]+:\d{12}:key/[a-zA-Z_0-9+=,.@\-_/]+",
    KmsKeyOrAliasArn = r"arn:.*:kms:[a-zA-Z0-9\-]+:\d{12}:(key|alias)/[a-zA-Z_0-9+=,.@\-_/]+",
    KinesisStreamArn = r"arn:.*:kinesis:[a-zA-Z0-9\-]+:\d{12}:stream/[a-zA-Z0-9_.-]+",
    SecretArn = r"arn:.*:secretsmanager:[a-zA-Z0-9\-]+:\d{12}:secret:[a-zA-Z0-9\-/_+=.@!]+",
    DomainArn = r"arn:.*:es:[a-zA-Z0-9\-]+:\d{12}:domain/[a-z][-0-9a-z]{2,27}",
    CatalogArn = r"arn:.*:glue:.*:\d{12}:catalog(?:(/[a-z0-9_-]+){1,2})?",
    AnyArn = r"arn:.*",
    OneLine = r".*",
    LogGroup = r"[\.\-_/#A-Za-z0-9]*",
    LogStream = r"[^:*]*",
    NotBlank = r"^(?!\s*$).+" as r".*[^\s].*",
    NoWhiteSpace = r"^\S+$",
    /// Printed otherwise than it stands in the model.
    FileExtension = r"^(|\.[0-9a-z!\-_.*'()]+)$",
    TimeZone = r"^$|[a-zA-Z/_]+",
    JdbcUrl = r"jdbc:(redshift|postgresql)://((?!-)[A-Za-z0-9-]{1,63}(?<!-)\.)+(redshift(-serverless)?)\.([a-zA-Z0-9\.\-]+):\d{1,5}/[a-zA-Z0-9_$-]+"
        as r"jdbc:(redshift|postgresql)://([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+(redshift(-serverless)?)\.([a-zA-Z0-9\.\-]+):\d{1,5}/[a-zA-Z0-9_$-]+",
    HttpsEndpoint = r"https:.*",
    HttpsUrl = r"https://.*",
    /// The part after `aws:` is checked by hand.
    TagKey = r"^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$" as r"[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*",
    TagValue = r"^[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$",
    TopicName = r"[a-zA-Z0-9\\._\\-]+",
    SnowflakeAccount = r".+?\.snowflakecomputing\.com",
    SnowflakePrivateKey = r"^(?:[A-Za-z0-9+\/]{4})*(?:[A-Za-z0-9+\/]{2}==|[A-Za-z0-9+\/]{3}=)?$",
    VpcEndpointService = r"([a-zA-Z0-9\-\_]+\.){2,3}vpce\.[a-zA-Z0-9\-]*\.vpce-svc\-[a-zA-Z0-9\-]{17}$",
    IcebergName = r"[a-zA-Z0-9\.\_]+",
    Warehouse = r"s3:\/\/.*",
    DatabaseName = r"[\u0001-\uFFFF]*" as r"[\x{1}-\x{FFFF}]*",
}

static COMPILED: [OnceLock<Regex>; COUNT] = [const { OnceLock::new() }; COUNT];

impl Pattern {
    /// Whether the whole text matches.
    pub fn matches(self, text: &str) -> bool {
        if self == Self::TagKey && text.starts_with("aws:") {
            return false;
        }
        COMPILED[self as usize].get_or_init(|| self.compile()).is_match(text)
    }

    fn compile(self) -> Regex {
        // The service's `\d`, `\w` and `\s` know ASCII only.
        let ascii = self
            .equivalent()
            .replace(r"\d", "[0-9]")
            .replace(r"\w", "[0-9A-Za-z_]")
            .replace(r"\s", r"[ \t\n\x0B\f\r]")
            .replace(r"\S", r"[^ \t\n\x0B\f\r]");
        Regex::new(&format!(r"\A(?:{ascii})\z")).expect("a test compiles every pattern")
    }
}
