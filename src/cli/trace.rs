//! `standpipe trace`: what became of a record.

use std::process::ExitCode;

use clap::Args;
use http::Method;

use super::{
    admin::{Admin, Connection, segment},
    output, runtime,
};

/// Show what became of a record: where it waits, or which object holds it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  standpipe trace 49546986683135544286507457936321625675700192471156785154\n  \
                  standpipe trace ID --json | jq .destinations")]
pub struct Arguments {
    /// The RecordId that PutRecord or PutRecordBatch answered.
    #[arg(value_name = "RECORD_ID")]
    record_id: String,

    /// Print the daemon's answer as it is.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

pub fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let path = format!("/v1/trace/{}", segment(&arguments.record_id));
    let admin = Admin::new(&arguments.connection);
    let answer = runtime()?.block_on(admin.call(Method::GET, &path))?;
    let text = match arguments.json {
        true => format!("{}\n", serde_json::to_string_pretty(&answer)?),
        false => super::admin::readable(&answer),
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
