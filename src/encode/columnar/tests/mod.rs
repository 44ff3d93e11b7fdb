mod inferred;

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicUsize, Ordering},
};

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow_array::{Array, RecordBatch, cast::AsArray, types};
use arrow_schema::DataType;
use async_trait::async_trait;

use super::*;
use crate::seams::{Aside, Chunk};

fn chunk<R: AsRef<[u8]>>(records: &[R]) -> Chunk {
    let mut chunk = Chunk::default();
    for record in records {
        chunk.data.extend_from_slice(record.as_ref());
        chunk.ends.push(chunk.data.len() as u32);
    }
    chunk
}

fn batch<R: AsRef<[u8]>>(records: &[R]) -> RawBatch {
    RawBatch { tail: chunk(records), records: records.len() as u64, ..RawBatch::default() }
}

#[derive(Debug)]
struct Put(Chunk);

impl Aside for Put {
    fn load(&self) -> io::Result<Chunk> {
        Ok(self.0.clone())
    }

    fn data_bytes(&self) -> u64 {
        self.0.data.len() as u64
    }
}

fn options(schema: SchemaSource) -> Options {
    Options {
        input: Deserializer::default(),
        output: Serializer::default(),
        schema,
        unknown_fields: UnknownFields::Drop,
    }
}

fn ddl(text: &str) -> Options {
    options(SchemaSource::Ddl(text.to_owned()))
}

async fn encoded(columnar: &Columnar, batch: RawBatch) -> Encoded {
    columnar.encoder().await.unwrap().encode(batch).unwrap()
}

/// The file's columns in its first line, its rows in the others.
fn read_parquet(body: &Bytes) -> String {
    let reader = ParquetRecordBatchReaderBuilder::try_new(body.clone()).unwrap().build().unwrap();
    table(reader.map(Result::unwrap))
}

fn read_orc(body: &Bytes) -> String {
    let reader = orc_rust::ArrowReaderBuilder::try_new(body.clone()).unwrap().build();
    table(reader.map(Result::unwrap))
}

fn table(batches: impl Iterator<Item = RecordBatch>) -> String {
    let mut text = String::new();
    for batch in batches {
        if text.is_empty() {
            let schema = batch.schema();
            let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            text.push_str(&names.join(" "));
        }
        for row in 0..batch.num_rows() {
            let cells: Vec<_> = batch.columns().iter().map(|column| cell(column, row)).collect();
            write!(text, "\n{}", cells.join(" ")).unwrap();
        }
    }
    text
}

fn cell(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "-".to_owned();
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<types::Int64Type>().value(row).to_string(),
        DataType::Float64 => format!("{:?}", array.as_primitive::<types::Float64Type>().value(row)),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::List(_) => {
            let values = array.as_list::<i32>().value(row);
            let cells: Vec<_> = (0..values.len()).map(|row| cell(&values, row)).collect();
            format!("[{}]", cells.join(","))
        }
        DataType::Struct(_) => {
            let columns = array.as_struct().columns();
            let cells: Vec<_> = columns.iter().map(|column| cell(column, row)).collect();
            format!("({})", cells.join(","))
        }
        other => panic!("no cell of {other}"),
    }
}

fn unfit(encoded: &Encoded) -> Vec<(u64, &str)> {
    encoded.unfit.iter().map(|(index, failure)| (*index, failure.cause.code.as_str())).collect()
}

const PARSE_ERROR: &str = "DataFormatConversion.ParseError";
const MALFORMED_DATA: &str = "DataFormatConversion.MalformedData";

