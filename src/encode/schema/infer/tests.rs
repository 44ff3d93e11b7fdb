use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::encode::rows::{Deserializer, HiveJson, OpenxJson};

fn lenient() -> Inference {
    Inference::new(Names::new(&Deserializer::default(), None), Vec::new(), true)
}

fn strict() -> Inference {
    let input = Deserializer::HiveJson(HiveJson::default());
    Inference::new(Names::new(&input, None), Vec::new(), false)
}

fn observed(inference: &Inference, records: &[&str]) -> Observed {
    let mut all = Observed::default();
    for record in records {
        all.merge(inference.observe(record.as_bytes()).unwrap_or_else(|| panic!("{record}")));
    }
    all
}

/// `name type, …` of the columns.
fn shown(schema: &TableSchema) -> String {
    let columns = schema.columns.iter().map(|Column { name, of }| format!("{name} {of}"));
    columns.collect::<Vec<_>>().join(", ")
}

fn first(records: &[&str]) -> String {
    let inference = lenient();
    let schema = inference.widen(&inference.base(), &observed(&inference, records));
    shown(&schema.expect("a first schema is always new"))
}

fn widened(inference: &Inference, old: &str, records: &[&str]) -> Option<String> {
    let old = TableSchema::from_ddl(old).unwrap();
    inference.widen(&old, &observed(inference, records)).as_ref().map(shown)
}

