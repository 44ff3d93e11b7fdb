//! `standpipe flush`: deliver now what waits for size or interval.

use std::process::ExitCode;

use clap::Args;
use http::Method;

use super::{
    admin::{Admin, Connection, readable, segment},
    output, runtime,
};

/// Deliver what a stream has buffered now, without waiting for size or interval.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  standpipe flush clickstream")]
pub struct Arguments {
    /// Name of the stream.
    #[arg(value_name = "STREAM")]
    stream: String,

    #[command(flatten)]
    connection: Connection,
}

pub fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let path = format!("/v1/streams/{}/flush", segment(&arguments.stream));
    let admin = Admin::new(&arguments.connection);
    let answer = runtime()?.block_on(admin.call(Method::POST, &path))?;
    output::print(&readable(&answer))?;
    Ok(ExitCode::SUCCESS)
}
