//! The command line: one file per command.
//!
//! Exit codes are the same everywhere: 0 done, 1 failed, 2 wrong usage, 130 interrupted.

mod admin;
mod check;
mod completions;
mod demo;
mod flush;
mod import;
mod logging;
mod output;
mod reload;
mod replay;
mod run;
mod samples;
mod send;
mod serve;
mod shipped;
mod trace;
mod transform;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::logging::LogOptions;

/// Version and commit, as `--version` prints them.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("STANDPIPE_COMMIT"), ")");

/// Interrupted by Ctrl-C, as shells count it.
const INTERRUPTED: u8 = 130;

/// A self-hosted Amazon Data Firehose: accepts records, keeps them safely, delivers them in
/// batches.
#[derive(Debug, Parser)]
#[command(
    name = "standpipe",
    version = VERSION,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.\n\n\
                  Begin with `standpipe demo`, then see `standpipe run --help`."
)]
struct Cli {
    #[command(flatten)]
    log: LogOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Arguments),
    Demo(demo::Arguments),
    Validate(validate::Arguments),
    Check(check::Arguments),
    Send(send::Arguments),
    Trace(trace::Arguments),
    Shipped(shipped::Arguments),
    Transform(transform::Arguments),
    Replay(Box<replay::Arguments>),
    Import(import::Arguments),
    Reload(reload::Arguments),
    Flush(flush::Arguments),
    Completions(completions::Arguments),
}

/// Runs the command of this process. Wrong usage ends the process with 2 by itself.
pub fn main() -> ExitCode {
    let Cli { log, command } = Cli::parse();
    let daemon = matches!(command, Command::Run(_) | Command::Demo(_));
    let answer = log.init(if daemon { "info" } else { "warn" }).and_then(|()| match command {
        Command::Run(arguments) => run::execute(arguments),
        Command::Demo(arguments) => demo::execute(arguments),
        Command::Validate(arguments) => validate::execute(arguments),
        Command::Check(arguments) => check::execute(arguments),
        Command::Send(arguments) => send::execute(arguments),
        Command::Trace(arguments) => trace::execute(arguments),
        Command::Shipped(arguments) => shipped::execute(arguments),
        Command::Transform(arguments) => transform::execute(arguments),
        Command::Replay(arguments) => replay::execute(*arguments),
        Command::Import(arguments) => import::execute(arguments),
        Command::Reload(arguments) => reload::execute(arguments),
        Command::Flush(arguments) => flush::execute(arguments),
        Command::Completions(arguments) => completions::execute(arguments),
    });
    answer.unwrap_or_else(|error| {
        output::error(&error);
        ExitCode::FAILURE
    })
}

/// The runtime of a command. Half of the processors serve sockets: encoding has threads of its
/// own, and work that changes threads less often costs less (measured: 3 % of all CPU).
/// `TOKIO_WORKER_THREADS` says otherwise.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        builder.worker_threads((processors / 2).max(1));
    }
    Ok(builder.enable_all().build()?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