#[tokio::test]
async fn records_become_a_file_and_bad_ones_come_back() {
    let first = [&br#"{"id":1,"tags":["a","b"]}"#[..], b"nonsense", br#"{"id":2}{"ID":3,"x":1}"#];
    let second = [&br#"{"id":"seven"}"#[..], b"", br#"{"id":4,"dt":"2026-11-21"}"#];
    let records = RawBatch {
        aside: vec![Arc::new(Put(chunk(&first))), Arc::new(Put(Chunk::default()))],
        tail: chunk(&second),
        records: 6,
        ..RawBatch::default()
    };
    let table = "create table t (id bigint, tags array<string>) partitioned by (dt string)";
    let orc = Options { output: Serializer::Orc(orc::Options::default()), ..ddl(table) };
    for (options, extension) in [(ddl(table), ".parquet"), (orc, ".orc")] {
        let columnar = Columnar::new(&options, None, None).unwrap();
        let encoder = columnar.encoder().await.unwrap();
        assert!(encoder.by_record());
        assert_eq!((encoder.extension(), encoder.content_encoding()), (extension, None));
        assert_eq!(columnar.extension(), extension);
        let encoded = encoder.encode(records.clone()).unwrap();
        assert_eq!(unfit(&encoded), [(1, PARSE_ERROR), (3, MALFORMED_DATA), (4, PARSE_ERROR)]);
        let is_orc = extension == ".orc";
        let text = if is_orc { read_orc(&encoded.body) } else { read_parquet(&encoded.body) };
        assert_eq!(text, "id tags\n1 [a,b]\n2 -\n3 -\n4 -");
        let again = encoder.encode(records.clone()).unwrap();
        assert!(again.body == encoded.body, "the same batch gives the same bytes");
    }
}

#[tokio::test]
async fn a_batch_without_a_fit_record_has_no_body() {
    let columnar = Columnar::new(&ddl("id bigint"), None, None).unwrap();
    let bad = encoded(&columnar, batch(&["[1]", "{\"id\":true}"])).await;
    assert!(bad.body.is_empty());
    assert_eq!(unfit(&bad), [(0, PARSE_ERROR), (1, MALFORMED_DATA)]);
    let none = encoded(&columnar, RawBatch::default()).await;
    assert!(none.body.is_empty() && none.unfit.is_empty());
}

#[tokio::test]
async fn a_large_batch_is_written_piece_by_piece() {
    let columnar = Columnar::new(&ddl("id bigint, text string"), None, None).unwrap();
    let long = "x".repeat(1000);
    let records: Vec<_> = (0..20_000)
        .map(|id| match id % 100 {
            7 => format!("{{\"id\":{id}"),
            1 => format!("{{\"id\":{id},\"text\":\"{long}\"}}"),
            _ => format!("{{\"id\":{id}}}"),
        })
        .collect();
    let encoded = encoded(&columnar, batch(&records)).await;
    assert_eq!(encoded.unfit.len(), 200);
    assert!(encoded.unfit.iter().all(|(index, _)| index % 100 == 7));
    let text = read_parquet(&encoded.body);
    let ids = text.lines().skip(1).map(|line| line.split(' ').next().unwrap().to_owned());
    let expected = (0..20_000).filter(|id| id % 100 != 7).map(|id: u32| id.to_string());
    assert!(ids.eq(expected));
}

#[test]
fn short_records_of_many_values_are_written_in_time() {
    let fields: Vec<String> = (0..100).map(|field| format!("f{field}:bigint")).collect();
    let table = format!("a array<struct<{}>>", fields.join(","));
    let plan = Plan::new(
        TableSchema::from_ddl(&table).unwrap(),
        &Deserializer::default(),
        &Serializer::default(),
        Unknown::Drop,
    )
    .unwrap();
    let record = format!("{{\"a\":[{}{{}}]}}", "{},".repeat(49));
    let (mut looks, mut most) = (0, 0);
    let pass = plan.run(&batch(&vec![record; 500]), |reader, _| {
        looks += 1;
        most = most.max(reader.values());
        false
    });
    assert!(pass.unwrap().unwrap().unfit.is_empty());
    assert!(looks >= 5, "{looks}");
    assert!(most <= limits::COLUMNAR_BYTES / 8 + 100 * 60, "{most}");
}

#[tokio::test]
async fn ends_that_do_not_go_with_the_bytes_are_an_error() {
    let columnar = Columnar::new(&ddl("id bigint"), None, None).unwrap();
    let encoder = columnar.encoder().await.unwrap();
    for ends in [vec![], vec![3], vec![20], vec![5, 3]] {
        let tail = Chunk { data: b"{\"id\":1}".to_vec(), ends };
        let error = encoder.encode(RawBatch { tail, ..RawBatch::default() }).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}

#[tokio::test]
async fn members_without_a_column_can_be_kept() {
    let options = Options { unknown_fields: UnknownFields::RestColumn, ..ddl("id bigint") };
    let columnar = Columnar::new(&options, None, None).unwrap();
    let encoded = encoded(&columnar, batch(&[r#"{"id":1,"b":[2, 3],"c":null}"#, "{}"])).await;
    assert_eq!(read_parquet(&encoded.body), "id _rest\n1 {\"b\":[2,3],\"c\":null}\n- -");
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let refused = |options: &Options| {
        Columnar::new(options, None, None).err().expect("it is refused").to_string()
    };
    let evolve = Options { unknown_fields: UnknownFields::Evolve, ..ddl("id bigint") };
    assert!(refused(&evolve).contains("evolve needs a schema that is inferred"));
    let infer = options(SchemaSource::Infer(Infer::default()));
    assert!(refused(&infer).contains("a folder"));
    assert!(refused(&ddl("id bigin")).starts_with("schema: column 4: expected a type"));
    let missing = options(SchemaSource::File("/nowhere/table.sql".into()));
    assert!(refused(&missing).contains("/nowhere/table.sql"));
    let rest = Options { unknown_fields: UnknownFields::RestColumn, ..ddl("_rest string") };
    assert!(refused(&rest).contains("_rest"));
    let filter = parquet::Options {
        bloom_filter_columns: vec!["nobody".to_owned()],
        ..parquet::Options::default()
    };
    let filter = Options { output: Serializer::Parquet(filter), ..ddl("id bigint") };
    assert!(refused(&filter).contains("nobody"));
    let twice = vec![ColumnSpec { name: "a".into(), of: "int".into() }; 2];
    assert!(refused(&options(SchemaSource::Columns(twice))).contains("two columns"));
    let wrong = vec![ColumnSpec { name: "a".into(), of: "in".into() }];
    assert!(refused(&options(SchemaSource::Columns(wrong))).contains("\"a\": column 1"));
}

#[tokio::test]
async fn a_schema_may_stand_in_a_file_or_in_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.sql");
    fs::write(&path, "-- mine\nid bigint,\nname string;\n").unwrap();
    let column = |name: &str, of: &str| ColumnSpec { name: name.into(), of: of.into() };
    let columns = vec![column("id", "bigint"), column("name", "string")];
    for source in [SchemaSource::File(path), SchemaSource::Columns(columns)] {
        let columnar = Columnar::new(&options(source), None, None).unwrap();
        let encoded = encoded(&columnar, batch(&[r#"{"name":"n","id":1}"#])).await;
        assert_eq!(read_parquet(&encoded.body), "id name\n1 n");
    }
}

// --------------------------------------------------------------------------------------- catalog

/// Answers one after the other, the last for ever.
struct Answers(Vec<Result<&'static str, Fault>>, AtomicUsize);

#[async_trait]
impl Catalog for Answers {
    async fn table(&self) -> Result<Arc<TableSchema>, Fault> {
        let at = self.1.fetch_add(1, Ordering::SeqCst).min(self.0.len() - 1);
        self.0[at].clone().map(|ddl| Arc::new(TableSchema::from_ddl(ddl).unwrap()))
    }
}

#[tokio::test]
async fn a_table_of_the_catalog_is_asked_for_each_batch() {
    let fault = Fault::retry("DataFormatConversion.ThrottledByGlue", "slow down");
    let answers = vec![
        Err(fault.clone()),
        Ok("id bigint"),
        Ok("id bigint"),
        Ok("id bigint, _rest string"),
        Ok("id bigint, _rest string"),
        Ok("id bigint, b string"),
    ];
    let table: GlueTable = serde_json::from_str(r#"{"database":"d","table":"t"}"#).unwrap();
    let options =
        Options { unknown_fields: UnknownFields::RestColumn, ..options(SchemaSource::Glue(table)) };
    assert!(matches!(Columnar::new(&options, None, None), Err(ColumnarError::NoCatalog)));
    let catalog = Arc::new(Answers(answers, AtomicUsize::new(0)));
    let columnar = Columnar::new(&options, Some(catalog), None).unwrap();
    assert_eq!(columnar.encoder().await.err(), Some(fault));
    let record = batch(&[r#"{"id":1,"b":"x"}"#]);
    for _ in 0..2 {
        let body = encoded(&columnar, record.clone()).await.body;
        assert_eq!(read_parquet(&body), "id _rest\n1 {\"b\":\"x\"}");
    }
    for _ in 0..2 {
        let body = encoded(&columnar, record.clone()).await.body;
        assert_eq!(read_parquet(&body), "id _rest\n1 {\"b\":\"x\"}", "the version before stays");
    }
    let body = encoded(&columnar, record).await.body;
    assert_eq!(read_parquet(&body), "id b _rest\n1 x -");
}

#[tokio::test]
async fn a_first_table_that_cannot_be_written_holds_the_batch() {
    let table: GlueTable = serde_json::from_str(r#"{"database":"d","table":"t"}"#).unwrap();
    let options =
        Options { unknown_fields: UnknownFields::RestColumn, ..options(SchemaSource::Glue(table)) };
    let catalog = Answers(vec![Ok("_rest string"), Ok("id bigint")], AtomicUsize::new(0));
    let columnar = Columnar::new(&options, Some(Arc::new(catalog)), None).unwrap();
    let Some(Fault::Halt { cause }) = columnar.encoder().await.err() else {
        panic!("nothing can be written");
    };
    assert_eq!(cause.code, "DataFormatConversion.InvalidSchema");
    assert!(columnar.encoder().await.is_ok());
}

#[test]
fn members_without_a_column_are_logged_once() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let options = ddl("create table t (id bigint) partitioned by (dt string)");
        let columnar = Columnar::new(&options, None, None).unwrap();
        let encoder = futures::executor::block_on(columnar.encoder()).unwrap();
        for _ in 0..3 {
            let records = [r#"{"id":1,"dt":"x","who\n":"secret"}"#, r#"{"id":2}"#];
            encoder.encode(batch(&records)).unwrap();
        }
    });
    let text = String::from_utf8(log.0.lock().clone()).unwrap();
    assert_eq!(text.matches("field has no column").count(), 1, "{text}");
    assert!(text.contains(r#"field="who\n" share_of_records=0.5"#), "{text}");
    assert!(!text.contains("secret"));
}
