use std::time::Duration;

use proptest::prelude::*;

use super::{KeyNaming, KeyOptions, Late, ObjectName, PrefixError, Setting, hive_values};
use crate::{
    fault::output_type,
    record::{Notes, Route},
};

/// 2026-07-13T14:05:12.345Z
const ARRIVAL_MS: i64 = 1_783_951_512_345;
const DAY_MS: i64 = 86_400_000;

fn options(prefix: &str) -> KeyOptions {
    KeyOptions {
        prefix: prefix.to_owned(),
        error_output_prefix: "e/!{firehose:error-output-type}/".to_owned(),
        dynamic_partitioning: prefix.contains("partitionKey"),
        ..KeyOptions::default()
    }
}

fn with_times(prefix: &str, late_prefix: Option<&str>) -> KeyOptions {
    let after = Duration::from_secs(3600);
    let late = late_prefix.map(|prefix| Late { after, prefix: prefix.to_owned() });
    KeyOptions { event_time: true, late, ..options(prefix) }
}

fn naming(options: &KeyOptions) -> KeyNaming {
    KeyNaming::parse(options).unwrap()
}

fn notes(query: &[(&str, &str)], lambda: &[(&str, &str)], event_ms: Option<i64>) -> Notes {
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|&(name, value)| (name.into(), value.to_owned())).collect()
    };
    let mut notes = Notes::default();
    let findings = notes.edit();
    findings.from_query = pairs(query);
    findings.from_lambda = pairs(lambda);
    findings.event_ms = event_ms;
    notes
}

/// What stands before the object's name.
fn prefix(naming: &KeyNaming, route: &Route) -> String {
    let name = ObjectName {
        stream: "s",
        version_id: 1,
        oldest_arrival_ms: ARRIVAL_MS,
        extension: "",
        uuid: uuid::Uuid::nil(),
    };
    let key = naming.key(&name, route).unwrap();
    let (prefix, rest) = key.rsplit_once("s-1-2026-07-13-").unwrap();
    assert!(rest.ends_with(&uuid::Uuid::nil().to_string()), "{rest}");
    prefix.to_owned()
}

fn evaluated(naming: &KeyNaming, notes: &Notes) -> String {
    prefix(naming, &naming.route(notes, ARRIVAL_MS).unwrap())
}

/// The message with which a record has no route.
fn failure(naming: &KeyNaming, notes: &Notes) -> String {
    let failure = naming.route(notes, ARRIVAL_MS).unwrap_err();
    assert_eq!(failure.output_type, output_type::METADATA_EXTRACTION_FAILED);
    assert_eq!(failure.cause.code, "DynamicPartitioning.MetadataExtractionFailed");
    failure.cause.message
}

#[test]
fn a_prefix_that_takes_nothing_has_one_route() {
    for prefix in ["", "logs/", "logs/!{timestamp:yyyy}/", "!{firehose:random-string}/"] {
        let naming = naming(&options(prefix));
        assert!(!naming.is_partitioned());
        let event = notes(&[("k", "v")], &[], Some(0));
        assert_eq!(naming.route(&event, ARRIVAL_MS), Ok(Route::Objects));
    }
}

#[test]
fn keys_of_both_namespaces_make_a_prefix() {
    let naming = naming(&options(
        "logs/!{timestamp:yyyy}/c=!{partitionKeyFromQuery:country}/!{partitionKeyFromLambda:app id}\
         !{partitionKeyFromQuery:country}/",
    ));
    assert!(naming.is_partitioned());
    assert_eq!(naming.query_keys(), ["country", "country"]);
    assert_eq!(naming.lambda_keys(), ["app id"]);
    let found =
        notes(&[("x", "1"), ("country", "de")], &[("country", "no"), ("app id", "7")], None);
    let route = naming.route(&found, ARRIVAL_MS).unwrap();
    assert_eq!(route, Route::Partition("de\u{1f}7\u{1f}de\u{1f}".into()));
    assert_eq!(prefix(&naming, &route), "logs/2026/c=de/7de/");
    let errors = Route::Errors("x-failed".into());
    assert_eq!(prefix(&naming, &errors), "e/x-failed/");
}

