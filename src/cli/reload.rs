//! `standpipe reload`: the daemon reads its file again.

use std::process::ExitCode;

use clap::Args;
use http::Method;

use super::{
    admin::{Admin, Connection, readable},
    output, runtime,
};

/// Let the daemon read its configuration file again.
///
/// A file with mistakes changes nothing: the daemon goes on as it was, and the mistakes are told
/// here.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  standpipe validate config.yaml && standpipe reload")]
pub struct Arguments {
    #[command(flatten)]
    connection: Connection,
}

pub fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let admin = Admin::new(&arguments.connection);
    let answer = runtime()?.block_on(admin.call(Method::POST, "/v1/reload"))?;
    output::print(&readable(&answer))?;
    Ok(ExitCode::SUCCESS)
}
