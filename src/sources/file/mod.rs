//! Files as a source: the sidecar.
//!
//! ```text
//! walk ──▶ identity, registry ──▶ slot, follow ──▶ lines ──▶ ledger ──▶ journal
//! which     which of them is       one that is      records   puts with
//! files     which known file       open             in it     positions
//! ```
//!
//! - Each file generation has a key and a position ([`identity::Position`]), stored in the frame of
//!   the lines that it stands behind. A generation ends when its file is deleted, or truncated.
//! - Files are held open from the moment they are found until they are read to their end, and no
//!   pattern has matched them for `rotate_wait`: a name that changes, or goes, loses nothing.
//! - Folders and files are looked at every second; what the kernel tells in between is a hint.

mod discover;
mod follow;
mod glob;
mod identity;
mod ledger;
pub mod lines;
mod open;
mod options;
mod registry;
mod saved;
mod shipped;
mod slot;
mod tail;
mod unpack;
mod walk;
mod watch;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

pub use options::{Options, Start};
pub use shipped::{Shipped, is_shipped};

use self::{
    discover::Discovery,
    follow::Rules,
    glob::Pattern,
    identity::Position,
    ledger::Ledger,
    lines::Plan,
    registry::Registry,
    saved::Saved,
    slot::Patience,
    tail::{Shared, Tail, blocking},
    walk::Walker,
};
use crate::{
    limits,
    seams::{Inlet, Source},
    sources::{Checkpoints, Context},
};

/// What a generation of a file is called in the journal.
type FileKey = String;

/// What can never work of these options, in words for their author. Asks nobody.
pub fn check(options: &Options, stream: &str) -> Result<(), String> {
    FileSource::new(options.clone(), Context::for_check(stream)).map(|_| ())
}

/// Follows files.
pub struct FileSource {
    options: Options,
    context: Context,
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    rules: Arc<Rules>,
    /// Present while it runs.
    ledger: Mutex<Option<Arc<Ledger>>>,
}

impl FileSource {
    /// # Errors
    /// What is wrong with the options.
    pub fn new(options: Options, context: Context) -> Result<Self, String> {
        let (include, exclude) = options.patterns()?;
        let plan = Plan::new(&options.lines).map_err(|problems| {
            let say = |problem: &lines::Problem| format!("{}: {}", problem.key, problem.message);
            problems.iter().map(say).collect::<Vec<_>>().join("; ")
        })?;
        if options.max_open_files == 0 {
            return Err("max_open_files must be at least 1".to_owned());
        }
        let rules = Arc::new(Rules { plan: Arc::new(plan), offsets: options.offsets });
        Ok(Self { options, context, include, exclude, rules, ledger: Mutex::new(None) })
    }

    /// Whether the patterns name this path.
    pub fn follows(&self, path: &Path) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(path));
        any(&self.include) && !any(&self.exclude)
    }

    /// Where files are read to, as far as it is safe: what [`is_shipped`] is asked with. Empty
    /// while the source does not run.
    pub fn positions(&self) -> BTreeMap<String, String> {
        self.ledger.lock().as_ref().map(|ledger| ledger.positions()).unwrap_or_default()
    }

    /// Asks the journal and our own file where the source stands, until they answer.
    async fn ledger(&self, inlet: Arc<dyn Inlet>) -> Arc<Ledger> {
        loop {
            let (env, folder) = (self.context.env.clone(), self.context.folder.clone());
            let stream = &self.context.stream;
            match blocking(move || Saved::load(env, &folder)).await {
                Ok(saved) => {
                    match Checkpoints::open(inlet.clone(), self.context.metrics.clone()).await {
                        Ok(checkpoints) => {
                            return Arc::new(Ledger::new(Arc::new(checkpoints), saved));
                        }
                        Err(error) => {
                            error!(%stream, %error, "the journal does not say where files are read to")
                        }
                    }
                }
                Err(error) => {
                    let folder = self.context.folder.display();
                    error!(%stream, %folder, %error, "positions.json cannot be read; mend it, or remove it to read all files anew");
                }
            }
            self.context.metrics.error("PositionsNotRead");
            tokio::time::sleep(limits::FILE_RETRY_INTERVAL).await;
        }
    }

    fn known(&self, ledger: &Ledger) -> Registry {
        let stream = &self.context.stream;
        let decode = |(key, text): (String, String)| match Position::decode(&text) {
            Some(position) => Some((key, position)),
            None => {
                warn!(%stream, key, "a stored position is not understood; its file is read anew");
                None
            }
        };
        Registry::new(ledger.known().into_iter().filter_map(decode))
    }

    /// No more than half of what the process may open: connections need some too.
    fn max_open(&self) -> usize {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let half = limit.current.map_or(u64::MAX, |files| files / 2).max(1);
        u64::from(self.options.max_open_files).min(half) as usize
    }
}

#[async_trait]
impl Source for FileSource {
    async fn run(&self, inlet: Arc<dyn Inlet>, stop: CancellationToken) {
        let ledger = tokio::select! {
            ledger = self.ledger(inlet) => ledger,
            () = stop.cancelled() => return,
        };
        *self.ledger.lock() = Some(ledger.clone());
        let discovery = Discovery::new(
            self.known(&ledger),
            Walker::new(self.include.clone(), self.exclude.clone()),
            ledger.is_first_start(),
            self.options.start,
            self.options.ignore_older(),
            self.max_open(),
        );
        let shared = Shared {
            stream: self.context.stream.as_str().into(),
            env: self.context.env.clone(),
            metrics: self.context.metrics.clone(),
            ledger,
            rules: self.rules.clone(),
            stop,
        };
        let patience = Patience {
            rotate_wait: self.options.rotate_wait.0,
            last_line: self.options.last_line_timeout.0,
        };
        Tail::new(shared, discovery, patience).run().await;
    }
}