#[test]
fn values_become_types() {
    for (records, columns) in [
        (&[r#"{"a":1,"b":1.5,"c":true,"d":"x"}"#][..], "a bigint, b double, c boolean, d string"),
        (&[r#"{"a":1}"#, r#"{"a":2.0}"#], "a double"),
        (&[r#"{"a":1}"#, r#"{"a":true}"#], "a string"),
        (&[r#"{"a":1}"#, r#"{"a":"1"}"#], "a string"),
        (&[r#"{"a":"2026-01-01T00:00:00Z","b":"7"}"#], "a string, b string"),
        (&[r#"{"a":9223372036854775807,"b":9223372036854775808}"#], "a bigint, b string"),
        (&[r#"{"a":1e3,"b":123456789012345678901}"#], "a double, b string"),
        (&[r#"{"a":9007199254740992}"#, r#"{"a":-0.5}"#], "a double"),
        (&[r#"{"a":9007199254740993}"#, r#"{"a":-0.5}"#], "a string"),
        (&[r#"{"a":-9007199254740993}"#, r#"{"a":1}"#], "a bigint"),
        (&[r#"{"a":null,"b":1}"#, r#"{"a":false}"#], "a boolean, b bigint"),
        (&[r#"{"a":null,"b":1,"c":[],"d":{},"e":[null],"f":{"g":null}}"#], "b bigint"),
        (&[r#"{"a":{"b":1}}"#, r#"{"a":{"c":[1,2.5]}}"#], "a struct<b:bigint,c:array<double>>"),
        (&[r#"{"a":[{"b":1},{"b":"x","c":null},{"d":[]}]}"#], "a array<struct<b:string>>"),
        (&[r#"{"a":{"b":1}}"#, r#"{"a":[1]}"#], "a string"),
        (&[r#"{"a":1}{"B":2}  {"c":3}"#], "a bigint, b bigint, c bigint"),
        (&[r#"{"Aa":1,"aA":"x","b":{"X":1,"x":1.5}}"#], "Aa"),
    ] {
        let found = first(records);
        if columns == "Aa" {
            assert_eq!(found, "aa string, b struct<x:double>");
        } else {
            assert_eq!(found, columns, "{records:?}");
        }
    }
}

#[test]
fn without_any_type_unknown_ones_become_text() {
    assert_eq!(
        first(&[r#"{"a":null,"b":[],"c":{},"d":{"e":null},"f":[{}]}"#]),
        "a string, b array<string>, c map<string,string>, d struct<e:string>, \
         f array<map<string,string>>"
    );
    let inference = lenient();
    assert_eq!(inference.widen(&inference.base(), &observed(&inference, &["{}"])), None);
}

#[test]
fn what_is_no_object_is_not_observed() {
    for record in ["", " ", "[1]", "1", "{", "{} x", "{\"a\":1}]", "{\"a\":\"\u{1}\"}", "{},{}"] {
        assert!(lenient().observe(record.as_bytes()).is_none(), "{record}");
    }
    assert!(lenient().observe(b"{\"a\":\"\xff\"}").is_none());
}

#[test]
fn what_the_readers_take_is_observed_to_its_end() {
    for (record, columns) in [
        (r#"{"a":"\ud83d","b":1}"#, "a string, b bigint"),
        (
            r#"{"x":["\udc00"],"b":{"c":"\ud800x","d":1}}"#,
            "x array<string>, b struct<c:string,d:bigint>",
        ),
        (r#"{"\ud83d":1,"b":1}"#, "\u{fffd} bigint, b bigint"),
        (r#"{"a":1e400,"b":-1E+999}{"c":true}"#, "a string, b string, c boolean"),
    ] {
        assert_eq!(first(&[record]), columns, "{record}");
    }
    let inference = lenient();
    assert_eq!(widened(&inference, "a bigint", &[r#"{"a":"\u0031"}"#]), None);
    let long = format!(r#"{{"a":"{}"}}"#, "\\u0031".repeat(30));
    assert_eq!(widened(&inference, "a bigint", &[&long]).as_deref(), Some("a string"));
}

#[test]
fn many_distinct_members_are_a_map() {
    let object = |range: std::ops::Range<usize>, value: &str| {
        let members: Vec<String> = range.map(|n| format!("\"user-{n}\":{value}")).collect();
        format!("{{\"a\":{{{}}}}}", members.join(","))
    };
    assert!(first(&[&object(0..200, "1")]).starts_with("a struct<`user-0`:bigint,"));
    assert_eq!(first(&[&object(0..201, "1")]), "a map<string,bigint>");
    let apart = [object(0..150, "1"), object(100..250, "1.5")];
    assert_eq!(first(&[&apart[0], &apart[1]]), "a map<string,double>");
    // Also when the first of them have been written as a struct.
    let inference = lenient();
    let old = first(&[&apart[0]]);
    let wider = widened(&inference, &old, &[&apart[1]]);
    assert_eq!(wider.as_deref(), Some("a map<string,string>"), "no bigint becomes a double");
    assert_eq!(widened(&inference, "a map<string,double>", &[r#"{"a":{"b":2}}"#]), None);
    assert_eq!(
        widened(&inference, "a map<string,double>", &[r#"{"a":{"b":[]}}"#]).as_deref(),
        Some("a map<string,string>")
    );
}

#[test]
fn a_schema_grows_at_its_end_and_is_only_widened() {
    for (old, record, new) in [
        ("a bigint, b string", r#"{"c":1,"b":"x"}"#, Some("a bigint, b string, c bigint")),
        ("a bigint", r#"{"a":null}"#, None),
        ("a bigint", r#"{"a":1.5}"#, Some("a string")),
        ("a double", r#"{"a":1}"#, None),
        ("a double", r#"{"a":9007199254740992}"#, None),
        ("a double", r#"{"a":9007199254740993}"#, Some("a string")),
        ("a double", r#"{"a":"9007199254740993"}"#, Some("a string")),
        ("a double", r#"{"a":18446744073709551615}"#, Some("a string")),
        ("a double", r#"{"a":1e400}"#, Some("a string")),
        ("a bigint", r#"{"a":"9007199254740993"}"#, None),
        ("a array<bigint>", r#"{"a":[0.5]}"#, Some("a array<string>")),
        ("a bigint", r#"{"a":18446744073709551615}"#, Some("a string")),
        ("a bigint", r#"{"a":"x"}"#, Some("a string")),
        ("a string", r#"{"a":{"b":1}}"#, None),
        ("a struct<b:bigint>", r#"{"a":{"c":true}}"#, Some("a struct<b:bigint,c:boolean>")),
        ("a struct<b:bigint>", r#"{"a":1}"#, Some("a string")),
        ("a array<struct<b:bigint>>", r#"{"a":[{"b":1.5}]}"#, Some("a array<struct<b:string>>")),
        ("a timestamp, b decimal(5,2), c int", r#"{"a":true,"b":[],"c":"x"}"#, None),
        (
            "a struct<t:timestamp>",
            r#"{"a":{"t":"x","u":1}}"#,
            Some("a struct<t:timestamp,u:bigint>"),
        ),
    ] {
        assert_eq!(widened(&lenient(), old, &[record]).as_deref(), new, "{old} with {record}");
    }
}

#[test]
fn what_the_lenient_reader_turns_into_the_type_widens_nothing() {
    for (old, record, by_strict) in [
        ("a bigint", r#"{"a":"-7"}"#, "a string"),
        ("a double", r#"{"a":"1.5"}"#, "a string"),
        ("a double", r#"{"a":"15"}"#, "a string"),
        ("a boolean", r#"{"a":"TRUE"}"#, "a string"),
        ("a array<bigint>", r#"{"a":"7"}"#, "a string"),
        ("a array<struct<b:bigint>>", r#"{"a":{"b":1}}"#, "a string"),
        ("a map<string,bigint>", r#"{"a":{"b":"1"}}"#, "a map<string,string>"),
        ("a struct<b:bigint>", r#"{"a":{"b":"1"}}"#, "a struct<b:string>"),
    ] {
        assert_eq!(widened(&lenient(), old, &[record]), None, "{old} with {record}");
        assert_eq!(widened(&strict(), old, &[record]).as_deref(), Some(by_strict), "{record}");
    }
    assert_eq!(
        widened(&lenient(), "a array<bigint>", &[r#"{"a":1.5}"#]).as_deref(),
        Some("a array<string>")
    );
}

#[test]
fn given_columns_keep_their_types() {
    let given = vec![
        Column::parse("id", "decimal(20,0)").unwrap(),
        Column::parse("At", "struct<t:bigint>").unwrap(),
    ];
    let inference = Inference { given, ..lenient() };
    let record = r#"{"x":1,"at":{"t":"x","u":1},"id":"seven"}"#;
    let schema = inference.widen(&inference.base(), &observed(&inference, &[record])).unwrap();
    assert_eq!(shown(&schema), "id decimal(20,0), At struct<t:bigint>, x bigint");
    let kept = TableSchema::from_ddl("x bigint, ID string").unwrap();
    assert_eq!(shown(&inference.adopt(&kept)), "x bigint, id decimal(20,0), At struct<t:bigint>");
}

#[test]
fn names_are_those_the_reader_looks_up() {
    let mappings = [("ts".to_owned(), "Timestamp".to_owned())].into();
    let options = OpenxJson {
        convert_dots_in_json_keys_to_underscores: true,
        column_to_json_key_mappings: mappings,
        ..OpenxJson::default()
    };
    let names = Names::new(&Deserializer::OpenxJson(options), Some("_rest"));
    let inference = Inference { names, ..lenient() };
    let record = r#"{"timeStamp":1,"ts":"not read","A.b":{"C.D":1},"_rest":1,"":1," ":2}"#;
    let schema = inference.widen(&inference.base(), &observed(&inference, &[record])).unwrap();
    assert_eq!(shown(&schema), "ts bigint, a_b struct<c_d:bigint>");

    let options = OpenxJson { case_insensitive: false, ..OpenxJson::default() };
    let names = Names::new(&Deserializer::OpenxJson(options), None);
    let inference = Inference { names, ..lenient() };
    let seen = observed(&inference, &[r#"{"Aa":1,"aA":2,"b.c":3}"#]);
    let schema = inference.widen(&inference.base(), &seen).unwrap();
    assert_eq!(shown(&schema), "Aa bigint, b.c bigint", "Hive's names know no case");
}

#[test]
fn columns_depth_and_names_are_bounded() {
    let members: Vec<String> = (0..3_000).map(|n| format!("\"c{n}\":1")).collect();
    let wide = format!("{{{}}}", members.join(","));
    let inference = lenient();
    let schema = inference.widen(&inference.base(), &observed(&inference, &[&wide])).unwrap();
    assert_eq!(schema.columns.len(), 2_000);
    assert_eq!(inference.widen(&schema, &observed(&inference, &[r#"{"new":1}"#])), None);

    let nested = |depth| format!("{{\"a\":{}1{},\"b\":1}}", "[".repeat(depth), "]".repeat(depth));
    let deepest = format!("a {}bigint{}, b bigint", "array<".repeat(32), ">".repeat(32));
    assert_eq!(first(&[&nested(32)]), deepest);
    assert_eq!(first(&[&nested(33)]), "b bigint");
    assert_eq!(first(&[&nested(127)]), "b bigint");
    for depth in [128, 100_000] {
        assert!(inference.observe(nested(depth).as_bytes()).is_none(), "no reader takes it");
    }

    let long = format!("{{\"{}\":1,\"{}\":2}}", "x".repeat(256), "ü".repeat(255));
    assert_eq!(first(&[&long]), format!("{} bigint", "ü".repeat(255)));
}

#[test]
fn all_fields_together_are_bounded() {
    let inner: Vec<String> = (0..150).map(|n| format!("\"f{n}\":1")).collect();
    let records: Vec<String> =
        (0..100).map(|n| format!("{{\"c{n}\":{{{}}}}}", inner.join(","))).collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let inference = lenient();
    let schema = inference.widen(&inference.base(), &observed(&inference, &records)).unwrap();
    let fields: usize = schema.columns.iter().map(|column| Seen::of(&column.of).size()).sum();
    assert!((9_500..=10_000).contains(&fields), "{fields}");
}

#[test]
fn changes_tell_what_is_new_and_how_common_it_is() {
    let inference = lenient();
    let old = TableSchema::from_ddl("a bigint, s array<struct<x:bigint>>").unwrap();
    let records = [
        r#"{"a":1.5,"n":1}"#,
        r#"{"a":1,"s":[{"x":1,"y":2},{"y":2}]}"#,
        r#"{"n":{"m":1}}{"n":1}"#,
        "{}",
    ];
    let seen = observed(&inference, &records);
    let new = inference.widen(&old, &seen).unwrap();
    let told: Vec<String> = changes(&old, &new, &seen)
        .into_iter()
        .map(|Change { path, was, is, share }| {
            let was = was.map_or("-".to_owned(), |was| was.to_string());
            format!("{path}: {was} to {is}, {share}")
        })
        .collect();
    assert_eq!(told, ["a: bigint to string, 0.5", "s.y: - to bigint, 0.25", "n: - to string, 0.5"]);
}

// ------------------------------------------------------------------------------------ properties

/// JSON values of a few members, so that they meet.
fn any_value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-1e9f64..1e9).prop_map(Json::from),
        "[a-z]{0,3}".prop_map(Json::from),
        "-?[0-9]{1,3}(\\.[0-9])?".prop_map(Json::from),
        Just(json!("True")),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            proptest::collection::btree_map("[aAbB]", inner, 0..3)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

pub(in crate::encode) fn any_record() -> impl Strategy<Value = String> {
    proptest::collection::btree_map("[a-eA-C]", any_value(), 0..4)
        .prop_map(|members| Json::Object(members.into_iter().collect()).to_string())
}

fn any_records() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(any_record(), 0..5)
}

fn all(inference: &Inference, records: &[String]) -> Observed {
    observed(inference, &records.iter().map(String::as_str).collect::<Vec<_>>())
}

fn merged(mut one: Observed, other: Observed) -> Observed {
    one.merge(other);
    one
}

/// The columns, those without a type left out.
fn columns(seen: &Observed) -> Vec<Column> {
    seen.columns.resolve(false)
}

/// The same in the order of names, inside of structs too.
fn sorted(mut columns: Vec<Column>) -> Vec<Column> {
    fn sort(of: &mut HiveType) {
        match of {
            HiveType::Array(of) | HiveType::Map(_, of) => sort(of),
            HiveType::Struct(columns) => {
                columns.iter_mut().for_each(|column| sort(&mut column.of));
                columns.sort_by(|one, other| one.name.cmp(&other.name));
            }
            _ => {}
        }
    }
    columns.iter_mut().for_each(|column| sort(&mut column.of));
    columns.sort_by(|one, other| one.name.cmp(&other.name));
    columns
}

/// Whether all that `narrow` holds can be held by `wide`.
fn holds(wide: &HiveType, narrow: &HiveType) -> bool {
    match (wide, narrow) {
        (HiveType::String, _) => true,
        (HiveType::Array(wide), HiveType::Array(narrow))
        | (HiveType::Map(_, wide), HiveType::Map(_, narrow)) => holds(wide, narrow),
        (HiveType::Map(_, wide), HiveType::Struct(fields)) => {
            fields.iter().all(|field| holds(wide, &field.of))
        }
        (HiveType::Struct(wide), HiveType::Struct(narrow)) => hold(wide, narrow),
        (wide, narrow) => wide == narrow,
    }
}

/// The same of columns, which besides stay where they are.
fn hold(wide: &[Column], narrow: &[Column]) -> bool {
    wide.len() >= narrow.len()
        && wide.iter().zip(narrow).all(|(w, n)| w.name == n.name && holds(&w.of, &n.of))
}

proptest! {
    #[test]
    fn merging_is_associative_commutative_and_idempotent(
        one in any_records(), two in any_records(), three in any_records(),
    ) {
        let inference = lenient();
        let [one, two, three] = [&one, &two, &three].map(|records| all(&inference, records));
        let left = merged(merged(one.clone(), two.clone()), three.clone());
        let right = merged(one.clone(), merged(two.clone(), three));
        prop_assert_eq!(columns(&left), columns(&right));
        prop_assert_eq!(
            sorted(columns(&merged(one.clone(), two.clone()))),
            sorted(columns(&merged(two, one.clone())))
        );
        prop_assert_eq!(columns(&merged(one.clone(), one.clone())), columns(&one));
    }

    #[test]
    fn observing_more_never_narrows(
        batches in proptest::collection::vec(any_records(), 1..5), is_lenient in any::<bool>(),
    ) {
        let inference = if is_lenient { lenient() } else { strict() };
        let mut schema = inference.base();
        for records in &batches {
            let seen = all(&inference, records);
            let wider = inference.widen(&schema, &seen).unwrap_or_else(|| schema.clone());
            prop_assert!(hold(&wider.columns, &schema.columns), "{schema:?} {wider:?}");
            prop_assert_eq!(inference.widen(&wider, &seen), None, "once is enough");
            schema = wider;
        }
    }

    #[test]
    fn any_bytes_are_observed_or_not(record in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = lenient().observe(&record);
    }
}
