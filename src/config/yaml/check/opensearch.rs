//! OpenSearch, Elasticsearch and collections of OpenSearch Serverless.

use super::{
    endpoint::{self, UrlRules},
    not_empty, secret,
};
use crate::{
    config::{
        OpenSearchDestination, SearchAuth,
        yaml::{Found, problem::join},
    },
    limits,
    partition::IndexRotation,
};

pub(super) fn destination(
    path: &str,
    kind: &str,
    search: &OpenSearchDestination,
    found: &mut Found,
) {
    let help = "write it like https://search.example:9200";
    let rules = UrlRules { plain_http: search.plain_http, query: false, help };
    endpoint::url(&join(path, "endpoint"), &search.endpoint, rules, found);
    let at = join(path, "index_name");
    if let Err(why) = index_name(&search.index_name) {
        let shown = found.places.shown(&at, &search.index_name);
        found.add(&at, format!("{shown} is no name of an index: {why}"), None);
    }
    type_name(path, search, found);
    one_index(path, search, found);
    if search.serverless && kind == "elasticsearch" {
        let help = Some("write opensearch instead of elasticsearch");
        found.add(&join(path, "serverless"), "collections are of OpenSearch", help);
    }
    auth(path, search, found);
}

/// What both servers refuse in a name (their documentation of creating an index), and Firehose's
/// length; the period of rotation follows.
fn index_name(name: &str) -> Result<(), String> {
    const FORBIDDEN: &str = "\\/*?\"<>| ,#:";
    let unfit = |c: char| FORBIDDEN.contains(c) || c.is_whitespace() || c.is_control();
    match name {
        "" => Err("it is empty".into()),
        "." | ".." => Err("it is reserved".into()),
        _ if name.chars().count() > limits::INDEX_NAME_CHARS_MAX => {
            Err(format!("it is longer than {} characters", limits::INDEX_NAME_CHARS_MAX))
        }
        _ if name.starts_with(['_', '-', '+']) => Err("it must not begin with _ - +".into()),
        _ if name.contains(unfit) => Err(format!("none of {FORBIDDEN} may stand in it")),
        _ if name.chars().any(char::is_uppercase) => Err("it must be in lower case".into()),
        _ => Ok(()),
    }
}

fn type_name(path: &str, search: &OpenSearchDestination, found: &mut Found) {
    let at = join(path, "type_name");
    let Some(name) = &search.type_name else { return };
    not_empty(&at, Some(name), found);
    if name.chars().count() > limits::TYPE_NAME_CHARS_MAX {
        let message = format!("must be at most {} characters", limits::TYPE_NAME_CHARS_MAX);
        found.add(&at, message, None);
    }
    if search.serverless || search.data_stream {
        let message =
            "is for Elasticsearch before 7, which knows neither collections nor data streams";
        found.add(&at, message, Some("leave it out"));
    }
}

/// Collections have no rotation (API reference: their destination has no such member), and data
/// streams rotate by themselves.
fn one_index(path: &str, search: &OpenSearchDestination, found: &mut Found) {
    if search.rotation() == IndexRotation::NoRotation {
        return;
    }
    let help = Some("leave it out, or write no_rotation");
    let at = join(path, "index_rotation");
    if search.serverless {
        found.add(&at, "cannot go with serverless: a collection's index stays the same", help);
    } else if search.data_stream {
        found.add(&at, "cannot go with data_stream: it begins new indexes by itself", help);
    }
}

fn auth(path: &str, search: &OpenSearchDestination, found: &mut Found) {
    let at = join(path, "auth");
    let who = search.who();
    if let SearchAuth::Basic { username, password } = &who {
        let at = join(&at, "basic");
        not_empty(&join(&at, "username"), Some(username), found);
        if username.contains(|c: char| c == ':' || c.is_control()) {
            let message = "must not hold a colon or line breaks: HTTP could not tell it from the \
                           password";
            found.add(&join(&at, "username"), message, None);
        }
        secret(&join(&at, "password"), password, found);
    }
    if who == SearchAuth::Aws {
        not_empty(&join(path, "region"), search.region.as_deref(), found);
        return;
    }
    if search.serverless {
        found.add(&at, "must be aws: collections take nothing but signed requests", None);
    }
    if found.places.is_broken(&at) {
        return;
    }
    for (key, given) in [("role_arn", &search.role_arn), ("region", &search.region)] {
        if given.is_some() {
            let help = Some("set auth: aws");
            found.add(&join(path, key), "has no effect where requests are not signed", help);
        }
    }
}
