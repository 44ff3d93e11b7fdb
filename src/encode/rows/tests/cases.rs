//! The rules of the lenient reader, one by one.

use serde_json::json;

use super::*;
use HiveType::{
    Bigint, Binary, Boolean, Char, Date, Decimal, Double, Float, Int, Smallint, String, Timestamp,
    Tinyint, Varchar,
};

#[test]
fn whole_numbers() {
    check(
        Int,
        &openx(),
        &[
            ("7", "7"),
            ("-0", "0"),
            ("-2147483648", "-2147483648"),
            ("\"7\"", "7"),
            ("\"+7\"", "7"),
            ("\"0x1F\"", "31"),
            ("\"\\u0037\"", "7"),
            ("null", "null"),
            (
                "\"oops\"",
                "MalformedData: Data does not match the schema. For input string: \"oops\" \
                 (column `c`, int, value \"oops\")",
            ),
            ("2147483648", "For input string: \"2147483648\" (column `c`, int"),
            ("\"2147483648\"", "For input string"),
            ("99999999999999999999", "For input string"),
            ("1.0", "For input string: \"1.0\""),
            ("1e3", "For input string: \"1e3\""),
            ("true", "For input string: \"true\""),
            ("\"\"", "For input string: \"\""),
            ("\" 7\"", "For input string: \" 7\""),
            (
                "{\"a\": 1}",
                "START_OBJECT where a single value is expected (column `c`, int, value {",
            ),
            ("[1]", "START_ARRAY where"),
        ],
    );
    check(Tinyint, &openx(), &[("127", "127"), ("128", "For input"), ("-129", "For input")]);
    check(Smallint, &openx(), &[("-32768", "-32768"), ("32768", "For input string")]);
    check(
        Bigint,
        &openx(),
        &[
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("9223372036854775808", "For input string: \"9223372036854775808\""),
            ("\"123456789012345678\"", "123456789012345678"),
        ],
    );
}

#[test]
fn floating_numbers() {
    check(
        Double,
        &openx(),
        &[
            ("1", "1.0"),
            ("-1.5", "-1.5"),
            ("0.1", "0.1"),
            ("51.50853", "51.50853"),
            ("123456789012345678", "123456789012345680.0"),
            ("1.7976931348623157e308", "1.7976931348623157e308"),
            ("4.9e-324", "5e-324"),
            ("1e400", "\"inf\""),
            ("\"1.5\"", "1.5"),
            ("\" 1.5 \"", "1.5"),
            ("\"1.5d\"", "1.5"),
            ("\"1E2F\"", "100.0"),
            ("\"NaN\"", "\"NaN\""),
            ("\"-Infinity\"", "\"-inf\""),
            ("\"nan\"", "For input string: \"nan\""),
            ("\"inf\"", "For input string: \"inf\""),
            ("\"1,5\"", "For input string: \"1,5\""),
            ("\"\"", "For input string"),
            ("true", "For input string: \"true\""),
        ],
    );
    check(Float, &openx(), &[("0.5", "0.5"), ("\"0.25\"", "0.25"), ("\"x\"", "For input")]);
}

#[test]
fn decimals_round_half_up_and_overflow_fails() {
    check(
        Decimal { precision: 5, scale: 2 },
        &openx(),
        &[
            ("1", "\"1.00\""),
            ("1.5", "\"1.50\""),
            ("1.005", "\"1.01\""),
            ("-1.005", "\"-1.01\""),
            ("1.00499999", "\"1.00\""),
            ("0.005", "\"0.01\""),
            ("0.0049", "\"0.00\""),
            ("0.5e-2", "\"0.01\""),
            ("12e1", "\"120.00\""),
            ("\"+9.99\"", "\"9.99\""),
            ("\".5\"", "\"0.50\""),
            ("\"5.\"", "\"5.00\""),
            ("999.99", "\"999.99\""),
            ("999.995", "999.995 has too many digits for decimal(5,2) (column `c`, decimal(5,2),"),
            ("1000", "has too many digits"),
            ("1e2147483647", "has too many digits"),
            ("1e-2147483648", "\"0.00\""),
            ("1e99999999999", "has too many digits"),
            ("\"1e\"", "For input string"),
            ("\".\"", "For input string"),
            ("\"1 \"", "For input string"),
            ("true", "For input string"),
        ],
    );
    let nines = "9".repeat(38);
    check(
        Decimal { precision: 38, scale: 0 },
        &openx(),
        &[
            (&nines, &format!("\"{nines}\"")),
            (&format!("{nines}.5"), "has too many digits"),
            (&format!("{}1", "0.".to_owned() + &"0".repeat(200)), "\"0\""),
        ],
    );
    check(Decimal { precision: 38, scale: 38 }, &openx(), &[("1", "has too many digits")]);
}

