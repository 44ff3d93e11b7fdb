//! The rules of the strict reader, and the patterns of its timestamps.

use serde_json::json;

use super::{super::OptionsError, *};
use HiveType::{Bigint, Boolean, Date, Decimal, Double, Float, Int, String, Timestamp, Tinyint};

#[test]
fn it_takes_only_what_fits_by_itself() {
    let not_numeric = "Current token (VALUE_STRING) not numeric, can not use numeric value accessors \
                       (column `c`, int, value \"7\")";
    check(
        Int,
        &hive(&[]),
        &[
            ("7", "7"),
            ("1.9", "1"),
            ("-1.9", "-1"),
            ("\"7\"", not_numeric),
            ("true", "Current token (VALUE_TRUE) not numeric"),
            ("{}", "Current token (START_OBJECT) not numeric"),
            ("2147483648", "Numeric value (2147483648) out of range of int"),
            ("1e10", "Numeric value (1e10) out of range of int"),
        ],
    );
    check(Tinyint, &hive(&[]), &[("200", "Numeric value (200) out of range of Java byte")]);
    check(
        Bigint,
        &hive(&[]),
        &[("9223372036854775807", "9223372036854775807"), ("1e19", "out of range of long")],
    );
    for of in [Float, Double] {
        check(of, &hive(&[]), &[("1.5", "1.5"), ("\"1.5\"", "not numeric"), ("[]", "START_ARRAY")]);
    }
    check(
        Decimal { precision: 4, scale: 1 },
        &hive(&[]),
        &[("\"1.25\"", "\"1.3\""), ("2", "\"2.0\"")],
    );
    check(Boolean, &hive(&[]), &[("true", "true"), ("\"false\"", "false"), ("0", "not a boolean")]);
    check(Date, &hive(&[]), &[("\"2026-1-2\"", "20455"), ("\"x\"", "Date format must be")]);
    check(
        String,
        &hive(&[]),
        &[
            ("1.50", "\"1.50\""),
            ("true", "\"true\""),
            (
                "{\"a\":1}",
                "MalformedData: Data does not match the schema. One or more fields have incorrect \
                 format. Exception when validating field (root) (column `c`, string, value {",
            ),
            ("[1]", "One or more fields have incorrect format"),
        ],
    );
}

#[test]
fn containers_need_their_brackets() {
    check(
        array(Int),
        &hive(&[]),
        &[
            ("[1,null]", "[1,null]"),
            ("1", "java.io.IOException: Start of Array expected (column `c`, array<int>, value 1)"),
            ("{}", "Start of Array expected"),
            ("tru", "ParseError: Encountered malformed JSON. Unrecognized token at byte 5"),
        ],
    );
    check(
        structure(&[("a", Int)]),
        &hive(&[]),
        &[
            ("{\"A\":1}", "{\"a\":1}"),
            (
                "[1]",
                "java.io.IOException: Start of Object expected (column `c`, struct, value [1])",
            ),
            ("1", "Start of Object expected"),
        ],
    );
    check(
        map(String, Int),
        &hive(&[]),
        &[("{\"Key\":1,\"key\":2}", "{\"Key\":1,\"key\":2}"), ("[]", "Start of Object expected")],
    );
    check(map(Int, Int), &hive(&[]), &[("{\"1\":1}", "{\"1\":1}"), ("{\"x\":1}", "For input")]);
}

#[test]
fn timestamps_by_patterns() {
    let read = |formats: &[&str], json: &str| value(&Timestamp, &hive(formats), json);
    let at = 1_486_480_381_000_000_000_i64;
    for (format, json, nanos) in [
        ("millis", "1486480381123", at + 123_000_000),
        ("millis", "\"1486480381123.9\"", at + 123_000_000),
        ("millis", "-1", -1_000_000),
        ("yyyy-MM-dd'T'HH:mm:ss", "\"2017-02-07T15:13:01\"", at),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSZ", "\"2017-02-07T16:13:01.5+01:00\"", at + 500_000_000),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSSSSZZ", "\"2017-02-07T15:13:01.000001Z\"", at + 1000),
        ("yyyyMMddHHmmss", "\"20170207151301\"", at),
        ("yyyyMMddHHmmss", "20170207151301", at),
        ("yy/M/d H:m:s", "\"17/2/7 15:13:1\"", at),
        ("EEE, dd MMM yyyy HH:mm:ss Z", "\"Tue, 07 Feb 2017 08:13:01 -0700\"", at),
        ("EEEE MMMM d yyyy hh:mm:ss a", "\"Tuesday february 7 2017 03:13:01 pm\"", at),
        ("yyyy-D k:mm:ss", "\"2017-38 15:13:01\"", at),
        ("yyyy-D k:mm:ss", "\"2017-38 24:13:01\"", at - 15 * 3_600_000_000_000),
        ("hh 'o''clock' a", "\"12 o'clock AM\"", 0),
        ("H''mm", "\"1'30\"", 5_400_000_000_000),
        ("yyyy", "\"1971\"", 365 * 86_400_000_000_000),
        // What no pattern reads is read as without patterns.
        ("yyyy", "\"2017-2-7 15:13:1\"", at),
    ] {
        assert_eq!(read(&[format], json), Ok(json!(nanos)), "{json} by {format}");
    }
    assert_eq!(read(&["yyyy", "millis"], "1486480381123"), Ok(json!(at + 123_000_000)));
    for (format, json) in [
        ("yyyy-MM-dd", "\"2017-02-30\""),
        ("yyyy-MM-dd", "\"2017-02-07x\""),
        ("HH", "\"25\""),
        ("yyyy-D", "\"2017-366\""),
        ("yyyy-D", "\"2017-0\""),
        ("MMM", "\"Fex\""),
        ("Z", "\"+99\""),
        ("S", "\"\""),
        ("millis", "\"1.x\""),
        ("yyyy", "true"),
    ] {
        let message = read(&[format], json).unwrap_err();
        assert!(message.contains("Timestamp format must be"), "{json} by {format}: {message}");
    }
    for (format, json) in [("millis", "9999999999999999"), ("yyyyyyyyy", "\"999999999\"")] {
        let message = read(&[format], json).unwrap_err();
        assert!(message.contains("lies outside the years"), "{json} by {format}: {message}");
    }
    check(
        Timestamp,
        &hive(&[]),
        &[
            ("\" 2017-02-07 15:13:01.25 \"", "1486480381250000000"),
            ("\"2017-02-07T15:13:01Z\"", "Timestamp format must be"),
            ("1486480381", "Timestamp format must be"),
            ("[]", "One or more fields have incorrect format"),
        ],
    );
}

#[test]
fn patterns_that_are_not_understood_are_refused() {
    for (format, reason) in [
        ("yyyy-MM-dd z", "`z` is not supported"),
        ("xxxx-ww", "`xxxx` is not supported"),
        ("ZZZ", "`ZZZ` is not supported"),
        ("yyyy'T", "a quote is not closed"),
        ("", "the pattern is empty"),
    ] {
        let made = RowReader::new(&table(&[("c", Timestamp)]), &hive(&[format]), Unknown::Drop);
        let expected =
            OptionsError::TimestampFormat { format: format.into(), reason: reason.into() };
        assert_eq!(made.unwrap_err(), expected);
    }
}
