//! `standpipe check`: every destination tried out once.

use std::{collections::BTreeSet, io, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::output;
use crate::{config::Config, daemon, seams::Trial};

/// Try every destination of a configuration once, step by step.
///
/// Connects to each destination and each backup bucket as the daemon would, and says what worked
/// and what did not: name resolution, TLS, keys, permissions. No stream is started and no record
/// is delivered; what a trial writes, it removes. The data directory is not touched, so a daemon
/// may be running.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  standpipe check config.yaml\n  \
                  standpipe check config.yaml clicks orders\n  \
                  standpipe check config.yaml --json | jq 'select(.ok | not)'\n\n\
                  Exit codes: 0 every trial passed, 1 one failed, or the file has mistakes, \
                  2 wrong usage.")]
pub struct Arguments {
    /// The configuration file.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,

    /// The streams whose destinations are tried; all if none is given.
    #[arg(value_name = "STREAM")]
    streams: Vec<String>,

    /// Print a line of JSON for each trial.
    #[arg(long)]
    json: bool,
}

pub fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = output::load_config(&arguments.config)?;
    super::runtime()?.block_on(run(&config, &arguments))
}

async fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut tally = Tally::default();
    let mut printed = Ok(());
    let passed = daemon::check(config, &arguments.streams, |stream, destination, trial| {
        tally.count(stream, destination, trial);
        let text = if arguments.json {
            as_json(stream, destination, trial)
        } else {
            as_text(stream, destination, trial)
        };
        // Each as it comes: a destination that hangs must not hide what is known of the others.
        let outcome = output::print(&text);
        if printed.is_ok() {
            printed = outcome;
        }
    })
    .await?;
    printed.context("the answer cannot be printed")?;
    let _ = io::Write::write_all(&mut io::stderr().lock(), tally.summary().as_bytes());
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `clicks/splunk  authentication  failed: Splunk.InvalidToken: Invalid token`
fn as_text(stream: &str, destination: &str, trial: &Trial) -> String {
    let found = match &trial.result {
        Ok(words) if words.is_empty() => "ok".to_owned(),
        Ok(words) => format!("ok: {words}"),
        Err(cause) => format!("failed: {cause}"),
    };
    format!("{stream}/{destination}  {}  {found}\n", trial.step)
}

fn as_json(stream: &str, destination: &str, trial: &Trial) -> String {
    let (ok, code, message) = match &trial.result {
        Ok(words) => (true, None, words),
        Err(cause) => (false, Some(&cause.code), &cause.message),
    };
    let line = json!({
        "stream": stream,
        "destination": destination,
        "step": trial.step,
        "ok": ok,
        "code": code,
        "message": message,
    });
    format!("{line}\n")
}

/// How many destinations were tried, and which of them failed.
#[derive(Debug, Default)]
struct Tally {
    tried: BTreeSet<(String, String)>,
    failed: BTreeSet<(String, String)>,
}

impl Tally {
    fn count(&mut self, stream: &str, destination: &str, trial: &Trial) {
        let name = (stream.to_owned(), destination.to_owned());
        if trial.result.is_err() {
            self.failed.insert(name.clone());
        }
        self.tried.insert(name);
    }

    fn summary(&self) -> String {
        let tried = output::counted(self.tried.len() as u64, "destination");
        match self.failed.len() {
            0 => format!("{tried} tried, none failed\n"),
            failed => format!("{tried} tried, {failed} failed\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Cause;

    fn trial(result: Result<&str, Cause>) -> Trial {
        Trial { step: "write", result: result.map(str::to_owned) }
    }

    #[test]
    fn a_trial_is_a_line() {
        let refused = trial(Err(Cause::new("S3.NoSuchBucket", "404 on PutObject")));
        assert_eq!(as_text("a", "s3", &trial(Ok("s3://logs/x"))), "a/s3  write  ok: s3://logs/x\n");
        assert_eq!(as_text("a", "s3", &trial(Ok(""))), "a/s3  write  ok\n");
        assert_eq!(
            as_text("a", "s3", &refused),
            "a/s3  write  failed: S3.NoSuchBucket: 404 on PutObject\n"
        );
        let line: serde_json::Value =
            serde_json::from_str(as_json("a", "s3", &refused).trim_end()).unwrap();
        assert_eq!(
            line,
            json!({"stream": "a", "destination": "s3", "step": "write", "ok": false,
                   "code": "S3.NoSuchBucket", "message": "404 on PutObject"})
        );
    }

    #[test]
    fn a_destination_that_failed_once_has_failed() {
        let mut tally = Tally::default();
        tally.count("a", "s3", &trial(Ok("")));
        assert_eq!(tally.summary(), "1 destination tried, none failed\n");
        tally.count("a", "splunk", &trial(Ok("")));
        tally.count("a", "splunk", &trial(Err(Cause::new("Splunk.InvalidToken", "no"))));
        assert_eq!(tally.summary(), "2 destinations tried, 1 failed\n");
    }
}
