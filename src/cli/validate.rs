//! `standpipe validate`: every mistake of a configuration at once.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;

use super::output;
use crate::config;

/// Check a configuration file and tell every mistake in it.
///
/// Also reads the files that it names (certificates, keys, credentials) and the environment
/// variables that it uses. Nothing is contacted and nothing is written.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  standpipe validate config.yaml\n  \
                  standpipe validate --schema > standpipe.schema.json\n\n\
                  Exit codes: 0 valid, 1 mistakes (one line each on stderr), 2 wrong usage.")]
pub struct Arguments {
    /// The configuration file.
    #[arg(value_name = "CONFIG", required_unless_present = "schema")]
    config: Option<PathBuf>,

    /// Print the JSON Schema of configuration files instead, for editors.
    #[arg(long, conflicts_with = "config")]
    schema: bool,
}

pub fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Some(path) = arguments.config else {
        let schema = serde_json::to_string_pretty(&config::schema())?;
        output::print(&format!("{schema}\n")).context("the schema cannot be printed")?;
        return Ok(ExitCode::SUCCESS);
    };
    let config = output::load_config(&path)?;
    let destinations: usize = config.streams.values().map(|stream| stream.destinations.len()).sum();
    output::print(&format!(
        "{} is valid: {}, {}\n",
        path.display(),
        output::counted(config.streams.len() as u64, "stream"),
        output::counted(destinations as u64, "destination"),
    ))?;
    Ok(ExitCode::SUCCESS)
}
