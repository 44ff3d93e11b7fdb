//! `standpipe demo`: the whole way of a record in one command.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Args;

/// Start a daemon with a local folder as its bucket, send records, show what was delivered.
///
/// Needs no configuration, no account and no network.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  standpipe demo\n  \
                  standpipe demo --keep-running --dir /tmp/standpipe-demo\n  \
                  aws firehose --endpoint-url http://127.0.0.1:4573 --no-sign-request \
                  list-delivery-streams")]
pub struct Arguments {
    /// Go on accepting records after the demonstration, until Ctrl-C.
    #[arg(long)]
    keep_running: bool,

    /// Folder for the journal and the bucket; a temporary one that is removed if absent.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Address to listen on, loopback only; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4573")]
    listen: SocketAddr,
}

pub fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // DAEMON: the demonstration itself.
    anyhow::bail!("this build has no daemon to demonstrate ({arguments:?})")
}
