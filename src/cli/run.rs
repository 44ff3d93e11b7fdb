//! `standpipe run`: the daemon.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{output, serve::Serving};
use crate::{api::backend::Backend, config::Config};

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
    super::runtime()?.block_on(run(&config, arguments.config))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs until SIGTERM or Ctrl-C; SIGHUP reads the file again.
async fn run(config: &Config, file: PathBuf) -> anyhow::Result<()> {
    // Installed first: a signal during the start must not kill the process half open.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut serving = Serving::start(config, Some(file)).await?;
    tracing::info!(version = super::VERSION, address = %serving.address, "standpipe is running");
    loop {
        tokio::select! {
            error = serving.listener_failed() => {
                serving.daemon.shut_down().await;
                return Err(error);
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                // In a task: a reload may wait for a slow destination, and SIGTERM must not.
                let backend = serving.backend.clone();
                tokio::spawn(async move {
                    if let Err(error) = backend.reload().await {
                        tracing::error!(%error, "configuration not reloaded");
                    }
                });
            }
        }
    }
    tracing::info!("stopping: no more records are taken, what is open is delivered");
    tokio::select! {
        () = serving.shut_down() => {}
        _ = terminate.recv() => tracing::warn!("stopping at once: the rest stays in the journal"),
        _ = interrupt.recv() => tracing::warn!("stopping at once: the rest stays in the journal"),
    }
    tracing::info!("stopped");
    Ok(())
}
