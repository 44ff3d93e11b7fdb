//! What is printed, and where: answers to stdout, everything else to stderr.

use std::{
    io::{self, Write},
    path::Path,
};

use crate::config::{self, Config};

/// Prints an answer. A reader that went away (`| head`) is no error.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Prints an error with its causes. What cannot be printed has nobody to read it.
pub fn error(error: &anyhow::Error) {
    let mut text = format!("error: {error}\n");
    let mut last = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Many libraries repeat their cause in their own text.
        if !last.contains(&cause) {
            text += &format!("  because: {cause}\n");
        }
        last = cause;
    }
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Reads a configuration; prints every mistake in it to stderr before failing.
pub fn load_config(path: &Path) -> anyhow::Result<Config> {
    config::load(path).map_err(|problems| {
        let mut text = String::new();
        for problem in &problems {
            text += &format!("{problem}\n");
        }
        let _ = io::stderr().lock().write_all(text.as_bytes());
        match problems.len() {
            1 => anyhow::anyhow!("1 mistake in {}", path.display()),
            count => anyhow::anyhow!("{count} mistakes in {}", path.display()),
        }
    })
}

/// `1 record`, `2 records`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
