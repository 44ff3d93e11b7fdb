use super::{KeyNaming, KeyOptions, ObjectName, Place, PrefixError};

/// 2026-07-13T14:05:12.345Z
const ARRIVAL_MS: i64 = 1_783_951_512_345;
const NAME: &str = "mystream-1-2026-07-13-14-05-12-67e55044-10b1-426f-9247-bb680e5fe0c8";
const DAY: &str = "2026/07/13/14/";

fn options(prefix: &str, error_output_prefix: &str) -> KeyOptions {
    KeyOptions {
        prefix: prefix.to_owned(),
        error_output_prefix: error_output_prefix.to_owned(),
        ..KeyOptions::default()
    }
}

fn object(extension: &str) -> ObjectName<'_> {
    ObjectName {
        stream: "mystream",
        version_id: 1,
        oldest_arrival_ms: ARRIVAL_MS,
        extension,
        uuid: uuid::Uuid::from_u128(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8),
    }
}

fn object_key(options: &KeyOptions) -> String {
    KeyNaming::parse(options).unwrap().object_key(&object("")).unwrap()
}

fn error_key(options: &KeyOptions) -> String {
    KeyNaming::parse(options).unwrap().error_key(&object(".gz"), "processing-failed").unwrap()
}

fn mistakes(options: &KeyOptions) -> Vec<PrefixError> {
    KeyNaming::parse(options).unwrap_err()
}

#[test]
fn a_prefix_is_evaluated_as_firehose_does() {
    let errors = "e/!{firehose:error-output-type}/";
    for (prefix, expected) in [
        // Without expressions the time is appended, and no slash.
        ("", "2026/07/13/14/"),
        ("legacy", "legacy2026/07/13/14/"),
        ("legacy/", "legacy/2026/07/13/14/"),
        ("/lead/", "/lead/2026/07/13/14/"),
        ("{year}/$1/", "{year}/$1/2026/07/13/14/"),
        ("a!b/", "a!b/2026/07/13/14/"),
        // With expressions nothing is.
        ("!{timestamp:yyyy/MM/dd}", "2026/07/13"),
        ("myPrefix/year=!{timestamp:yyyy}/month=!{timestamp:MM}/", "myPrefix/year=2026/month=07/"),
        ("x/!{timestamp:'year='yyyy'/month='MM'/'}y/", "x/year=2026/month=07/y/"),
        ("clicks/dt=!{timestamp:yyyy-MM-dd}/{x}/", "clicks/dt=2026-07-13/{x}/"),
        ("fixed/!{timestamp:''}", "fixed/'"),
    ] {
        assert_eq!(object_key(&options(prefix, errors)), format!("{expected}{NAME}"), "{prefix}");
    }
}

#[test]
fn an_error_prefix_is_evaluated_as_firehose_does() {
    for (prefix, error_prefix, expected) in [
        ("", "", format!("processing-failed/{DAY}")),
        ("legacy/", "", format!("legacy/processing-failed/{DAY}")),
        ("legacy", "", format!("legacyprocessing-failed/{DAY}")),
        ("p/", "retries/", format!("retries/processing-failed/{DAY}")),
        (
            "p/",
            "myFirehoseFailures/!{firehose:error-output-type}/",
            "myFirehoseFailures/processing-failed/".to_owned(),
        ),
        (
            "!{timestamp:yyyy}/",
            "f/!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd}/",
            "f/processing-failed/2026/07/13/".to_owned(),
        ),
        ("!{timestamp:yyyy}/", "failed/", format!("failed/processing-failed/{DAY}")),
    ] {
        let key = error_key(&options(prefix, error_prefix));
        assert_eq!(key, format!("{expected}{NAME}"), "{prefix} {error_prefix}");
    }
}