#[test]
fn booleans_and_their_strings() {
    check(
        Boolean,
        &openx(),
        &[
            ("true", "true"),
            ("false", "false"),
            ("\"TRUE\"", "true"),
            ("\"False\"", "false"),
            ("1", "is not a boolean (column `c`, boolean, value 1)"),
            ("\"yes\"", "is not a boolean"),
        ],
    );
}

#[test]
fn anything_is_text() {
    check(
        String,
        &openx(),
        &[
            ("\"a\\u00e9\\n\\ud83d\\ude00\"", "\"aé\\n😀\""),
            ("\"\\ud83d\\u0041\\ude00\"", "\"\u{FFFD}A\u{FFFD}\""),
            ("1.50", "\"1.50\""),
            ("-0E+2", "\"-0E+2\""),
            ("true", "\"true\""),
            ("null", "null"),
            (
                "{ \"Key\" : [ 1 , { \"Ä\\u0042\\\"\" : null } ] , \"b\" : { } }",
                "\"{\\\"key\\\":[1,{\\\"äb\\\\\\\"\\\":null}],\\\"b\\\":{}}\"",
            ),
            ("[ \"A B\", [ ], 1.0 ]", "\"[\\\"A B\\\",[],1.0]\""),
            ("[1,]", "ParseError: Encountered malformed JSON. Expected a value at byte 8"),
        ],
    );
    check(String, &exact_case(), &[("{\"Key\": 1}", "\"{\\\"Key\\\":1}\"")]);
    check(Binary, &openx(), &[("\"hé\"", "\"68c3a9\""), ("1", "\"31\"")]);
    for of in [Char(3), Varchar(3)] {
        check(
            of,
            &openx(),
            &[
                ("\"aé😀x\"", "\"aé😀\""),
                ("\"ab\"", "\"ab\""),
                ("12345", "\"123\""),
                ("\"\"", "\"\""),
            ],
        );
    }
}

#[test]
fn dates() {
    check(
        Date,
        &openx(),
        &[
            ("\"1970-01-01\"", "0"),
            ("\"2026-1-2\"", "20455"),
            ("\"2000-02-29\"", "11016"),
            ("\"1969-12-31\"", "-1"),
            ("\"2023-02-29\"", "Date format must be yyyy-[m]m-[d]d (column `c`, date"),
            ("\"2023-13-01\"", "Date format"),
            ("\"2023-00-01\"", "Date format"),
            ("\"23-01-01\"", "Date format"),
            ("\"2023-01-01 \"", "Date format"),
            ("20230101", "Date format"),
        ],
    );
}

