//! `standpipe run`: the daemon.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::output;
use crate::config::Config;

/// Run the daemon until SIGTERM or Ctrl-C.
///
/// What was accepted and not yet delivered stays in the data directory and is delivered after
/// the next start.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  standpipe run /etc/standpipe/config.yaml\n  \
                  STANDPIPE_LOG=debug standpipe run config.yaml --log-format json\n\n\
                  Exit codes: 0 told to stop, 1 a mistake in the file or a failure.")]
pub struct Arguments {
    /// The configuration file (see `standpipe validate`).
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
}

pub fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = output::load_config(&arguments.config)?;
    start(config, &arguments.config)?;
    Ok(ExitCode::SUCCESS)
}

/// The one line that hands over to the daemon.
fn start(_config: Config, path: &Path) -> anyhow::Result<()> {
    // DAEMON: crate::daemon::run(config, path)
    anyhow::bail!("{}: this build has no daemon", path.display())
}
