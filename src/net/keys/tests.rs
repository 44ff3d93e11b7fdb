//! Against a double that proves signatures.

use serde_json::{Value, json};

use super::*;
use crate::{
    env::ManualClock,
    fault::Cause,
    limits::{SECRET_AGE_MAX, SECRET_ASK_INTERVAL},
    net::{
        aws_double::{AwsDouble, Call, Reply},
        glue::tests::access,
    },
};

const ARN: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:datadog-AbCdEf";

fn secret(double: &AwsDouble) -> SecretsManager {
    SecretsManager {
        secret_arn: ARN.into(),
        role_arn: None,
        region: None,
        endpoint: Some(double.url.clone()),
    }
}

fn key(double: &AwsDouble, clock: &Arc<ManualClock>) -> Key {
    let source = KeySource::Managed(secret(double), access());
    Key::by_clock(source, "api_key", clock.clone()).unwrap()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(1_700_000_000_000))
}

async fn manager(script: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> AwsDouble {
    AwsDouble::start(Some("secretsmanager"), script).await
}

fn holding(text: impl Into<String>) -> Reply {
    Reply::json(json!({"ARN": ARN, "Name": "datadog", "SecretString": text.into()}))
}

fn api_key(key: &str) -> Reply {
    holding(json!({"api_key": key, "other": 7}).to_string())
}

#[tokio::test]
async fn a_given_key_is_read_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let source = KeySource::Given(Secret::File { file: file.clone() });
    let key = Key::new(source, "api_key").unwrap();
    assert!(matches!(key.get().await, Err(Fault::Halt { .. })));
    for text in ["first", "second"] {
        std::fs::write(&file, format!("{text}\n")).unwrap();
        assert_eq!(key.get().await, Ok(text.into()));
        key.refused(text);
    }
}

#[tokio::test]
async fn a_managed_key_is_asked_for_where_its_arn_says_and_kept_for_an_hour() {
    let double = manager(|call| api_key(&format!("hush-{}", call.number))).await;
    let clock = clock();
    let key = key(&double, &clock);
    for (wait, expected) in [
        (0, "hush-0"),
        (SECRET_AGE_MAX.as_secs() - 1, "hush-0"),
        (1, "hush-1"),
        (SECRET_AGE_MAX.as_secs() - 1, "hush-1"),
    ] {
        clock.advance(std::time::Duration::from_secs(wait));
        assert_eq!(key.get().await, Ok(expected.into()));
    }
    let calls = double.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].json(), json!({"SecretId": ARN}));
    assert_eq!(calls[0].header("x-amz-target"), "secretsmanager.GetSecretValue");
    assert_eq!(calls[0].header("content-type"), "application/x-amz-json-1.1");
    let scope = "/eu-central-1/secretsmanager/aws4_request";
    assert!(calls[0].header("authorization").contains(scope));
    assert_eq!(double.refused(), Vec::<String>::new());
}

#[tokio::test]
async fn a_region_that_is_given_comes_first_and_a_name_has_the_destinations() {
    let double = manager(|_| api_key("hush")).await;
    for (secret, region) in [
        (SecretsManager { region: Some("us-west-2".into()), ..secret(&double) }, "us-west-2"),
        (SecretsManager { secret_arn: "datadog".into(), ..secret(&double) }, "eu-west-1"),
    ] {
        let key = Key::new(KeySource::Managed(secret, access()), "api_key").unwrap();
        assert_eq!(key.get().await, Ok("hush".into()));
        let scope = format!("/{region}/secretsmanager/aws4_request");
        assert!(double.calls().last().unwrap().header("authorization").contains(&scope));
    }
}

#[tokio::test]
async fn a_role_of_the_secrets_own_is_assumed() {
    let role = "arn:aws:iam::123456789012:role/reader";
    let sts = AwsDouble::start(None, |_| Reply::new(403, "no")).await;
    let double = manager(|_| api_key("hush")).await;
    let secret = SecretsManager { role_arn: Some(role.into()), ..secret(&double) };
    let access = Access { sts_endpoint: Some(sts.url.clone()), ..access() };
    let key = Key::new(KeySource::Managed(secret, access), "api_key").unwrap();
    assert!(matches!(key.get().await, Err(Fault::Halt { .. })));
    let question = String::from_utf8(sts.calls()[0].body.to_vec()).unwrap();
    assert!(question.contains("Action=AssumeRole") && question.contains("role%2Freader"));
    assert_eq!(double.calls().len(), 0);
}