#[test]
fn timestamps() {
    check(
        Timestamp,
        &openx(),
        &[
            ("\"2017-02-07T15:13:01Z\"", "1486480381000000000"),
            ("\"2017-02-07T15:13:01.39256Z\"", "1486480381392560000"),
            ("\"2017-02-07T15:13:01.123456789Z\"", "1486480381123456789"),
            ("\"2017-02-07 15:13:01\"", "1486480381000000000"),
            ("\"2017-2-7 5:3:1.5\"", "1486443781500000000"),
            ("1486480381", "1486480381000000000"),
            ("-1", "-1000000000"),
            ("1486480381123", "1486480381123000000"),
            ("1486480381.392", "1486480381392000000"),
            ("1.486480381e9", "1486480381000000000"),
            ("\"1486480381\"", "1486480381000000000"),
            ("\"1486480381123\"", "1486480381123000000"),
            ("\"1486480381.5\"", "1486480381500000000"),
            ("1000000000000", "1000000000000000000"),
            // Beyond what fits, and the form by the letter.
            ("999999999999", "999999999999 lies outside the years 1677 to 2262"),
            ("\"2262-04-12T00:00:00Z\"", "lies outside the years"),
            ("99999999999999999999", "lies outside the years"),
            ("1e30", "lies outside the years"),
            ("\"2017-02-07T15:13:01\"", "Timestamp format must be yyyy-mm-dd hh:mm:ss[.fffffffff]"),
            ("\"2017-02-07T15:13:01+01:00\"", "Timestamp format must be"),
            ("\"2017-2-07T15:13:01Z\"", "Timestamp format must be"),
            ("\"2017-02-07T5:13:01Z\"", "Timestamp format must be"),
            ("\"2017-02-07t15:13:01Z\"", "Timestamp format must be"),
            ("\"2017-02-07 15:13:01Z\"", "Timestamp format must be"),
            ("\"2017-02-07 15:13:01.\"", "Timestamp format must be"),
            ("\"2017-02-07 15:13:01.1234567890\"", "Timestamp format must be"),
            ("\"2017-02-30 15:13:01\"", "Timestamp format must be"),
            ("\"2017-02-07 24:13:01\"", "Timestamp format must be"),
            ("\"2017-02-07\"", "For input string: \"2017-02-07\""),
            ("\"\"", "For input string: \"\""),
            ("true", "For input string: \"true\""),
        ],
    );
}

#[test]
fn lists_take_single_values() {
    let ints = array(Int);
    check(
        ints.clone(),
        &openx(),
        &[
            ("[1,null,\"3\"]", "[1,null,3]"),
            ("[]", "[]"),
            ("5", "[5]"),
            ("null", "null"),
            ("{\"a\":1}", "START_OBJECT where a single value is expected (column `c[]`, int"),
            ("[1,\"x\"]", "For input string: \"x\" (column `c[]`, int, value \"x\")"),
            ("[1", "ParseError: Encountered malformed JSON. Expected ',' or ']' at byte 7"),
        ],
    );
    check(array(ints), &openx(), &[("[1,[2,3],null]", "[[1],[2,3],null]"), ("9", "[[9]]")]);
    check(array(String), &openx(), &[("{\"a\":1}", "[\"{\\\"a\\\":1}\"]")]);
    check(array(structure(&[("a", Int)])), &openx(), &[("{\"a\":1}", "[{\"a\":1}]")]);
}

#[test]
fn structs_by_name_and_by_position() {
    check(
        structure(&[("a", Int), ("b", String)]),
        &openx(),
        &[
            ("{\"b\":\"x\",\"a\":1,\"z\":[{}]}", "{\"a\":1,\"b\":\"x\"}"),
            ("{\"A\":1,\"B\":null}", "{\"a\":1,\"b\":null}"),
            ("{}", "{\"a\":null,\"b\":null}"),
            ("[1,\"x\",{\"extra\":1}]", "{\"a\":1,\"b\":\"x\"}"),
            ("[1]", "{\"a\":1,\"b\":null}"),
            ("[]", "{\"a\":null,\"b\":null}"),
            ("null", "null"),
            ("{\"a\":1,\"a\":2}", "{\"a\":2,\"b\":null}"),
            ("{\"a\":1,\"A\":null}", "{\"a\":null,\"b\":null}"),
            ("{\"a\":\"x\",\"a\":2}", "For input string: \"x\" (column `c.a`, int"),
            ("[\"x\"]", "For input string: \"x\" (column `c.a`, int"),
        ],
    );
    for (json, class, shown) in [
        ("42", "java.lang.Long", "42"),
        ("4.5", "java.lang.Double", "4.5"),
        ("\"t\\n\"", "java.lang.String", "t\n"),
        ("true", "java.lang.Boolean", "true"),
    ] {
        let message = value(&structure(&[("a", Int)]), &openx(), json).unwrap_err();
        assert_eq!(
            message,
            format!(
                "MalformedData: Data does not match the schema. \
                 Data is not JSONObject  but {class} with value {shown}"
            )
        );
    }
}