#[test]
fn a_key_that_is_missing_or_empty_is_the_records_fault() {
    let naming = naming(&options("!{partitionKeyFromQuery:a}/!{partitionKeyFromLambda:b}/"));
    let message = "partitionKeys values must not be null or empty";
    for found in [
        Notes::default(),
        notes(&[("a", "1")], &[], None),
        notes(&[("a", "1"), ("b", "2")], &[], None),
        notes(&[], &[("b", "2")], None),
        notes(&[("a", "")], &[("b", "2")], None),
    ] {
        assert_eq!(failure(&naming, &found), message);
    }
    assert_eq!(evaluated(&naming, &notes(&[("a", "1")], &[("b", "2")], None)), "1/2/");
}

#[test]
fn too_long_a_key_is_the_records_fault() {
    let naming = naming(&options("p/!{partitionKeyFromQuery:a}/"));
    let long = |text: &str, times| text.repeat(times);
    assert_eq!(evaluated(&naming, &notes(&[("a", &long("x", 509))], &[], None)).len(), 512);
    assert_eq!(
        failure(&naming, &notes(&[("a", &long("x", 510))], &[], None)),
        "the prefix of the record's partition has 513 characters, more than 512"
    );
    // Characters, not bytes; but the whole key is bounded in bytes.
    assert_eq!(evaluated(&naming, &notes(&[("a", &long("ü", 300))], &[], None)).len(), 603);
    let message = failure(&naming, &notes(&[("a", &long("\u{4e2d}", 500))], &[], None));
    assert!(message.contains("bytes, more than 1024"), "{message}");
    // A control character takes three characters.
    let message = failure(&naming, &notes(&[("a", &long("\n", 200))], &[], None));
    assert!(message.contains("has 603 characters"), "{message}");
}

#[test]
fn names_that_a_file_system_cannot_hold_are_the_records_fault() {
    let with = KeyOptions { name_bytes_max: Some(255), ..options("a=!{partitionKeyFromQuery:a}/") };
    let naming = naming(&with);
    assert_eq!(evaluated(&naming, &notes(&[("a", &"x".repeat(253))], &[], None)).len(), 256);
    assert_eq!(
        failure(&naming, &notes(&[("a", &"x".repeat(254))], &[], None)),
        "the record's partition has a folder whose name is 256 bytes long, more than 255"
    );
    let split = format!("{}/{}", "x".repeat(200), "y".repeat(200));
    assert_eq!(evaluated(&naming, &notes(&[("a", &split)], &[], None)).len(), 404);
}

#[test]
fn timestamps_are_those_of_the_records() {
    let naming = naming(&with_times("logs/!{timestamp:yyyy/MM/dd}/!{timestamp:HH}h/", None));
    assert!(naming.is_partitioned());
    let route = naming.route(&notes(&[], &[], Some(ARRIVAL_MS - DAY_MS)), ARRIVAL_MS).unwrap();
    assert_eq!(route, Route::Partition("2026/07/12\u{1f}14\u{1f}".into()));
    assert_eq!(prefix(&naming, &route), "logs/2026/07/12/14h/");
    // Without a time of its own, the arrival counts.
    assert_eq!(evaluated(&naming, &Notes::default()), "logs/2026/07/13/14h/");
    // What the service appends by itself counts, too.
    let naming = self::naming(&with_times("logs/", None));
    assert_eq!(evaluated(&naming, &notes(&[], &[], Some(0))), "logs/1970/01/01/00/");
    // In the zone of the destination, on the minute of its change.
    let zone = KeyOptions {
        custom_time_zone: Some("America/St_Johns".to_owned()),
        ..with_times("!{timestamp:MM-dd HH:mm xxx}/", None)
    };
    let naming = self::naming(&zone);
    for (ms, expected) in [
        // 2006-10-29: clocks went back at 00:01.
        (1_162_089_059_999, "10-29 00:00 -02:30/"),
        (1_162_089_060_000, "10-28 23:01 -03:30/"),
        (-3_000_000_000_000, "12-07 "),
    ] {
        let found = evaluated(&naming, &notes(&[], &[], Some(ms)));
        assert!(found.starts_with(expected), "{ms}: {found}");
    }
    let message = failure(&naming, &notes(&[], &[], Some(i64::MAX)));
    assert_eq!(message, "the record's time lies outside the calendar");
}

