//! What is done with the files of a journal when it is opened. Only this repairs anything.
//!
//! Each segment file is looked at, described by a few facts, and `decide` says what to do. All
//! combinations are listed here, and enumerated in the test.
//!
//! | segment | header | frames | damage inside | tail | action |
//! |---|---|---|---|---|---|
//! | any | of another journal | | | | leave alone, warn: a foreign file |
//! | any | of a newer version | | | | refuse to open |
//! | earlier | sound or broken | | | | keep; readers verify every frame as they come to it |
//! | last | broken | none, nothing behind the header | | | remove: the crash came while it was created |
//! | last | broken | none, but bytes | | | set aside under another name, report |
//! | last | sound | none | | | reuse: cut back to its header, write on |
//! | last | any | some | no | clean | keep |
//! | last | any | some | no | torn | cut back to the last sound frame |
//! | last | any | some | yes | clean | keep, report the damage |
//! | last | any | some | yes | torn | cut back, report the damage |
//!
//! A tail is torn when bytes follow the last sound frame but no sound frame does. Damage with a
//! sound frame behind it is never cut: what follows may have been acknowledged. A missing segment
//! shows as a gap between names, and is reported like damage by whoever reads there.
//!
//! A part of the last segment that the disk cannot read is none of these cases: the journal does
//! not open, and nothing is changed. The trouble may pass, a cut would not.
//!
//! The header and the last group of the last segment are written again and synced, and the folder
//! with them: after a failed sync, what the kernel still shows may be on no disk.

use std::io::{self, IoSlice};

use super::{
    calls::{Calls, Place},
    frame::Identity,
    segment::{self, HeaderState, Segment},
    walk::{Bounds, Step, Walk},
};
use crate::{env::File, limits};

/// The header of a segment file, seen from this journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    Sound,
    Broken,
    Foreign,
    Newer,
}

/// What was found in a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub last: bool,
    pub head: Head,
    /// Anything stands behind the place of the header.
    pub bytes: bool,
    /// At least one sound frame.
    pub frames: bool,
    /// Damage before the last sound frame.
    pub damage: bool,
    /// Bytes behind the last sound frame.
    pub torn: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Refuse,
    LeaveAlone,
    Keep,
    KeepAndReport,
    Cut,
    CutAndReport,
    Reuse,
    Remove,
    SetAside,
}

/// The table above.
pub fn decide(facts: Facts) -> Action {
    match facts.head {
        Head::Newer => return Action::Refuse,
        Head::Foreign => return Action::LeaveAlone,
        Head::Sound | Head::Broken if !facts.last => return Action::Keep,
        Head::Sound | Head::Broken => {}
    }
    match (facts.frames, facts.head, facts.bytes) {
        (false, Head::Broken, false) => Action::Remove,
        (false, Head::Broken, true) => Action::SetAside,
        (false, ..) => Action::Reuse,
        (true, ..) => match (facts.damage, facts.torn) {
            (false, false) => Action::Keep,
            (false, true) => Action::Cut,
            (true, false) => Action::KeepAndReport,
            (true, true) => Action::CutAndReport,
        },
    }
}

/// Reads the header of a segment file as this journal sees it.
pub fn look_at_header(file: &dyn File, len: u64, first: u64) -> io::Result<(HeaderState, Head)> {
    let mut bytes = vec![0; len.min(segment::HEADER_BYTES) as usize];
    file.read_exact_at(&mut bytes, 0)?;
    let state = segment::decode_header(&bytes);
    let head = match state {
        HeaderState::Sound { first: named, .. } if named == first => Head::Sound,
        // A file under another file's name.
        HeaderState::Sound { .. } => Head::Foreign,
        HeaderState::Broken => Head::Broken,
        HeaderState::Newer(_) => Head::Newer,
    };
    Ok((state, head))
}

/// What a full check of the last segment found.
#[derive(Debug, Default)]
pub struct Scan {
    pub frames: bool,
    /// The sequence after the last sound frame.
    pub end: u64,
    /// The byte after the last sound frame.
    pub sound_len: u64,
    /// Where the last group begins.
    pub group_offset: u64,
    pub damaged: Vec<(u64, u64)>,
    pub torn: bool,
}