#[test]
fn random_strings_differ_at_every_place() {
    let errors = "!{firehose:random-string}/!{firehose:error-output-type}/";
    let options = options("!{firehose:random-string}/!{firehose:random-string}/", errors);
    let (one, two) = (object_key(&options), object_key(&options));
    let parts: Vec<&str> = one.split('/').chain(two.split('/')).collect();
    let [a, b, name, c, d, _] = parts[..] else { panic!("{one} {two}") };
    for random in [a, b, c, d] {
        assert_eq!(random.len(), 11, "{random}");
        assert!(random.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{random}");
    }
    let distinct = std::collections::HashSet::from([a, b, c, d]);
    assert_eq!(distinct.len(), 4);
    assert_eq!(name, NAME);
    let error = error_key(&options);
    assert_eq!(&error[11..], format!("/processing-failed/{NAME}"));
}

#[test]
fn the_time_zone_counts_for_prefix_and_name() {
    let mut options = options("", "");
    options.custom_time_zone = Some("Asia/Tokyo".to_owned());
    let key = object_key(&options);
    assert!(key.starts_with("2026/07/13/23/mystream-1-2026-07-13-23-05-12-"), "{key}");
    let key = error_key(&options);
    assert!(key.starts_with("processing-failed/2026/07/13/23/mystream-1-2026-07-13-23-"), "{key}");
    options.custom_time_zone = Some(String::new());
    assert_eq!(object_key(&options), format!("{DAY}{NAME}"));
    options.custom_time_zone = Some("EST".to_owned());
    let message = mistakes(&options)[0].to_string();
    assert!(
        message.contains("the supported IANA time zone formats are non-3-letter identifiers"),
        "{message}"
    );
}

#[test]
fn a_file_extension_replaces_the_computed_one() {
    for (given, expected) in [
        (None, ".gz"),
        (Some(""), ".gz"),
        (Some(".json.gz"), ".json.gz"),
        (Some(".a-_!*'()"), ".a-_!*'()"),
    ] {
        let options =
            KeyOptions { file_extension: given.map(str::to_owned), ..KeyOptions::default() };
        let naming = KeyNaming::parse(&options).unwrap();
        let key = naming.object_key(&object(".gz")).unwrap();
        assert_eq!(key, format!("{DAY}{NAME}{expected}"));
        // Error objects never have one.
        let key = naming.error_key(&object(".gz"), "splunk-failed").unwrap();
        assert_eq!(key, format!("splunk-failed/{DAY}{NAME}"));
    }
    let long = format!(".{}", "x".repeat(128));
    for bad in ["json", ".", ".JSON", ".a/b", ".a b", ".é", long.as_str()] {
        let options = KeyOptions { file_extension: Some(bad.to_owned()), ..KeyOptions::default() };
        assert_eq!(mistakes(&options), [PrefixError::FileExtension(bad.to_owned())]);
    }
}

#[test]
fn every_mistake_is_found_and_says_what_to_do() {
    let fine = "e/!{firehose:error-output-type}/";
    for (prefix, error_prefix, part) in [
        ("!{timestamp:yyyy", fine, "expression without its end: !{timestamp:yyyy; close it"),
        ("a!{", fine, "expression without its end"),
        ("!{timestamp:!{x:y}}", fine, "an expression inside an expression"),
        ("!{timestamp}", fine, "not of the form !{namespace:value}"),
        ("!{timestamp:}", fine, "not of the form !{namespace:value}"),
        ("!{}", fine, "not of the form !{namespace:value}"),
        ("!{Timestamp:yyyy}", fine, "unknown namespace Timestamp"),
        ("!{firehose:uuid}", fine, "unknown expression !{firehose:uuid}"),
        ("!{firehose:error-output-type}/", fine, "only failed records have"),
        (
            "!{partitionKeyFromQuery:k}/",
            fine,
            "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic \
             Partitioning is enabled.",
        ),
        ("!{partitionKeyFromLambda:k}/", fine, "when Dynamic Partitioning is enabled."),
        ("p", "!{partitionKeyFromLambda:k}/!{firehose:error-output-type}", "no partition keys"),
        ("p", "e/!{timestamp:yyyy}/", "but not !{firehose:error-output-type}; add it"),
        (
            "!{timestamp:yyyy}",
            "",
            "Ths supplied prefix(es) do not satisfy the following constraint: ErrorOutputPrefix \
             cannot be null or empty when Prefix contains expressions",
        ),
        ("!{timestamp:yyyy/b}", fine, "Unknown pattern letter: b; put literal text into single"),
        ("!{timestamp:'x}", fine, "incomplete string literal: 'x"),
        ("!{timestamp:ppE}", fine, "Cannot print as output of 3 characters exceeds pad width of 2"),
        ("!{timestamp:pppppppMMMM}", fine, "pad it wider"),
    ] {
        let found = mistakes(&options(prefix, error_prefix));
        assert_eq!(found.len(), 1, "{prefix} {error_prefix}: {found:?}");
        let message = found[0].to_string();
        assert!(message.contains(part), "{prefix} {error_prefix}: {message}");
    }
}

#[test]
fn mistakes_are_reported_together() {
    let found = mistakes(&KeyOptions {
        prefix: "!{x:y}!{timestamp:b}".to_owned(),
        error_output_prefix: "!{timestamp:yyyy}".to_owned(),
        file_extension: Some("json".to_owned()),
        custom_time_zone: Some("Mars/Olympus".to_owned()),
        ..KeyOptions::default()
    });
    assert_eq!(found.len(), 5, "{found:?}");
}

#[test]
fn lengths_are_checked_before_the_first_object() {
    let place = Place::Prefix;
    let configured = mistakes(&options(&"x".repeat(1025), ""));
    assert_eq!(configured, [PrefixError::Configured { place, chars: 1025 }]);
    let evaluated = mistakes(&options(&"x".repeat(499), "e/"));
    assert_eq!(evaluated, [PrefixError::Evaluated { place, chars: 513 }]);
    assert_eq!(object_key(&options(&"x".repeat(498), "e/")).len(), 512 + NAME.len());
    // 512 characters, but more bytes than a key may have.
    let key = mistakes(&options(&"\u{4e2d}".repeat(400), "e/"));
    assert!(matches!(key[..], [PrefixError::Key { place: Place::Prefix, .. }]), "{key:?}");
}

#[test]
fn an_arrival_outside_the_calendar_is_an_error() {
    let naming = KeyNaming::parse(&KeyOptions::default()).unwrap();
    let name = ObjectName { oldest_arrival_ms: i64::MAX, ..object("") };
    assert_eq!(naming.object_key(&name), Err(PrefixError::Arrival(i64::MAX)));
}
