//! Where inferred schemas are kept: a small file with the last versions, replaced as a whole.
//!
//! ```json
//! {"format": 1, "versions": [{"version": 7, "columns": [{"name": "id", "type": "bigint"}]}]}
//! ```

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{Column, TableSchema, types};
use crate::{env::Files, limits};

/// The only format so far.
const FORMAT: u32 = 1;

/// Why a kept schema cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    /// It is not guessed what it may have said: a narrower schema would change types back.
    #[error("{path} holds no schema: {message}", path = path.display())]
    Damaged { path: PathBuf, message: String },
}

/// The versions of one inferred schema, the newest last.
pub struct InferStore {
    path: PathBuf,
    files: Arc<dyn Files>,
    kept: Kept,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    format: u32,
    versions: Vec<Version>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Version {
    version: u64,
    columns: Vec<KeptColumn>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KeptColumn {
    name: String,
    #[serde(rename = "type")]
    of: String,
}

impl InferStore {
    /// Reads the file; there may be none yet.
    pub fn load(path: &Path, files: Arc<dyn Files>) -> Result<Self, StoreError> {
        let kept = match files.read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(StoreError::Io { path: path.to_owned(), source }),
        };
        let damaged = |message| StoreError::Damaged { path: path.to_owned(), message };
        let kept = match kept {
            Some(bytes) => Kept::parse(&bytes).map_err(damaged)?,
            None => Kept { format: FORMAT, versions: Vec::new() },
        };
        let store = Self { path: path.to_owned(), files, kept };
        // What cannot be read back must be known now and not when records come.
        store.newest().transpose().map_err(damaged)?;
        Ok(store)
    }

    /// The newest version and its schema, if there is any.
    pub fn current(&self) -> Option<(u64, TableSchema)> {
        self.newest().and_then(Result::ok)
    }

    fn newest(&self) -> Option<Result<(u64, TableSchema), String>> {
        let newest = self.kept.versions.last()?;
        Some(newest.schema().map(|schema| (newest.version, schema)))
    }

    /// Keeps a schema as the newest version, whose number it answers. Durable on Ok; after an
    /// error the version before stays the newest.
    pub fn keep(&mut self, schema: &TableSchema) -> io::Result<u64> {
        let version = self.kept.versions.last().map_or(1, |newest| newest.version + 1);
        let mut kept = self.kept.clone();
        kept.versions.push(Version { version, columns: kept_columns(&schema.columns) });
        let surplus = kept.versions.len().saturating_sub(limits::INFERRED_VERSIONS_KEPT);
        kept.versions.drain(..surplus);
        let bytes = serde_json::to_vec(&kept)?;
        if let Some(folder) = self.path.parent() {
            self.files.create_dir_all(folder)?;
            // The folder may be new: without its own name the file in it would be lost.
            if let (None, Some(parent)) = (self.kept.versions.last(), folder.parent()) {
                self.files.sync_dir(parent)?;
            }
        }
        self.files.replace(&self.path, &bytes)?;
        self.kept = kept;
        Ok(version)
    }
}

impl Kept {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let kept: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if kept.format != FORMAT {
            return Err(format!("its format {} is not known", kept.format));
        }
        Ok(kept)
    }
}

impl Version {
    fn schema(&self) -> Result<TableSchema, String> {
        let column = |kept: &KeptColumn| {
            // Types of any length: those inferred are bounded by their fields.
            let of = types::parse(&kept.of)
                .map_err(|error| format!("type of column {:?}: {error}", kept.name))?;
            Ok(Column { name: kept.name.clone(), of })
        };
        let columns = self.columns.iter().map(column).collect::<Result<_, String>>()?;
        TableSchema::new(columns, Vec::new()).map_err(|error| error.to_string())
    }
}

fn kept_columns(columns: &[Column]) -> Vec<KeptColumn> {
    let kept =
        |column: &Column| KeptColumn { name: column.name.clone(), of: column.of.to_string() };
    columns.iter().map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::sim::{SimFiles, Trouble};

    const PATH: &str = "/data/schema/schema.json";

    fn schema(ddl: &str) -> TableSchema {
        TableSchema::from_ddl(ddl).unwrap()
    }

    fn load(files: &SimFiles) -> Result<InferStore, StoreError> {
        InferStore::load(Path::new(PATH), Arc::new(files.clone()))
    }

    #[test]
    fn versions_survive_a_crash() {
        let files = SimFiles::new(1);
        let mut store = load(&files).unwrap();
        assert_eq!(store.current(), None);
        assert_eq!(store.keep(&schema("a bigint, b struct<`c d`:string>")).unwrap(), 1);
        let wider = schema("a double, b struct<`c d`:string>, e array<map<string,boolean>>");
        assert_eq!(store.keep(&wider).unwrap(), 2);
        files.crash();
        assert_eq!(load(&files).unwrap().current(), Some((2, wider)));
    }

    #[test]
    fn what_could_not_be_written_is_not_the_newest() {
        let files = SimFiles::new(2);
        let mut store = load(&files).unwrap();
        store.keep(&schema("a bigint")).unwrap();
        for trouble in [Trouble::Write(0), Trouble::Sync(0), Trouble::Full(0)] {
            files.trouble(trouble);
            store.keep(&schema("a double")).unwrap_err();
            assert_eq!(store.current(), Some((1, schema("a bigint"))), "{trouble:?}");
        }
        files.crash();
        assert_eq!(load(&files).unwrap().current(), Some((1, schema("a bigint"))));
        assert_eq!(store.keep(&schema("a double")).unwrap(), 2, "the next try succeeds");
    }

    #[test]
    fn only_the_last_versions_are_kept() {
        let files = SimFiles::new(3);
        let mut store = load(&files).unwrap();
        for number in 1..=50 {
            assert_eq!(store.keep(&schema("a bigint")).unwrap(), number);
        }
        assert_eq!(store.kept.versions.len(), limits::INFERRED_VERSIONS_KEPT);
        assert_eq!(load(&files).unwrap().current().unwrap().0, 50);
    }

    #[test]
    fn the_widest_schema_is_read_back() {
        let name = |number| format!("{}{number:04}", "ü".repeat(251));
        let fields = (0..limits::SCHEMA_FIELDS_MAX - 1)
            .map(|number| Column { name: name(number), of: crate::encode::schema::HiveType::Date });
        let of = crate::encode::schema::HiveType::Struct(fields.collect());
        let wide = TableSchema::new(vec![Column { name: "a".into(), of }], Vec::new()).unwrap();
        let files = SimFiles::new(4);
        load(&files).unwrap().keep(&wide).unwrap();
        assert_eq!(load(&files).unwrap().current(), Some((1, wide)));
    }

    #[test]
    fn a_damaged_file_is_told_and_not_replaced() {
        for (content, message) in [
            ("{\"format\":1,\"vers", "EOF"),
            ("{\"format\":9,\"versions\":[]}", "format 9"),
            (
                "{\"format\":1,\"versions\":[{\"version\":1,\"columns\":[{\"name\":\"a\",\"type\":\"in\"}]}]}",
                "type of column \"a\": column 1: expected a type",
            ),
            ("{\"format\":1,\"versions\":[{\"version\":1,\"columns\":[]}]}", "no columns"),
        ] {
            let files = SimFiles::new(5);
            files.replace(Path::new(PATH), content.as_bytes()).unwrap();
            let error = load(&files).err().expect("it is damaged").to_string();
            assert!(error.contains(message), "{error}");
            assert_eq!(files.read(Path::new(PATH)).unwrap(), content.as_bytes());
        }
    }
}