#[test]
fn timestamps_are_as_fine_as_their_pattern() {
    let naming = naming(&with_times("!{timestamp:mm}/!{timestamp:ss.SSS}/", None));
    for ms in [0, 1, 59_999, 60_000] {
        let expected = format!("{:02}/{:02}.{:03}/", ms / 60_000, ms / 1000 % 60, ms % 1000);
        assert_eq!(evaluated(&naming, &notes(&[], &[], Some(ms))), expected);
    }
}

#[test]
fn late_records_go_elsewhere() {
    let naming = naming(&with_times("!{timestamp:dd}/!{partitionKeyFromQuery:k}/", Some("late/")));
    let at = |behind_ms: i64| notes(&[("k", "v")], &[], Some(ARRIVAL_MS - behind_ms));
    assert_eq!(evaluated(&naming, &at(3_600_000)), "13/v/");
    assert_eq!(evaluated(&naming, &at(3_600_001)), "late/13/v/");
    assert_eq!(evaluated(&naming, &at(-DAY_MS)), "14/v/");
    let route = naming.route(&at(DAY_MS), ARRIVAL_MS).unwrap();
    assert_eq!(route, Route::Partition("\u{1e}12\u{1f}v\u{1f}".into()));
    // Even where the prefix takes nothing else.
    let naming = self::naming(&with_times("!{firehose:random-string}/", Some("late/")));
    assert_eq!(naming.route(&at(0), ARRIVAL_MS), Ok(Route::Objects));
    let route = naming.route(&at(DAY_MS), ARRIVAL_MS).unwrap();
    assert_eq!(route, Route::Partition("\u{1e}".into()));
    assert!(prefix(&naming, &route).starts_with("late/"));
}

#[test]
fn a_route_of_another_prefix_is_an_error() {
    let naming = naming(&options("!{partitionKeyFromQuery:a}/!{partitionKeyFromQuery:b}/"));
    let name = ObjectName {
        stream: "s",
        version_id: 1,
        oldest_arrival_ms: 0,
        extension: "",
        uuid: uuid::Uuid::nil(),
    };
    for route in ["", "x\u{1f}", "x\u{1f}y\u{1f}z\u{1f}", "\u{1e}x\u{1f}y\u{1f}", "x\u{1f}y"] {
        let key = naming.key(&name, &Route::Partition(route.into()));
        assert_eq!(key, Err(PrefixError::Route), "{route:?}");
    }
    assert_eq!(naming.object_key(&name), Err(PrefixError::Route));
}

#[test]
fn mistakes_of_partitions_are_found() {
    let dynamic = |prefix: &str| KeyOptions { dynamic_partitioning: true, ..options(prefix) };
    let no_errors =
        KeyOptions { error_output_prefix: String::new(), ..dynamic("!{partitionKeyFromQuery:k}/") };
    let of_arrival = KeyOptions { event_time: false, ..with_times("a/", Some("late/")) };
    let long = "x".repeat(500);
    for (options, setting, message) in [
        (
            dynamic("a/!{timestamp:yyyy}/"),
            Setting::Prefix,
            "S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic Partitioning is \
             enabled",
        ),
        (dynamic(""), Setting::Prefix, "S3 Prefix should contain Dynamic Partitioning namespaces"),
        (
            no_errors,
            Setting::ErrorOutputPrefix,
            "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions",
        ),
        (dynamic("!{partitionKeyFromQuery:}"), Setting::Prefix, "not of the form"),
        (
            KeyOptions {
                error_output_prefix: "!{partitionKeyFromQuery:k}/".to_owned(),
                ..dynamic("!{partitionKeyFromQuery:k}/")
            },
            Setting::ErrorOutputPrefix,
            "failed records have no partition keys",
        ),
        (
            KeyOptions { dynamic_partitioning: false, ..dynamic("!{partitionKeyFromLambda:k}/") },
            Setting::Prefix,
            "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic \
             Partitioning is enabled.",
        ),
        (dynamic("\u{1f}!{partitionKeyFromQuery:k}/"), Setting::Prefix, "has control characters"),
        (of_arrival, Setting::Late, "late records are told by event times, which are off"),
        (with_times("a/", Some("")), Setting::Late, "\"\" must be literal text"),
        (with_times("a/", Some("!{timestamp:yyyy}")), Setting::Late, "must be literal text"),
        (with_times("a/", Some("l\n")), Setting::Late, "must be literal text"),
        (with_times("a/", Some(&long)), Setting::Prefix, "characters after evaluation"),
        (
            with_times("!{timestamp:ppE}!{partitionKeyFromQuery:k}", None),
            Setting::Prefix,
            "cannot always be printed",
        ),
        (
            with_times(&format!("!{{timestamp:'{long}'}}{}/", &long[..20]), None),
            Setting::Prefix,
            "characters after evaluation",
        ),
    ] {
        let found = KeyNaming::parse(&options).unwrap_err();
        assert!(
            found.iter().any(|m| m.setting() == setting && m.to_string().contains(message)),
            "{options:?}: {found:?}"
        );
    }
}

