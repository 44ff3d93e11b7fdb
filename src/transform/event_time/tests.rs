use bytes::Bytes;
use proptest::prelude::*;

use super::{EventTime, Missing, Options};
use crate::{
    fault::output_type,
    record::{Notes, Position, Record},
    seams::{Transform, Verdict},
};

fn options(path: &str, format: &str) -> Options {
    let (path, format) = (path.to_owned(), format.to_owned());
    Options { path, format, zone: None, missing: Missing::Fail }
}

fn apply(options: &Options, text: &str) -> Verdict {
    let record = Record {
        position: Position::START,
        arrival_ms: 0,
        data: Bytes::copy_from_slice(text.as_bytes()),
        notes: Notes::default(),
    };
    let transform = EventTime::new(options).unwrap();
    let records = [record];
    futures::FutureExt::now_or_never(transform.apply(&records)).unwrap().remove(0)
}

/// The time found, or the message of the failure.
fn event(options: &Options, text: &str) -> Result<i64, String> {
    match apply(options, text) {
        Verdict::Emit(piece) => {
            assert_eq!(piece.data, text);
            Ok(piece.notes.get().and_then(|findings| findings.event_ms).unwrap())
        }
        Verdict::Fail(failure) => {
            assert_eq!(failure.output_type, output_type::METADATA_EXTRACTION_FAILED);
            assert_eq!(failure.cause.code, "DynamicPartitioning.MetadataExtractionFailed");
            Err(failure.cause.message)
        }
        other => panic!("{other:?}"),
    }
}

/// 2026-07-13T14:05:12Z
const SECONDS: i64 = 1_783_951_512;
const MS: i64 = SECONDS * 1000;

#[test]
fn times_are_read_by_their_format() {
    let day = MS - 14 * 3_600_000 - 5 * 60_000 - 12_000;
    for (format, value, expected) in [
        ("iso8601", "\"2026-07-13T14:05:12Z\"", MS),
        ("iso8601", "\"2026-07-13T16:05:12.345678+02:00\"", MS + 345),
        ("iso8601", "\"2026-07-13T16:05:12,345+0200\"", MS + 345),
        ("iso8601", "\"2026-07-13T16:05:12+02\"", MS),
        ("iso8601", "\" 2026-07-13 14:05:12 \"", MS),
        ("iso8601", "\"2026-07-13t14:05:12.000z\"", MS),
        ("iso8601", "\"2026-07-13T14:05\"", MS - 12_000),
        ("iso8601", "\"20260713T140512Z\"", MS),
        ("iso8601", "\"2026-07-13\"", day),
        ("auto", "\"20260713\"", day),
        ("auto", "\"2026-07-13T14:05:12Z\"", MS),
        ("auto", "1783951512", MS),
        ("auto", "1783951512.5", MS + 500),
        ("auto", "1783951512345", MS + 345),
        ("auto", "1783951512345999", MS + 345),
        ("auto", "\"1783951512345999999\"", MS + 345),
        ("auto", "-1", -1000),
        ("unix", "1783951512", MS),
        ("unix", "\"1783951512\"", MS),
        ("unix", "1783951512.999999999", MS + 999),
        ("unix", "-0.5", -500),
        ("unix", "1.783951512e9", MS),
        ("unix", "0", 0),
        ("unix_ms", "1783951512345", MS + 345),
        ("unix_ms", "1783951512345.9", MS + 345),
        ("unix_us", "1783951512345678", MS + 345),
        ("unix_us", "-1", -1),
        ("unix_ns", "1783951512345678901", MS + 345),
        ("unix_ns", "\"1783951512345678901\"", MS + 345),
        ("yyyy-MM-dd HH:mm:ss", "\"2026-07-13 14:05:12\"", MS),
        ("yyyyMMddHHmmssSSS", "\"20260713140512345\"", MS + 345),
        ("yyyyMMddHHmmss", "20260713140512", MS),
        ("dd/MMM/yyyy:HH:mm:ss Z", "\"13/Jul/2026:16:05:12 +0200\"", MS),
        ("EEE, d MMMM yy h:mm:ss a", "\"Mon, 13 july 26 2:05:12 PM\"", MS),
        ("yyyy-MM-dd'T'HH:mm[:ss][.SSS][XXX]", "\"2026-07-13T16:05:12+02:00\"", MS),
        ("yyyy-MM-dd'T'HH:mm[:ss][.SSS][XXX]", "\"2026-07-13T14:05\"", MS - 12_000),
        ("yyyy-MM-dd'T'HH:mm[:ss[.SSS]]", "\"2026-07-13T14:05:12.345\"", MS + 345),
        ("yyyy.DDD k:m:s", "\"2026.194 14:5:12\"", MS),
        ("yyyy-MM-dd HH:mm:ss VV", "\"2026-07-13 16:05:12 Europe/Berlin\"", MS),
        ("yyyy-MM-dd HH:mm:ss z", "\"2026-07-13 14:05:12 UTC\"", MS),
        ("yyyy-MM-dd A", "\"2026-07-13 50712000\"", MS),
        ("'at ''o''clock' yyyy-MM-dd", "\"at 'o'clock 2026-07-13\"", day),
        ("yyyy/M/d", "\"2026/7/13\"", day),
        ("uuuu-MM", "\"2026-07\"", day - 12 * 86_400_000),
    ] {
        let found =
            event(&options(".ts", format), &format!("{{\"a\":[1],\"ts\":{value},\"b\":2}}"));
        assert_eq!(found, Ok(expected), "{format} {value}");
    }
}

