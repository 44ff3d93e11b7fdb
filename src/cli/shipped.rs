//! `standpipe shipped`: whether a followed file may be deleted.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use http::Method;
use serde_json::Value;

use super::{
    admin::{Admin, Connection, segment},
    output, runtime,
};
use crate::units::Span;

/// How often it is asked again with `--wait`.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Tell whether every byte of a followed file is safe: stored in a durable journal, or delivered to
/// every destination. For logrotate: a file that is shipped may be deleted.
#[derive(Debug, Args)]
#[command(after_help = "Exits 0 if it is, 1 if it is not.\n\nExamples:\n  \
                  standpipe shipped /var/log/app/app.log.1 && rm /var/log/app/app.log.1\n  \
                  standpipe shipped --wait 60s /var/log/app/app.log.1\n\nIn logrotate:\n  \
                  prerotate\n    standpipe shipped --wait 30s /var/log/app/app.log.5\n  endscript")]
pub struct Arguments {
    /// The file, as the daemon sees it.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Wait until it is, for this long at the most.
    #[arg(long, value_name = "DURATION")]
    wait: Option<Span>,

    /// Print the daemon's answer as it is.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

pub fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let file = std::path::absolute(&arguments.file)?;
    let text = file.to_str().context("the path is not UTF-8")?;
    let path = format!("/v1/shipped/{}", segment(text));
    let admin = Admin::new(&arguments.connection);
    let answer = runtime()?.block_on(async {
        let until = arguments.wait.map(|Span(wait)| tokio::time::Instant::now() + wait);
        loop {
            let answer = admin.call(Method::GET, &path).await?;
            let in_time = until.is_some_and(|until| tokio::time::Instant::now() < until);
            if is_shipped(&answer) || !in_time {
                return Ok::<_, anyhow::Error>(answer);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    })?;
    let text = match arguments.json {
        true => format!("{}\n", serde_json::to_string_pretty(&answer)?),
        false => readable(text, &answer),
    };
    output::print(&text)?;
    Ok(if is_shipped(&answer) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_shipped(answer: &Value) -> bool {
    answer["shipped"] == true
}

/// A line for each stream that follows the file.
fn readable(file: &str, answer: &Value) -> String {
    let streams = answer["streams"].as_array().map(Vec::as_slice).unwrap_or_default();
    let line = |stream: &Value| {
        let (bytes, size) = (&stream["bytes"], &stream["size"]);
        let name = stream["stream"].as_str().unwrap_or_default();
        match stream["shipped"] == true {
            true => format!("{file}: shipped by {name} ({size} bytes)\n"),
            false => format!("{file}: {bytes} of {size} bytes shipped by {name}\n"),
        }
    };
    streams.iter().map(line).collect()
}