#[test]
fn maps_need_objects() {
    let numbers = map(String, Int);
    check(
        numbers.clone(),
        &openx(),
        &[
            ("{\"Key\":1,\"ÄÖ\":null}", "{\"key\":1,\"äö\":null}"),
            ("{}", "{}"),
            ("null", "null"),
            ("{\"a\":1,\"b\":2,\"A\":3}", "{\"a\":3,\"b\":2}"),
            ("[]", "A map needs an object (column `c`, map<string,int>, value [])"),
            ("5", "A map needs an object"),
            ("{\"a\":\"x\"}", "For input string: \"x\" (column `c{}`, int"),
            ("{\"a\" 1}", "ParseError: Encountered malformed JSON. Expected ':' at byte 10"),
        ],
    );
    check(numbers, &exact_case(), &[("{\"A\":1,\"a\":2}", "{\"A\":1,\"a\":2}")]);
    check(
        map(Int, array(String)),
        &openx(),
        &[
            ("{\"1\":[\"a\"],\"2\":[\"b\",\"c\"],\"01\":[]}", "{\"1\":[],\"2\":[\"b\",\"c\"]}"),
            ("{\"x\":[]}", "For input string: \"x\" (column `c{}`, int, value x)"),
        ],
    );
}

#[test]
fn repeated_keys_of_maps_leave_no_trace_below() {
    let of =
        map(String, structure(&[("l", array(map(String, Int))), ("t", String), ("n", Boolean)]));
    let entry = |n: usize| format!("{{\"l\":[{{\"x\":{n}}},{{}},null],\"t\":\"t{n}\"}}");
    let many: Vec<_> = (0..40).map(|n| format!("\"k{}\":{}", n % 23, entry(n))).collect();
    let got = value(&of, &openx(), &format!("{{{}}}", many.join(","))).unwrap();
    let members = got.as_object().unwrap();
    assert_eq!(members.len(), 23);
    for (key, got) in members {
        let key: usize = key[1..].parse().unwrap();
        let last = if key + 23 < 40 { key + 23 } else { key };
        let expected = json!({"l": [{"x": last}, {}, null], "t": format!("t{last}"), "n": null});
        assert_eq!(*got, expected, "k{key}");
    }
}

#[test]
fn keys_are_matched_as_the_options_say() {
    let schema =
        table(&[("a_b", Int), ("ts", Int), ("s", structure(&[("ts", Int), ("x_y", Int)]))]);
    let row = |options: OpenxJson, record: &str| {
        rows(&schema, &Deserializer::OpenxJson(options), record).unwrap()[0].clone()
    };
    let options = OpenxJson {
        convert_dots_in_json_keys_to_underscores: true,
        column_to_json_key_mappings: [("ts".into(), "Timestamp".into())].into(),
        ..OpenxJson::default()
    };
    assert_eq!(
        row(options.clone(), r#"{"A.b":1,"timestamp":2,"ts":9,"s":{"TIMESTAMP":3,"x.Y":4}}"#),
        json!({"a_b": 1, "ts": 2, "s": {"ts": 3, "x_y": 4}})
    );
    assert_eq!(
        row(
            OpenxJson { case_insensitive: false, ..options },
            r#"{"A.b":1,"a.b":5,"timestamp":2,"Timestamp":6,"s":{"x.Y":4}}"#
        ),
        json!({"a_b": 5, "ts": 6, "s": {"ts": null, "x_y": null}})
    );
    assert_eq!(
        row(OpenxJson::default(), r#"{"a.b":1,"\u0061_B":2,"Ts":3}"#),
        json!({"a_b": 2, "ts": 3, "s": null})
    );
}
