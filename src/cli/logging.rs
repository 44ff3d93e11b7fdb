//! How the process logs: to stderr, as text or as JSON lines.

use std::io::IsTerminal;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub struct LogOptions {
    /// Form of log lines.
    #[arg(long, global = true, value_enum, default_value = "text", env = "STANDPIPE_LOG_FORMAT")]
    log_format: LogFormat,

    /// error, warn, info, debug or trace; or filters like `info,standpipe::delivery=debug`.
    /// `run` and `demo` log at info, other commands at warn.
    #[arg(long, global = true, value_name = "LEVEL", env = "STANDPIPE_LOG")]
    log_level: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogOptions {
    /// Starts logging. `default` is the level where none is given.
    pub fn init(&self, default: &str) -> anyhow::Result<()> {
        let level = self.log_level.as_deref().unwrap_or(default);
        let filter = EnvFilter::try_new(directives(level))
            .with_context(|| format!("{level:?} is no log level"))?;
        let builder =
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        let started = match self.log_format {
            LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
            LogFormat::Json => builder.json().flatten_event(true).try_init(),
        };
        started.map_err(|error| anyhow::anyhow!("logging cannot start: {error}"))
    }
}

/// A bare level is ours; libraries speak up from `warn`, or at `trace` with everybody else.
fn directives(level: &str) -> String {
    match level.to_ascii_lowercase().as_str() {
        bare @ ("info" | "debug") => format!("warn,standpipe={bare}"),
        _ => level.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_keeps_libraries_quiet() {
        assert_eq!(directives("DEBUG"), "warn,standpipe=debug");
        assert_eq!(directives("trace"), "trace");
        assert_eq!(directives("info,hyper=debug"), "info,hyper=debug");
        assert!(EnvFilter::try_new(directives("debug")).is_ok());
    }
}
