//! Opening a local journal: reads the state, looks at the segments, repairs the last one.

use std::{io, path::Path};

use super::{
    calls::Calls,
    cursor::{self, State, StateError},
    frame::Identity,
    local::OpenError,
    new_id,
    recovery::{self, Action, Facts, Head, Scan},
    segment::{self, HeaderState, Segment, Table, Tuning},
    stands,
    writer::Active,
};
use crate::env::Files;

/// The name of the lock file.
pub const LOCK: &str = "lock";

/// What opening found and made good.
pub struct Opened {
    pub state: State,
    /// There are records, but nothing says any more who has settled what.
    pub cursors_lost: bool,
    pub table: Table,
    pub next: u64,
    pub calls: Calls,
    pub active: Option<Active>,
    pub damaged: Vec<(u64, u64)>,
    /// The last segment could not be repaired: nothing more is appended.
    pub failed: Option<io::Error>,
}

/// A segment file of this journal.
struct Found {
    first: u64,
    len: u64,
    head: Head,
}

struct Opening<'a> {
    files: &'a dyn Files,
    folder: &'a Path,
    tuning: &'a Tuning,
}

pub fn open(files: &dyn Files, folder: &Path, tuning: &Tuning) -> Result<Opened, OpenError> {
    Opening { files, folder, tuning }.run()
}