/// Values that mean harm.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("/".to_owned()),
        Just(".".to_owned()),
        Just("..".to_owned()),
        Just("%2E".to_owned()),
        Just("%".to_owned()),
        Just("\u{1f}".to_owned()),
        Just("\u{1e}".to_owned()),
        "[\u{0}-\u{2f}\u{7f}-\u{9f}a-f0-2é\u{202e}]{1,3}",
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(part, 1..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_value_leaves_its_place(a in hostile(), b in hostile()) {
        for text in [
            "root/!{partitionKeyFromQuery:a}/!{partitionKeyFromLambda:b}/",
            "root/.!{partitionKeyFromQuery:a}!{partitionKeyFromLambda:b}./",
            "root/a=!{partitionKeyFromQuery:a}.!{partitionKeyFromLambda:b}",
        ] {
            let naming = naming(&options(text));
            let found = notes(&[("a", &a)], &[("b", &b)], None);
            let route = naming.route(&found, ARRIVAL_MS).unwrap();
            let prefix = prefix(&naming, &route);
            prop_assert!(prefix.starts_with("root/"), "{}", prefix);
            prop_assert!(!prefix.chars().any(char::is_control), "{:?}", prefix);
            let escapes = |name: &str| name == "." || name == "..";
            prop_assert!(!prefix.split('/').any(escapes), "{}", prefix);
            prop_assert!(!prefix.contains("//"), "{}", prefix);
            prop_assert_eq!(naming.route(&found, ARRIVAL_MS).unwrap(), route);
        }
    }

    #[test]
    fn different_values_have_different_routes(one in (hostile(), hostile()), two in (hostile(), hostile())) {
        let naming = naming(&options("!{partitionKeyFromQuery:a}/!{partitionKeyFromQuery:b}/"));
        let route = |(a, b): &(String, String)| {
            naming.route(&notes(&[("a", a), ("b", b)], &[], None), ARRIVAL_MS).unwrap()
        };
        prop_assert_eq!(route(&one) == route(&two), one == two);
    }

    #[test]
    fn values_come_back_from_the_key(a in hostile()) {
        prop_assume!(!a.contains('/'));
        let naming = naming(&options("x/a=!{partitionKeyFromQuery:a}/"));
        let key = evaluated(&naming, &notes(&[("a", &a)], &[], None));
        prop_assert_eq!(hive_values(&key), [("a".to_owned(), a)]);
    }

    #[test]
    fn remembered_timestamps_are_right(times in prop::collection::vec(-5_000_000_000_000i64..5_000_000_000_000, 1..20)) {
        let zone = KeyOptions {
            custom_time_zone: Some("Africa/Monrovia".to_owned()),
            ..with_times("!{timestamp:yyyy-MM-dd'T'HH:mm:ssxxx}/", None)
        };
        let fine = naming(&zone);
        let coarse = naming(&KeyOptions {
            prefix: "!{timestamp:yyyy-MM-dd'T'HH:mm}/".to_owned(),
            ..zone
        });
        for near in times.iter().flat_map(|&ms| [ms, ms + 1000, ms]) {
            let event = notes(&[], &[], Some(near));
            let (fine, coarse) = (evaluated(&fine, &event), evaluated(&coarse, &event));
            prop_assert_eq!(&fine[..16.min(fine.len())], &coarse[..coarse.len() - 1][..16]);
        }
    }
}
