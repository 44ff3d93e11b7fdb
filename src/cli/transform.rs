//! `standpipe transform`: a stream's transforms, partitions and conversion tried out on records.

use std::{
    io::{self, BufRead, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::{Args, ValueEnum};

use super::output;
use crate::{
    config::Config,
    daemon::preview::{Fate, Preview},
    limits,
};

/// Records that go through the chain together.
const TOGETHER: usize = 500;

/// Try a stream's transforms on records, and see what would become of each.
///
/// Reads records from standard input, takes them through the transforms, the partitions and the
/// format conversion of one destination, and prints a line of JSON for every end: `emit` with the
/// prefix of its object and the record (or the rows of its file), `drop`, or `fail` with the reason
/// and the prefix of the error output. Nothing is stored and nothing is delivered; functions
/// (`lambda`) and catalogs (`schema: glue`) are really called.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  standpipe transform config.yaml clicks < records.ndjson\n  \
                  echo '{\"app\":\"a\"}' | standpipe transform config.yaml clicks\n  \
                  standpipe transform config.yaml logs --records whole < payload.gz\n  \
                  standpipe transform config.yaml clicks < records.ndjson | jq 'select(.verdict == \"fail\")'\n\n\
                  Exit codes: 0 done, whatever the verdicts; 1 failed, 2 wrong usage.")]
pub struct Arguments {
    /// The configuration file.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,

    /// The stream whose transforms are tried.
    #[arg(value_name = "STREAM")]
    stream: String,

    /// Its destination, by name; the first one if not given.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,

    /// How records stand in the input.
    #[arg(long, value_enum, default_value_t = Records::Lines)]
    records: Records,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Records {
    /// One a line.
    Lines,
    /// One a line, in base64, as `Data` stands in PutRecord.
    Base64,
    /// All of the input is one record.
    Whole,
}

pub fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = output::load_config(&arguments.config)?;
    super::runtime()?.block_on(run(&config, &arguments))
}

async fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let scratch = tempfile::tempdir().context("no temporary folder")?;
    let destination = arguments.destination.as_deref();
    let preview = Preview::open(config, &arguments.stream, destination, scratch.path())?;
    let mut input = Input { reader: io::stdin().lock(), kind: arguments.records, read: 0 };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut counts = Counts::default();
    loop {
        let first = input.read;
        let records = input.next()?;
        if records.is_empty() {
            break;
        }
        let fates = preview.run(first, records).await?;
        for (number, fates) in (first + 1..).zip(fates) {
            for fate in fates {
                counts.count(&fate);
                let mut line = serde_json::to_value(&fate)?;
                line.as_object_mut().context("a fate is an object")?.shift_insert(
                    0,
                    "record".to_owned(),
                    number.into(),
                );
                if let Err(error) = writeln!(out, "{line}") {
                    return broken_pipe(error);
                }
            }
        }
    }
    if let Err(error) = out.flush() {
        return broken_pipe(error);
    }
    eprintln!(
        "{}: {} emitted, {} dropped, {} failed",
        output::counted(input.read, "record"),
        counts.emitted,
        counts.dropped,
        counts.failed
    );
    Ok(ExitCode::SUCCESS)
}

/// Whoever reads the output may have seen enough.
fn broken_pipe(error: io::Error) -> anyhow::Result<ExitCode> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(ExitCode::SUCCESS);
    }
    Err(error).context("the answer cannot be printed")
}

#[derive(Default)]
struct Counts {
    emitted: u64,
    dropped: u64,
    failed: u64,
}

impl Counts {
    fn count(&mut self, fate: &Fate) {
        match fate {
            Fate::Emit { .. } => self.emitted += 1,
            Fate::Drop => self.dropped += 1,
            Fate::Fail { .. } => self.failed += 1,
        }
    }
}

/// Records from a reader.
struct Input<R> {
    reader: R,
    kind: Records,
    /// How many were read.
    read: u64,
}

impl<R: BufRead> Input<R> {
    /// The next few records; none at the end.
    fn next(&mut self) -> anyhow::Result<Vec<Bytes>> {
        let mut records = Vec::new();
        let mut bytes = 0;
        while records.len() < TOGETHER && bytes < limits::BATCH_BYTES_MAX {
            let Some(record) = self.one()? else { break };
            bytes += record.len();
            records.push(record);
            self.read += 1;
        }
        Ok(records)
    }

    fn one(&mut self) -> anyhow::Result<Option<Bytes>> {
        let most = limits::RECORD_BYTES_MAX as u64;
        let number = self.read + 1;
        let mut record = Vec::new();
        if self.kind == Records::Whole {
            (&mut self.reader).take(most + 1).read_to_end(&mut record)?;
            check_size(&record, number)?;
            return Ok(Some(record).filter(|record| !record.is_empty()).map(Bytes::from));
        }
        // In base64 a line is longer than its record.
        let read = (&mut self.reader).take(2 * most + 2).read_until(b'\n', &mut record)?;
        if read == 0 {
            return Ok(None);
        }
        if record.last() == Some(&b'\n') {
            record.pop();
        }
        if self.kind == Records::Base64 {
            let decoded = base64_simd::STANDARD.decode_to_vec(record.trim_ascii());
            record = decoded.with_context(|| format!("record {number} is no base64"))?;
        }
        check_size(&record, number)?;
        Ok(Some(record.into()))
    }
}

fn check_size(record: &[u8], number: u64) -> anyhow::Result<()> {
    if record.len() > limits::RECORD_BYTES_MAX {
        bail!(
            "record {number} is longer than {} bytes, the most a record may have",
            limits::RECORD_BYTES_MAX
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Records, input: &[u8]) -> anyhow::Result<Vec<Bytes>> {
        Input { reader: input, kind, read: 0 }.next()
    }

    #[test]
    fn records_are_told_apart_by_lines_or_not_at_all() {
        assert_eq!(read(Records::Lines, b"a\n\nb").unwrap(), ["a", "", "b"]);
        assert_eq!(read(Records::Whole, b"a\nb\n").unwrap(), ["a\nb\n"]);
        assert_eq!(read(Records::Base64, b"YQ==\n AP8= \n").unwrap(), [&b"a"[..], &[0, 255]]);
        assert!(read(Records::Whole, b"").unwrap().is_empty());
        assert!(read(Records::Base64, b"?").is_err());
        assert!(read(Records::Lines, &[b'x'; limits::RECORD_BYTES_MAX + 1]).is_err());
    }
}
