//! Schemas that are inferred from the records, from batches to files and back.

use proptest::prelude::*;

use super::*;
use crate::{
    encode::{
        rows::{HiveJson, OpenxJson},
        schema::infer::tests::any_record,
    },
    env::sim::{SimFiles, Trouble},
};

fn infer(unknown_fields: UnknownFields) -> Options {
    Options { unknown_fields, ..options(SchemaSource::Infer(Infer::default())) }
}

const FOLDER: &str = "/data/streams/s/d";

fn kept_in(options: &Options, files: &SimFiles) -> Columnar {
    let files: Arc<dyn Files> = Arc::new(files.clone());
    Columnar::new(options, None, Some((FOLDER.into(), files))).unwrap()
}

/// The columns as they are kept, `name type, …`, and their version.
fn kept(files: &SimFiles) -> Option<(u64, String)> {
    let path = Path::new(FOLDER).join(STORE_FILE);
    let store = InferStore::load(&path, Arc::new(files.clone())).unwrap();
    let (version, schema) = store.current()?;
    let columns = schema.columns.iter().map(|Column { name, of }| format!("{name} {of}"));
    Some((version, columns.collect::<Vec<_>>().join(", ")))
}

#[tokio::test]
async fn a_schema_grows_with_the_records_and_survives() {
    let files = SimFiles::new(1);
    let columnar = kept_in(&infer(UnknownFields::Evolve), &files);
    assert_eq!(kept(&files), None);

    let text =
        encoded(&columnar, batch(&[r#"{"a":1,"n":null}"#, "bad", r#"{"B":{"c":true}}"#])).await;
    assert_eq!(unfit(&text), [(1, PARSE_ERROR)]);
    assert_eq!(read_parquet(&text.body), "a b\n1 -\n- (true)");
    assert_eq!(kept(&files), Some((1, "a bigint, b struct<c:boolean>".into())));

    // Nothing new; a member that is always null is nothing new either.
    let text = encoded(&columnar, batch(&[r#"{"a":"2","n":null}"#])).await;
    assert_eq!(read_parquet(&text.body), "a b\n2 -");
    assert_eq!(kept(&files).unwrap().0, 1);

    // All of a file is of the schema that its last record asked for.
    let records = [r#"{"a":3}"#, r#"{"n":"now"}"#, r#"{"b":{"d":[1]}}"#, r#"{"a":1.5}"#];
    let text = encoded(&columnar, batch(&records)).await;
    assert_eq!(read_parquet(&text.body), "a b n\n3 - -\n- - now\n- (-,[1]) -\n1.5 - -");
    let version = (2, "a string, b struct<c:boolean,d:array<bigint>>, n string".to_owned());
    assert_eq!(kept(&files), Some(version.clone()));

    files.crash();
    let columnar = kept_in(&infer(UnknownFields::Evolve), &files);
    let text = encoded(&columnar, batch(&[r#"{"a":4}"#])).await;
    assert_eq!(read_parquet(&text.body), "a b n\n4 - -");
    assert_eq!(kept(&files), Some(version));
    let text = encoded(&columnar, batch(&[r#"{"a":{"x":1}}"#])).await;
    assert_eq!(read_parquet(&text.body), "a b n\n{\"x\":1} - -");
    assert_eq!(kept(&files).unwrap().0, 2, "text holds it");
}

#[tokio::test]
async fn filters_of_any_options_go_with_a_schema_to_come() {
    let many: Vec<String> = (0..70).map(|at| format!("c{at}")).collect();
    let members: Vec<String> = many.iter().map(|name| format!("\"{name}\":1")).collect();
    let record = format!("{{{}}}", members.join(","));
    for share in [0.0, 1e-5, 1.0, 7.0, -1.0] {
        for output in [
            Serializer::Parquet(parquet::Options {
                bloom_filter_columns: many.clone(),
                bloom_filter_false_positive_probability: share,
                ..parquet::Options::default()
            }),
            Serializer::Orc(orc::Options {
                bloom_filter_columns: many.clone(),
                bloom_filter_false_positive_probability: share,
                ..orc::Options::default()
            }),
        ] {
            let options = Options { output, ..infer(UnknownFields::Evolve) };
            let columnar = kept_in(&options, &SimFiles::new(10));
            let encoded = encoded(&columnar, batch(&[&record])).await;
            assert!(!encoded.body.is_empty() && encoded.unfit.is_empty());
        }
    }
}

#[test]
fn filters_are_those_that_the_writers_take() {
    let names = ["Id", "id", "s", "s.x", "a.key", "a.value", "t", "l.y", "flag", "nobody"];
    let names: Vec<String> = names.map(str::to_owned).into();
    let table = "id bigint, s struct<x:string>, a map<string,bigint>, t array<string>, \
                 l array<struct<y:int>>, flag boolean";
    let schema = TableSchema::from_ddl(table).unwrap();
    let options =
        parquet::Options { bloom_filter_columns: names.clone(), ..parquet::Options::default() };
    let options = options.with_filters_of(&schema);
    let kept = &options.bloom_filter_columns;
    assert_eq!(*kept, ["id", "s.x", "a.key", "a.value", "t", "l.y"]);
    assert!(parquet::Writer::new(&schema, &options).is_ok());
    let options = orc::Options { bloom_filter_columns: names, ..orc::Options::default() };
    let options = options.with_filters_of(&schema);
    let kept = &options.bloom_filter_columns;
    assert!(["Id", "id", "s", "s.x", "t"].iter().all(|name| kept.iter().any(|k| k == name)));
    assert!(!kept.iter().any(|name| name == "nobody"));
    assert!(orc::Writer::new(&schema, &options).is_ok());
}

#[test]
fn names_that_differ_in_case_need_a_schema() {
    let openx = OpenxJson { case_insensitive: false, ..OpenxJson::default() };
    let input = Deserializer::OpenxJson(openx);
    let options = Options { input, ..infer(UnknownFields::Drop) };
    let files: Arc<dyn Files> = Arc::new(SimFiles::new(11));
    let refused = Columnar::new(&options, None, Some((FOLDER.into(), files)));
    assert!(matches!(refused, Err(ColumnarError::CaseWithInfer)));
    assert!(
        Columnar::new(&Options { input: options.input, ..ddl("id bigint") }, None, None).is_ok()
    );
}

#[tokio::test]
async fn no_integer_is_rounded() {
    let large = "9007199254740993";
    for large in [large.to_owned(), format!("\"{large}\""), format!("-{large}000000000")] {
        for [first, second] in [["1.5", &large], [&large, "1.5"]] {
            let files = SimFiles::new(9);
            let columnar = kept_in(&infer(UnknownFields::Evolve), &files);
            let mut read = Vec::new();
            for value in [first, second] {
                let body = encoded(&columnar, batch(&[format!("{{\"a\":{value}}}")])).await.body;
                read.push(read_parquet(&body));
            }
            let shown = |value: &str| format!("a\n{}", value.trim_matches('"'));
            assert_eq!(read, [shown(first), shown(second)]);
        }
    }
    // Small ones may be doubles, as long as nobody has called them integers before.
    let files = SimFiles::new(9);
    let columnar = kept_in(&infer(UnknownFields::Evolve), &files);
    for (records, text) in [
        (&[r#"{"a":1}"#, r#"{"a":1.5}"#][..], "a\n1.0\n1.5"),
        (&[r#"{"a":"9007199254740992"}"#], "a\n9007199254740992.0"),
    ] {
        assert_eq!(read_parquet(&encoded(&columnar, batch(records)).await.body), text);
    }
    assert_eq!(kept(&files), Some((1, "a double".into())));
}

#[tokio::test]
async fn without_evolving_the_schema_of_the_first_batch_stays() {
    let first = batch(&[r#"{"a":1}"#, r#"{"b":"x"}"#]);
    let second = batch(&[r#"{"c":1,"a":2}"#, r#"{"a":"x"}"#]);
    for (unknown, one, two) in [
        (UnknownFields::Drop, "a b\n1 -\n- x", "a b\n2 -"),
        (UnknownFields::RestColumn, "a b _rest\n1 - -\n- x -", "a b _rest\n2 - {\"c\":1}"),
    ] {
        let files = SimFiles::new(2);
        let columnar = kept_in(&infer(unknown), &files);
        assert_eq!(read_parquet(&encoded(&columnar, first.clone()).await.body), one);
        let encoded = encoded(&columnar, second.clone()).await;
        assert_eq!(read_parquet(&encoded.body), two);
        assert_eq!(unfit(&encoded), [(1, MALFORMED_DATA)]);
        assert_eq!(kept(&files), Some((1, "a bigint, b string".into())));
    }
}

#[tokio::test]
async fn no_file_has_a_schema_that_is_not_kept() {
    let files = SimFiles::new(3);
    let columnar = kept_in(&infer(UnknownFields::Evolve), &files);
    let encoder = columnar.encoder().await.unwrap();
    for trouble in [Trouble::Write(0), Trouble::Sync(0), Trouble::Sync(1), Trouble::Full(0)] {
        files.trouble(trouble);
        encoder.encode(batch(&[r#"{"a":1}"#])).unwrap_err();
    }
    encoder.encode(batch(&[r#"{"a":1}"#])).unwrap();
    files.trouble(Trouble::Write(0));
    encoder.encode(batch(&[r#"{"b":1}"#])).unwrap_err();
    let old = encoder.encode(batch(&[r#"{"a":1}"#])).unwrap();
    assert_eq!(read_parquet(&old.body), "a\n1");
    let new = encoder.encode(batch(&[r#"{"b":1}"#])).unwrap();
    assert_eq!(read_parquet(&new.body), "a b\n- 1");
}

#[tokio::test]
async fn records_without_members_make_no_first_file() {
    let files = SimFiles::new(4);
    let columnar = kept_in(&infer(UnknownFields::Evolve), &files);
    let none = encoded(&columnar, batch(&["{}", "x"])).await;
    assert!(none.body.is_empty());
    assert_eq!(unfit(&none), [(0, "DataFormatConversion.InvalidSchema"), (1, PARSE_ERROR)]);
    let empty = encoded(&columnar, RawBatch::default()).await;
    assert!(empty.body.is_empty() && empty.unfit.is_empty());
    let nulls = encoded(&columnar, batch(&[r#"{"a":null}"#, "{}"])).await;
    assert_eq!(read_parquet(&nulls.body), "a\n-\n-", "a column of text, for one is needed");
}

#[tokio::test]
async fn options_may_name_columns_that_are_still_to_come() {
    let files = SimFiles::new(5);
    let mappings = [("ts".to_owned(), "timestamp".to_owned())].into();
    let input = OpenxJson { column_to_json_key_mappings: mappings, ..OpenxJson::default() };
    let output = parquet::Options {
        bloom_filter_columns: vec!["ts".into(), "a.b".into(), "flag".into()],
        ..parquet::Options::default()
    };
    let given = vec![ColumnSpec { name: "id".into(), of: "string".into() }];
    let options = Options {
        input: Deserializer::OpenxJson(input),
        output: Serializer::Parquet(output),
        schema: SchemaSource::Infer(Infer { columns: given }),
        unknown_fields: UnknownFields::Evolve,
    };
    let columnar = kept_in(&options, &files);
    let text = encoded(&columnar, batch(&[r#"{"id":7}"#])).await;
    assert_eq!(read_parquet(&text.body), "id\n7");
    let record = r#"{"id":8,"Timestamp":5,"a":{"b":1},"flag":true}"#;
    let text = encoded(&columnar, batch(&[record])).await;
    assert_eq!(read_parquet(&text.body), "id ts a flag\n8 5 (1) true");
}

#[tokio::test]
async fn the_strict_reader_cuts_no_fraction_off_an_inferred_column() {
    let files = SimFiles::new(6);
    let input = Deserializer::HiveJson(HiveJson::default());
    let options = Options { input, ..infer(UnknownFields::Evolve) };
    let columnar = kept_in(&options, &files);
    encoded(&columnar, batch(&[r#"{"a":1}"#])).await;
    let text = encoded(&columnar, batch(&[r#"{"a":1.5}"#])).await;
    assert_eq!(read_parquet(&text.body), "a\n1.5");
}

#[tokio::test]
async fn encoders_side_by_side_share_one_schema() {
    let files = SimFiles::new(7);
    let columnar = Arc::new(kept_in(&infer(UnknownFields::Evolve), &files));
    let tasks = (0..8).map(|task| {
        let columnar = Arc::clone(&columnar);
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Handle::current();
            let encoder = runtime.block_on(columnar.encoder()).unwrap();
            let bodies = (0..10).map(|round| {
                let record = format!("{{\"both\":1,\"of_{task}_{round}\":\"{task}.{round}\"}}");
                let encoded = encoder.encode(batch(&[record])).unwrap();
                assert!(encoded.unfit.is_empty());
                read_parquet(&encoded.body)
            });
            bodies.collect::<Vec<_>>()
        })
    });
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await.unwrap());
    }
    all.sort_by_key(String::len);
    // Every schema is the beginning of the next, and none of the 81 columns is lost.
    let columns: Vec<&str> = all.iter().map(|text| text.lines().next().unwrap()).collect();
    assert!(columns.windows(2).all(|pair| pair[1].starts_with(pair[0])), "{columns:?}");
    assert_eq!(columns.last().unwrap().split(' ').count(), 81);
    assert!(all.iter().all(|text| text.contains('.')), "each has its value");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// With the lenient reader there is a column for everything.
    #[test]
    fn every_observed_record_can_be_read(
        batches in proptest::collection::vec(
            proptest::collection::vec(any_record(), 1..6), 1..4,
        ),
    ) {
        let files = SimFiles::new(8);
        let columnar = kept_in(&infer(UnknownFields::Evolve), &files);
        let encoder = futures::executor::block_on(columnar.encoder()).unwrap();
        for records in &batches {
            let encoded = encoder.encode(batch(records)).unwrap();
            let is_first_without_columns = kept(&files).is_none();
            if !is_first_without_columns {
                prop_assert!(encoded.unfit.is_empty(), "{:?} in {records:?}", encoded.unfit);
                let rows = read_parquet_rows(&encoded.body);
                prop_assert_eq!(rows, records.len());
            }
        }
    }
}

fn read_parquet_rows(body: &Bytes) -> usize {
    let reader = ParquetRecordBatchReaderBuilder::try_new(body.clone()).unwrap().build().unwrap();
    reader.map(|batch| batch.unwrap().num_rows()).sum()
}

#[test]
fn only_members_with_a_value_are_worth_observing() {
    use crate::encode::rows::RowReader;
    let schema = TableSchema::from_ddl("a bigint, s struct<b:bigint>").unwrap();
    let mut reader = RowReader::new(&schema, &Deserializer::default(), Unknown::Drop).unwrap();
    reader.read(br#"{"a":1,"n":null,"l":[],"o":{},"s":{"n":null}}"#).unwrap();
    assert_eq!(reader.unknown_values(), 0);
    for (record, values) in
        [(r#"{"n":0}"#, 1), (r#"{"s":{"n":[1]}}"#, 2), (r#"{"n":"","o":{"p":1}}"#, 4)]
    {
        reader.read(record.as_bytes()).unwrap();
        assert_eq!(reader.unknown_values(), values, "{record}");
    }
}
