use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> HiveType {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    match text.parse::<HiveType>() {
        Ok(of) => panic!("{text} is {of}"),
        Err(error) => error.to_string(),
    }
}

fn ddl(text: &str) -> TableSchema {
    TableSchema::from_ddl(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn ddl_refused(text: &str) -> String {
    match TableSchema::from_ddl(text) {
        Ok(schema) => panic!("{text} is {schema:?}"),
        Err(error) => error.to_string(),
    }
}

/// `name type` of every column.
fn shown(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|Column { name, of }| format!("{name} {of}")).collect()
}

#[test]
fn every_type_is_read_and_written() {
    for (text, of) in [
        ("boolean", HiveType::Boolean),
        ("tinyint", HiveType::Tinyint),
        ("smallint", HiveType::Smallint),
        ("int", HiveType::Int),
        ("bigint", HiveType::Bigint),
        ("float", HiveType::Float),
        ("double", HiveType::Double),
        ("decimal(38,38)", HiveType::Decimal { precision: 38, scale: 38 }),
        ("string", HiveType::String),
        ("char(255)", HiveType::Char(255)),
        ("varchar(65535)", HiveType::Varchar(65_535)),
        ("binary", HiveType::Binary),
        ("date", HiveType::Date),
        ("timestamp", HiveType::Timestamp),
        ("array<int>", HiveType::Array(Box::new(HiveType::Int))),
        (
            "map<string,array<date>>",
            HiveType::Map(
                Box::new(HiveType::String),
                Box::new(HiveType::Array(Box::new(HiveType::Date))),
            ),
        ),
    ] {
        assert_eq!(parsed(text), of, "{text}");
        assert_eq!(of.to_string(), text);
    }
    let nested = "array<struct<a:int,b:map<string,decimal(10,2)>>>";
    assert_eq!(parsed(nested).to_string(), nested);
}

#[test]
fn other_spellings_mean_the_same() {
    for (text, same) in [
        ("INTEGER", "int"),
        (" Decimal ", "decimal(10,0)"),
        ("decimal(5)", "decimal(5,0)"),
        ("NUMERIC ( 5 , 2 )", "decimal(5,2)"),
        ("double precision", "double"),
        ("Array < BigInt >", "array<bigint>"),
        ("struct<a:int comment 'it''s, a > \\' thing', B:STRING>", "struct<a:int,B:string>"),
        ("struct<user-id:int,`b c`:int,d e:int>", "struct<`user-id`:int,`b c`:int,`d e`:int>"),
        ("struct<`a``b`:int,@type:string>", "struct<`a``b`:int,`@type`:string>"),
        ("struct<größe:int,comment:string>", "struct<größe:int,comment:string>"),
    ] {
        assert_eq!(parsed(text).to_string(), same, "{text}");
    }
}

#[test]
fn what_is_no_type_is_refused_with_its_place() {
    for (text, error) in [
        ("array<strin>", "column 7: expected a type (boolean"),
        ("array<strin>", "found \"strin\""),
        ("array<int", "column 10: expected > after the type of the elements, found the end"),
        ("map<int>", "column 8: expected a comma and the type of the values, found \">\""),
        ("map<array<int>,int>", "column 14: expected a primitive type as the key"),
        ("struct<>", "column 8: expected a name, found \">\""),
        ("struct<a int>", "column 13: expected a colon after the name of a field, found \">\""),
        ("struct<a:int,A:int>", "column 14: expected a name that no other field"),
        ("struct<``:int>", "column 8: expected a name"),
        ("struct<`a:int>", "column 15: expected a closing back-quote, found the end"),
        ("decimal(39,1)", "column 9: expected a precision from 1 to 38, found \"39\""),
        ("decimal(5,6)", "column 11: expected a scale from 0 to the precision"),
        ("decimal(+5)", "column 9: expected a precision"),
        ("char", "column 5: expected a length in parentheses, found the end"),
        ("char(256)", "column 6: expected a length from 1 to 255"),
        ("varchar(65536)", "column 9: expected a length from 1 to 65535"),
        ("varchar(0)", "column 9: expected a length"),
        ("int int", "column 5: expected the end of the type, found \"int\""),
        ("", "column 1: expected a type"),
        ("struct<ä:foo>", "column 10: expected a type"),
        ("uniontype<int,string>", "column 1: the type uniontype is not supported"),
        ("array<set<int>>", "column 7: the type set is not supported: use array<…>"),
        ("interval_day_time", "the type interval_day_time is not supported"),
        ("timestamp with local time zone", "timestamp with time zone is not supported"),
        ("struct<a:int comment b>", "column 22: expected the comment in quotation marks"),
        ("int /* never closed", "column 20: expected */, found the end"),
    ] {
        let found = refused(text);
        assert!(found.contains(error), "{text}: {found}");
    }
}

#[test]
fn depth_and_length_are_bounded() {
    let nested = |depth| format!("{}int{}", "array<".repeat(depth), ">".repeat(depth));
    assert_eq!(parsed(&nested(32)).to_string(), nested(32));
    assert_eq!(refused(&nested(33)), "column 193: types are nested deeper than 32 levels");
    assert!(refused(&"array<".repeat(20_000)).contains("nested deeper"));
    assert!(refused(&" ".repeat(131_073)).contains("at most 131072"));
    let fields: String = (0..10_001).map(|n| format!("f{n}:int,")).collect();
    let wide = format!("struct<{}>", fields.trim_end_matches(','));
    assert!(refused(&wide).contains("more than 10000 columns and fields"));
}

#[test]
fn a_statement_gives_columns_and_partition_keys() {
    let schema = ddl("
        -- where it all lands
        CREATE EXTERNAL TABLE IF NOT EXISTS `my-db`.clicks (
            id bigint COMMENT 'the id -- no comment', /* not:this int, */
            `user name` string NOT NULL,
            tags array<struct<k:string, v:double>>  -- last
        )
        COMMENT 'clicks'
        PARTITIONED BY (dt string COMMENT 'day', hour int)
        ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
        LOCATION 's3://bucket/prefix/' TBLPROPERTIES ('a'='b');");
    assert_eq!(
        shown(&schema.columns),
        ["id bigint", "user name string", "tags array<struct<k:string,v:double>>"]
    );
    assert_eq!(shown(&schema.partition_keys), ["dt string", "hour int"]);
    let schema = ddl("create table t(a int) stored as parquet -- and ' nonsense `");
    assert_eq!(shown(&schema.columns), ["a int"]);
}

#[test]
fn a_list_of_columns_is_enough() {
    for text in ["id bigint, tags array<string>", "(id bigint,tags array<string>)\n;"] {
        let schema = ddl(text);
        assert_eq!(shown(&schema.columns), ["id bigint", "tags array<string>"], "{text}");
        assert!(schema.partition_keys.is_empty());
    }
    assert_eq!(shown(&ddl("create int, table string").columns), ["create int", "table string"]);
    let given = TableSchema::from_columns(&[("id", "bigint"), ("tags", "array<string>")]);
    assert_eq!(given.unwrap(), ddl("id bigint, tags array<string>"));
}

#[test]
fn what_is_no_table_is_refused_with_its_place() {
    for (text, error) in [
        ("", "there are no columns"),
        (" -- nothing\n", "there are no columns"),
        ("create table t", "column 15: expected ( and the columns, found the end"),
        ("create table (a int)", "column 14: expected the name of the table"),
        ("create table if exists t(a int)", "column 17: expected IF NOT EXISTS"),
        ("create external view t(a int)", "column 17: expected TABLE, found \"view\""),
        ("create table t ()", "column 17: expected a name, found \")\""),
        ("create table t (a int,)", "column 23: expected a name"),
        ("create table t (\n  a int\n  b int)", "line 3, column 3: expected a comma or )"),
        ("create table t (a int) partitioned by (dt)", "column 42: expected a type"),
        ("create table t (a int) partitioned by (A int)", "two columns \"A\""),
        ("a int, A string", "two columns \"A\""),
        ("`` int", "column 1: expected a name"),
        ("`  ` int", "column 1 has no name"),
        ("a int not b", "column 11: expected NOT NULL"),
        ("a int b int", "column 7: expected a comma or the end of the columns, found \"b\""),
        ("a \u{1F600}nt", "column 3: expected a type"),
    ] {
        let found = ddl_refused(text);
        assert!(found.contains(error), "{text}: {found}");
    }
    let long = format!("{} int", "x".repeat(256));
    assert!(ddl_refused(&long).contains("has 256 characters"));
    assert!(ddl_refused(&" ".repeat((1 << 20) + 1)).contains("at most 1048576"));
}

#[test]
fn columns_one_by_one_name_the_wrong_one() {
    let refused = |columns: &[(&str, &str)]| {
        TableSchema::from_columns(columns).expect_err("it is wrong").to_string()
    };
    assert_eq!(refused(&[]), "there are no columns");
    assert_eq!(refused(&[("a", "int"), ("", "int")]), "column 2 has no name");
    assert!(refused(&[("a", "int"), ("A", "int")]).starts_with("there are two columns \"A\""));
    let wrong = refused(&[("a", "int"), ("b", "array<in>")]);
    assert!(wrong.starts_with("type of column \"b\": column 7: expected a type"), "{wrong}");
}

/// Texts whose reading would show a second pass over what comes behind: all are refused or read
/// within the bounds of the test.
#[test]
fn long_texts_of_every_kind_end() {
    let half = 1 << 19;
    for piece in
        ["(", "`", "'", "/*", "--", "-- \n", "a ", "a,", "<", "''", "``", "/**/", "a/", "-"]
    {
        let text = piece.repeat(half / piece.len());
        let as_list = TableSchema::from_ddl(&text);
        let as_statement = TableSchema::from_ddl(&format!("create table {text}"));
        let as_type = text[..131_072].parse::<HiveType>();
        assert!(as_statement.is_err() && as_type.is_err() && as_list.is_err(), "{piece}");
    }
}

fn any_type() -> impl Strategy<Value = HiveType> {
    let leaf = prop_oneof![
        Just(HiveType::Boolean),
        Just(HiveType::Bigint),
        Just(HiveType::Timestamp),
        (1u8..=38)
            .prop_flat_map(|precision| (Just(precision), 0..=precision))
            .prop_map(|(precision, scale)| HiveType::Decimal { precision, scale }),
        (1u32..=255).prop_map(HiveType::Char),
        (1u32..=65_535).prop_map(HiveType::Varchar),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            inner.clone().prop_map(|of| HiveType::Array(Box::new(of))),
            inner
                .clone()
                .prop_map(|of| { HiveType::Map(Box::new(HiveType::String), Box::new(of)) }),
            proptest::collection::btree_map("[^A-Z\\p{Lt}\\p{Lu}]{1,6}", inner, 1..5).prop_map(
                |fields| {
                    let column = |(name, of)| Column { name, of };
                    HiveType::Struct(fields.into_iter().map(column).collect())
                }
            ),
        ]
    })
}

proptest! {
    #[test]
    fn types_survive_being_written(of in any_type()) {
        prop_assert_eq!(of.to_string().parse::<HiveType>(), Ok(of));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = text.parse::<HiveType>();
        let _ = TableSchema::from_ddl(&text);
    }

    #[test]
    fn any_mixture_of_pieces_is_read_or_refused(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "create ", "table ", "external ", "if not exists ", "a", "`b c`", "int", "string",
                "struct<", "array<", "map<", ">", ":", ",", "(", ")", "decimal", "5", "'x'", " ",
                "comment ", "-- \n", "/* */", "partitioned by ", "not null", ";", "\n", "ß", "'",
            ]),
            0..40,
        ),
    ) {
        let text = pieces.concat();
        if let Ok(of) = text.parse::<HiveType>() {
            prop_assert_eq!(of.to_string().parse::<HiveType>(), Ok(of));
        }
        if let Ok(schema) = TableSchema::from_ddl(&text) {
            prop_assert!(!schema.columns.is_empty());
        }
    }
}
