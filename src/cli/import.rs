//! `standpipe import`: configurations of others become ours.

use std::{
    fs::OpenOptions,
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::output;
use crate::config::import::{AgentImport, kinesis_agent};

/// Make a configuration file of another program's.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    KinesisAgent(KinesisAgent),
}

/// Make a configuration file of a Kinesis Agent's agent.json.
///
/// Its flows become streams that follow the same files, with its processing options as transforms.
/// What could not be carried over is told on stderr and in comments of the file. Positions in files
/// are not carried over: let the agent catch up and stop it, then start the daemon.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  standpipe import kinesis-agent /etc/aws-kinesis/agent.json --bucket my-logs\n  \
                  standpipe import kinesis-agent agent.json --bucket my-logs --output standpipe.yaml\n  \
                  standpipe import kinesis-agent - < agent.json\n\n\
                  Exit codes: 0 written, 1 failed, 2 wrong usage.")]
struct KinesisAgent {
    /// The agent's configuration; - for standard input.
    #[arg(value_name = "AGENT_JSON")]
    file: PathBuf,

    /// The bucket that the lines go to, or file:///some/folder. Without it there is a place to fill
    /// in, and `standpipe validate` says so.
    #[arg(long, value_name = "BUCKET")]
    bucket: Option<String>,

    /// The folder for journals.
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/standpipe")]
    data_dir: String,

    /// Where the configuration is written, which must not exist yet; standard output if not given.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.from {
        From::KinesisAgent(arguments) => agent(arguments),
    }
}

fn agent(arguments: KinesisAgent) -> anyhow::Result<ExitCode> {
    let KinesisAgent { file, bucket, data_dir, output } = arguments;
    let shown = file.display();
    let text = read(&file).with_context(|| format!("{shown} cannot be read"))?;
    let import = AgentImport { bucket, data_dir };
    let imported =
        kinesis_agent(&text, &import).with_context(|| format!("{shown} cannot be imported"))?;
    match &output {
        Some(path) => write_new(path, &imported.text)?,
        None => output::print(&imported.text).context("the configuration cannot be printed")?,
    }
    for note in &imported.notes {
        eprintln!("note: {}", note.escape_debug());
    }
    if import.bucket.is_none() {
        eprintln!("note: no bucket was given: fill it in where the file says so, or use --bucket");
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> io::Result<String> {
    if file != Path::new("-") {
        return std::fs::read_to_string(file);
    }
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}

/// Writes a file that is not there yet: a configuration somebody works on is not overwritten.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let shown = path.display();
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).with_context(|| format!("{shown} cannot be written"))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{shown} is there already: name another file, or remove it")
        }
        Err(error) => Err(error).with_context(|| format!("{shown} cannot be made")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(file: PathBuf, output: PathBuf) -> KinesisAgent {
        let bucket = Some("my-logs".to_owned());
        KinesisAgent { file, bucket, data_dir: "/data".into(), output: Some(output) }
    }

    #[test]
    fn a_file_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let (agent_json, yaml) = (folder.path().join("agent.json"), folder.path().join("a.yaml"));
        let flows = r#"{"flows": [{"filePattern": "/a*", "deliveryStream": "s"}]}"#;
        std::fs::write(&agent_json, flows).unwrap();
        agent(arguments(agent_json.clone(), yaml.clone())).unwrap();
        let text = std::fs::read_to_string(&yaml).unwrap();
        assert!(text.contains("bucket: my-logs") && text.contains("data_dir: /data"), "{text}");

        let error = agent(arguments(agent_json.clone(), yaml)).unwrap_err().to_string();
        assert!(error.contains("is there already"), "{error}");
        std::fs::write(&agent_json, "{}").unwrap();
        let error = agent(arguments(agent_json, folder.path().join("b.yaml"))).unwrap_err();
        assert!(format!("{error:#}").contains("holds no flows"), "{error:#}");
    }
}