/// Verifies every frame of a segment, and remembers its calls. A stretch that cannot be read is an
/// error: what is taken for the end here is cut off.
pub fn scan(
    file: &dyn File,
    identity: Identity,
    first: u64,
    len: u64,
    calls: &mut Calls,
) -> io::Result<Scan> {
    let bounds = Bounds { end: u64::MAX, len };
    let mut walk = Walk::new(file, identity, first, bounds).strict();
    let header_end = segment::HEADER_BYTES.min(len);
    let mut scan =
        Scan { end: first, sound_len: header_end, group_offset: header_end, ..Scan::default() };
    let mut suspect = Vec::new();
    let mut group = None;
    loop {
        match walk.step(0, limits::READ_BYTES as u64)? {
            Step::Frame { header, offset, .. } => {
                scan.damaged.append(&mut suspect);
                let group_first = header.first - u64::from(header.group_back).min(header.first);
                if group != Some(group_first) {
                    group = Some(group_first);
                    scan.group_offset = offset;
                }
                scan.frames = true;
                scan.end = header.end();
                scan.sound_len = walk.offset;
                if let Some(call) = header.call {
                    calls.insert(call, Place { first: header.first, records: header.records });
                }
            }
            Step::Damaged { first, end } => suspect.push((first, end)),
            Step::Passed { .. } => {}
            Step::End => break,
        }
    }
    scan.torn = scan.sound_len < len;
    Ok(scan)
}

/// Remembers the calls of a segment by its headers only. Damage is left to the readers.
pub fn collect_calls(
    file: &dyn File,
    identity: Identity,
    segment: Segment,
    calls: &mut Calls,
) -> io::Result<()> {
    let bounds = Bounds { end: segment.end, len: segment.len };
    let mut walk = Walk::new(file, identity, segment.first, bounds);
    loop {
        match walk.step(u64::MAX, 0)? {
            Step::Passed { header } | Step::Frame { header, .. } => {
                if let Some(call) = header.call {
                    calls.insert(call, Place { first: header.first, records: header.records });
                }
            }
            Step::Damaged { .. } => {}
            Step::End => return Ok(()),
        }
    }
}

/// Cuts a segment to its sound length, writes its header and last group again, and syncs it.
pub fn make_durable(file: &dyn File, scan: &Scan) -> io::Result<()> {
    // Also gives back the space that was reserved behind the end.
    file.set_len(scan.sound_len)?;
    write_again(file, 0, segment::HEADER_BYTES.min(scan.sound_len))?;
    write_again(file, scan.group_offset, scan.sound_len)?;
    file.sync_data()
}

fn write_again(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let mut bytes = vec![0; (to - at).min(limits::READ_BYTES as u64) as usize];
        file.read_exact_at(&mut bytes, at)?;
        file.write_all_at(&[IoSlice::new(&bytes)], at)?;
        at += bytes.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination of facts, against the table in words.
    #[test]
    fn every_case_has_its_action() {
        let mut cases = 0;
        for head in [Head::Sound, Head::Broken, Head::Foreign, Head::Newer] {
            for bits in 0..32 {
                let bit = |n: u32| bits >> n & 1 == 1;
                let (last, bytes, frames) = (bit(0), bit(1), bit(2));
                let facts = Facts { last, head, bytes, frames, damage: bit(3), torn: bit(4) };
                let expected = match (head, last, frames, facts.damage, facts.torn) {
                    (Head::Newer, ..) => Action::Refuse,
                    (Head::Foreign, ..) => Action::LeaveAlone,
                    (_, false, ..) => Action::Keep,
                    (Head::Broken, true, false, ..) if bytes => Action::SetAside,
                    (Head::Broken, true, false, ..) => Action::Remove,
                    (Head::Sound, true, false, ..) => Action::Reuse,
                    (_, true, true, false, false) => Action::Keep,
                    (_, true, true, false, true) => Action::Cut,
                    (_, true, true, true, false) => Action::KeepAndReport,
                    (_, true, true, true, true) => Action::CutAndReport,
                };
                assert_eq!(decide(facts), expected, "{facts:?}");
                // What holds whatever the table says: sound frames are never given up.
                if frames && matches!(head, Head::Sound | Head::Broken) {
                    let action = decide(facts);
                    assert!(
                        !matches!(action, Action::Remove | Action::SetAside | Action::Reuse),
                        "{facts:?} gives up frames"
                    );
                }
                cases += 1;
            }
        }
        assert_eq!(cases, 128);
    }
}