#[test]
fn what_is_no_time_fails() {
    for (format, value) in [
        ("iso8601", "\"yesterday\""),
        ("iso8601", "1783951512"),
        ("iso8601", "\"2026-13-01T00:00:00Z\""),
        ("iso8601", "\"-000001-01-01T00:00:00Z\""),
        ("iso8601", "\"\""),
        ("unix", "\"x\""),
        ("unix", "true"),
        ("unix", "[1]"),
        ("unix", "1783951512345678"),
        ("unix", "1e300"),
        ("unix", "99999999999999999999999999999999999999999999"),
        ("auto", "1e30"),
        ("auto", "{}"),
        ("yyyy-MM-dd", "\"2026-02-30\""),
        ("yyyy-MM-dd", "\"2026-02-03 \\u00e9\""),
        ("yyyy-MM-dd", "\"2026-2-03\""),
        ("yyyy-DDD", "\"2026-366\""),
        ("yyyy-MM-dd Z", "\"2026-02-03 +1900\""),
        ("yyyy-MM-dd VV", "\"2026-02-03 Mars/Olympus\""),
        ("yyyy-MM-dd a", "\"2026-02-03 é\""),
    ] {
        let found = event(&options(".ts", format), &format!("{{\"ts\":{value}}}"));
        let message = "the value at .ts is no time of the configured format";
        assert_eq!(found, Err(message.to_owned()), "{format} {value}");
    }
    for (text, message) in [
        ("{}", "the record has no time at .ts.at"),
        ("{\"ts\":{\"at\":null}}", "the record has no time at .ts.at"),
        ("{\"ts\":5}", "the record has no time at .ts.at"),
        ("[]", "the record has no time at .ts.at"),
        ("x,", "Non JSON record provided"),
        ("", "Non JSON record provided"),
    ] {
        assert_eq!(event(&options(".ts.at", "auto"), text), Err(message.to_owned()), "{text}");
        let lenient = Options { missing: Missing::Arrival, ..options(".ts.at", "auto") };
        let Verdict::Emit(piece) = apply(&lenient, text) else { panic!("{text}") };
        assert_eq!(piece.notes, Notes::default());
    }
}

#[test]
fn times_without_an_offset_are_of_the_zone() {
    for (format, value, expected) in [
        ("auto", "2026-07-13 16:05:12", MS),
        ("yyyy-MM-dd HH:mm:ss", "2026-07-13 16:05:12", MS),
        ("auto", "2026-07-13T14:05:12Z", MS),
        // Twice on that night; the first counts.
        ("auto", "2026-10-25T02:30:00", 1_792_888_200_000),
        // Never on that night.
        ("auto", "2026-03-29T02:30:00", 1_774_747_800_000),
    ] {
        let berlin = Options { zone: Some("Europe/Berlin".to_owned()), ..options(".t", format) };
        assert_eq!(event(&berlin, &format!("{{\"t\":\"{value}\"}}")), Ok(expected), "{value}");
    }
}

#[test]
fn mistakes_are_found_before_the_first_record() {
    for (path, format, zone, message) in [
        ("ts", "auto", None, "path \"ts\" is no plain jq path"),
        (".", "auto", None, "is no plain jq path"),
        (".a[]", "auto", None, "is no plain jq path"),
        (".a | .b", "auto", None, "is no plain jq path"),
        (".a[", "auto", None, "path: jq: expected closing bracket at line 1, column 4"),
        (".a", "yyyy-MM-dd B", None, "the pattern letter B is not supported"),
        (".a", "iso", None, "the pattern letter i is not supported"),
        (".a", "yyyyy", None, "too many pattern letters y"),
        (".a", "HH:mm", None, "has no year"),
        (".a", "yyyy dd", None, "a day without its month"),
        (".a", "yyyy 'x", None, "a quote without its end"),
        (".a", "yyyy]", None, "a bracket without its other"),
        (".a", "auto", Some("Mars"), "zone \"Mars\" is not an IANA time zone"),
    ] {
        let zone = zone.map(str::to_owned);
        let found = EventTime::new(&Options { zone, ..options(path, format) }).unwrap_err();
        assert!(found.to_string().contains(message), "{path} {format}: {found}");
    }
}

proptest! {
    #[test]
    fn no_value_and_no_pattern_is_trouble(
        value in "[0-9a-zA-Z :.,+\\-/TZé]{0,30}",
        pattern in "([yMdHhmsSXZVzEakDAn]{1,4}|['\\[\\]:/ -]){0,12}",
    ) {
        let text = format!("{{\"t\":\"{value}\"}}");
        for format in ["auto", "iso8601", "unix", "unix_ns", pattern.as_str()] {
            if let Ok(transform) = EventTime::new(&options(".t", format)) {
                let found = transform.event_ms(text.as_bytes(), &mut Vec::new());
                if let Ok(ms) = found {
                    prop_assert!((-62_135_596_800_000..=253_402_300_799_999).contains(&ms));
                }
            }
        }
    }

    #[test]
    fn what_java_prints_is_read_again(ms in 0i64..253_402_300_799_999) {
        let local = jiff::Timestamp::from_millisecond(ms).unwrap();
        let text = format!("{{\"t\":\"{}\"}}", local.strftime("%Y/%j %I:%M:%S.%3f %p +00:00"));
        let found = event(&options(".t", "yyyy/DDD hh:mm:ss.SSS a xxx"), &text);
        prop_assert_eq!(found, Ok(ms));
    }
}