#[tokio::test]
async fn a_refused_key_is_asked_for_again_but_not_in_a_storm() {
    let double = manager(|call| api_key(if call.number < 3 { "old" } else { "new" })).await;
    let clock = clock();
    let key = key(&double, &clock);
    assert_eq!(key.get().await, Ok("old".into()));
    key.refused("some other");
    clock.advance(SECRET_ASK_INTERVAL);
    assert_eq!(key.get().await, Ok("old".into()));
    assert_eq!(double.calls().len(), 1);
    for asked in [2, 3] {
        for _ in 0..10 {
            key.refused("old");
            assert_eq!(key.get().await, Ok("old".into()));
        }
        assert_eq!(double.calls().len(), asked, "once, and then it waits");
        clock.advance(SECRET_ASK_INTERVAL);
    }
    assert_eq!(key.get().await, Ok("new".into()));
    key.refused("old");
    clock.advance(SECRET_ASK_INTERVAL);
    assert_eq!(key.get().await, Ok("new".into()), "a late refusal of the old key");
    assert_eq!(double.calls().len(), 4);
}

#[tokio::test]
async fn an_old_key_is_used_while_there_is_no_new_one() {
    let double = manager(|call| match call.number {
        0 => api_key("old"),
        1 => Reply::fault(500, "InternalServiceError"),
        2 => Reply::fault(400, "AccessDeniedException"),
        _ => api_key("new"),
    })
    .await;
    let clock = clock();
    let key = key(&double, &clock);
    assert_eq!(key.get().await, Ok("old".into()));
    clock.advance(SECRET_AGE_MAX);
    for expected in ["old", "old", "new"] {
        assert_eq!(key.get().await, Ok(expected.into()));
        assert_eq!(key.get().await, Ok(expected.into()));
        clock.advance(SECRET_ASK_INTERVAL);
    }
    assert_eq!(double.calls().len(), 4);
}

#[tokio::test]
async fn one_asks_for_all() {
    let (ask, asked) = tokio::sync::watch::channel(false);
    let double = AwsDouble::waiting(Some("secretsmanager"), move |_| {
        let mut asked = asked.clone();
        async move {
            asked.wait_for(|asked| *asked).await.unwrap();
            api_key("hush")
        }
    })
    .await;
    let clock = clock();
    let key = key(&double, &clock);
    let many = futures::future::join_all((0..20).map(|_| key.get()));
    let release = async {
        while double.calls().is_empty() {
            tokio::task::yield_now().await;
        }
        ask.send(true).unwrap();
    };
    let (keys, ()) = tokio::join!(many, release);
    assert!(keys.into_iter().all(|key| key == Ok("hush".into())));
    assert_eq!(double.calls().len(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_secret_is_said_without_its_value() {
    for (text, why) in [
        (json!("hunter2"), "it is no JSON object"),
        (json!("{\"api_key\": \"hunter2"), "it is no JSON object"),
        (json!("[\"hunter2\"]"), "it is no JSON object"),
        (json!("{\"key\": \"hunter2\"}"), "it has no such member"),
        (json!("{\"api_key\": \" \"}"), "the member is empty"),
        (json!("{\"api_key\": [\"hunter2\"]}"), "the member is no text"),
        (Value::Null, "it holds no text"),
    ] {
        let double = manager(move |_| Reply::json(json!({"SecretString": text}))).await;
        let clock = clock();
        let key = key(&double, &clock);
        let fault = key.get().await.unwrap_err();
        let message =
            format!("secret {ARN}: {why}: a JSON object with the text \"api_key\" is expected");
        assert_eq!(fault, Fault::halt("Standpipe.KeyNotRead", message));
        assert_eq!(key.get().await, Err(fault), "for some seconds the same");
        assert_eq!(double.calls().len(), 1);
        assert!(!format!("{key:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn faults_pass_or_wait_for_somebody() {
    for (status, error, passes) in [
        (400, "ResourceNotFoundException", false),
        (400, "AccessDeniedException", false),
        (400, "InvalidRequestException", false),
        (400, "DecryptionFailure", false),
        (400, "UnrecognizedClientException", false),
        (400, "ThrottlingException", true),
        (500, "InternalServiceError", true),
        (503, "Unheard", true),
        (429, "Unheard", true),
        (418, "Unheard", false),
    ] {
        let double = manager(move |_| Reply::fault(status, error)).await;
        let clock = clock();
        let fault = key(&double, &clock).get().await.unwrap_err();
        let cause = Cause::new("Standpipe.KeyNotRead", format!("secret {ARN}: {error}: it is so"));
        assert_eq!(*fault.cause(), cause);
        assert_eq!(matches!(fault, Fault::Retry { .. }), passes, "{error}");
    }
    for (reply, passes) in [(Reply::cut(), true), (Reply::new(200, "hello"), true)] {
        let double = manager(move |_| reply.clone()).await;
        let clock = clock();
        let fault = key(&double, &clock).get().await.unwrap_err();
        assert_eq!(matches!(fault, Fault::Retry { .. }), passes, "{fault}");
    }
}
