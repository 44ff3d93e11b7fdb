//! `standpipe completions`: for shells.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, output};

/// Print a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  standpipe completions bash > /etc/bash_completion.d/standpipe\n  \
                  standpipe completions zsh > \"${fpath[1]}/_standpipe\"")]
pub struct Arguments {
    /// The shell.
    shell: Shell,
}

pub fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "standpipe", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