impl Opening<'_> {
    fn run(&self) -> Result<Opened, OpenError> {
        let state = self.read_state()?;
        let known = state.as_ref().map(|state| state.id);
        let (found, id) = self.find_segments(known)?;
        let cursors_lost = state.is_none() && !found.is_empty();
        if cursors_lost {
            // No record is lost: all start again at the oldest one.
            tracing::error!(
                folder = %self.folder.display(),
                "the cursors of a journal are lost: its records are delivered again, and none is \
                 given back until it is closed"
            );
        }
        let state = match (state, id) {
            (Some(state), _) => state,
            (None, Some(id)) => State { id, ..State::default() },
            (None, None) if found.is_empty() => State { id: new_id(), ..State::default() },
            (None, None) => return Err(OpenError::NoIdentity(self.folder.to_owned())),
        };
        Ok(Opened { cursors_lost, ..self.recover(state, found)? })
    }

    fn read_state(&self) -> Result<Option<State>, OpenError> {
        let path = self.folder.join(cursor::FILE);
        let bytes = match self.files.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(OpenError::Io { operation: "read", path, source }),
        };
        match State::decode(&bytes) {
            Ok(state) => Ok(Some(state)),
            Err(StateError::Newer(version)) => Err(OpenError::Newer { path, version }),
            Err(error @ StateError::Damaged) => {
                tracing::error!(
                    path = %path.display(), %error, "the cursors of a journal are damaged"
                );
                Ok(None)
            }
        }
    }

    /// The segments of this journal in order, and its id, taken from them if it is not known.
    fn find_segments(
        &self,
        known: Option<[u8; 16]>,
    ) -> Result<(Vec<Found>, Option<[u8; 16]>), OpenError> {
        let names = self.files.list(self.folder).map_err(|source| OpenError::Io {
            operation: "list",
            path: self.folder.to_owned(),
            source,
        })?;
        let mut id = known;
        let mut found = Vec::new();
        for name in names {
            let path = self.folder.join(&name);
            let Some(first) = segment::parse_name(&name) else {
                if !is_ours(&name) {
                    tracing::warn!(path = %path.display(), "a foreign file lies in a journal's folder");
                }
                continue;
            };
            let error = |source| OpenError::Io { operation: "read", path: path.clone(), source };
            let file = self.files.open_read(&path).map_err(error)?;
            let len = file.len().map_err(error)?;
            let (state, mut head) = recovery::look_at_header(&*file, len, first).map_err(error)?;
            match state {
                HeaderState::Sound { id: theirs, .. } if head == Head::Sound => {
                    let ours = *id.get_or_insert(theirs);
                    head = if ours == theirs { Head::Sound } else { Head::Foreign };
                }
                HeaderState::Newer(version) => return Err(OpenError::Newer { path, version }),
                _ => {}
            }
            if head == Head::Foreign {
                tracing::warn!(path = %path.display(), "a segment of another journal is left alone");
            } else {
                found.push(Found { first, len, head });
            }
        }
        Ok((found, id))
    }

    fn recover(&self, state: State, mut found: Vec<Found>) -> Result<Opened, OpenError> {
        let identity = Identity::new(state.id);
        let mut calls = Calls::new(self.tuning.calls_remembered);
        let last = found.pop();
        let last_first = last.as_ref().map(|last| last.first);
        let mut segments = Vec::new();
        for (index, Found { first, len, .. }) in found.iter().enumerate() {
            let next = found.get(index + 1).map(|next| next.first).or(last_first);
            segments.push(Segment { first: *first, end: next.unwrap_or(*first), len: *len });
        }
        self.collect_calls(identity, &segments, last.as_ref(), &mut calls);
        let mut opened = Opened {
            table: Table::default(),
            next: state.cursors.values().copied().fold(state.floor, u64::max),
            state,
            cursors_lost: false,
            calls,
            active: None,
            damaged: Vec::new(),
            failed: None,
        };
        if let Some(last) = last {
            self.recover_last(identity, &last, &mut segments, &mut opened)?;
        }
        self.report_gaps(&segments, &mut opened);
        opened.table = Table::new(segments, opened.next);
        Ok(opened)
    }

    /// Fills the window of calls from the headers of the segments before the last.
    fn collect_calls(
        &self,
        identity: Identity,
        segments: &[Segment],
        last: Option<&Found>,
        calls: &mut Calls,
    ) {
        let mut left = self.tuning.calls_tail_bytes.saturating_sub(last.map_or(0, |last| last.len));
        let mut start = segments.len();
        while start > 0 && left > 0 {
            start -= 1;
            left = left.saturating_sub(segments[start].len);
        }
        for segment in &segments[start..] {
            let path = self.folder.join(segment::name(segment.first));
            let read = self
                .files
                .open_read(&path)
                .and_then(|file| recovery::collect_calls(&*file, identity, *segment, calls));
            if let Err(error) = read {
                tracing::warn!(path = %path.display(), %error, "cannot read the calls of a segment");
            }
        }
    }

    fn recover_last(
        &self,
        identity: Identity,
        last: &Found,
        segments: &mut Vec<Segment>,
        opened: &mut Opened,
    ) -> Result<(), OpenError> {
        let path = self.folder.join(segment::name(last.first));
        let error = |operation, source| OpenError::Io { operation, path: path.clone(), source };
        let file = self.files.open(&path).map_err(|source| error("open", source))?;
        let scan = recovery::scan(&*file, identity, last.first, last.len, &mut opened.calls)
            .map_err(|source| OpenError::Unreadable { path: path.clone(), source })?;
        let facts = Facts {
            last: true,
            head: last.head,
            bytes: last.len > segment::HEADER_BYTES,
            frames: scan.frames,
            damage: !scan.damaged.is_empty(),
            torn: scan.torn,
        };
        let action = recovery::decide(facts);
        if action != Action::Keep {
            tracing::info!(path = %path.display(), ?action, "the last segment of a journal is recovered");
        }
        match action {
            Action::Remove => {
                drop(file);
                opened.next = opened.next.max(last.first);
                return self.files.remove(&path).map_err(|source| error("remove", source));
            }
            Action::SetAside => {
                drop(file);
                opened.next = opened.next.max(last.first);
                tracing::error!(path = %path.display(), "a segment without any sound frame is set aside");
                let aside = path.with_extension("seg.damaged");
                return self
                    .files
                    .rename(&path, &aside)
                    .and_then(|()| self.files.sync_dir(self.folder))
                    .map_err(|source| error("rename", source));
            }
            _ => {}
        }
        let durable =
            recovery::make_durable(&*file, &scan).and_then(|()| self.files.sync_dir(self.folder));
        if let Err(error) = durable {
            tracing::error!(path = %path.display(), %error, "the last segment cannot be made good");
            opened.failed = Some(error);
        }
        self.take_in(last, scan, file, action, segments, opened);
        Ok(())
    }

    fn take_in(
        &self,
        last: &Found,
        scan: Scan,
        file: Box<dyn crate::env::File>,
        action: Action,
        segments: &mut Vec<Segment>,
        opened: &mut Opened,
    ) {
        opened.damaged.extend(&scan.damaged);
        opened.next = opened.next.max(scan.end);
        let mut end = opened.next;
        if action == Action::Reuse {
            if opened.next == last.first {
                let offset = scan.sound_len;
                opened.active = Some(Active { file, offset, reserved: offset });
            } else {
                // It holds nothing, and what comes next gets a name of its own.
                opened.damaged.push((last.first, opened.next));
            }
        } else if scan.end < opened.next {
            opened.damaged.push((scan.end, opened.next));
            end = opened.next;
        }
        segments.push(Segment { first: last.first, end, len: scan.sound_len });
    }

    /// Positions that some cursor still needs but no segment has.
    fn report_gaps(&self, segments: &[Segment], opened: &mut Opened) {
        let Some(&lowest) = opened.state.cursors.values().min() else { return };
        let first = segments.first().map_or(opened.next, |segment| segment.first);
        if lowest < first {
            opened.damaged.push((lowest, first));
        }
    }
}

fn is_ours(name: &str) -> bool {
    name == LOCK
        || name.ends_with(".seg.damaged")
        || [cursor::FILE, stands::FILE].contains(&name.trim_end_matches(".tmp"))
}
