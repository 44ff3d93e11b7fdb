//! Which shards get a lease, and where reading begins in them; which leases are done with. Pure.
//!
//! The rules of the Kinesis Client Library 2.x (`HierarchicalShardSyncer`, `LeaseCleanupManager`):
//! a shard begins at its first record if a parent of it is known, for then it came of a split or a
//! merge, and all of it is to be read. A shard whose descendants are known has been read.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use crate::sources::kinesis::{Checkpoint, Shard};

/// How far the shards are of which something is known.
pub(super) type Known = BTreeMap<String, Checkpoint>;

/// Shards that need a lease, with where reading begins, parents before their children: those of one
/// generation have nothing to do with each other. `stored` is what a journal knows, beside the
/// leases: such a shard begins where it stands there.
pub(super) fn missing<'a>(
    shards: &'a [Shard],
    known: &Known,
    stored: &Known,
    initial: &Checkpoint,
) -> Vec<Vec<(&'a Shard, Checkpoint)>> {
    let listed: BTreeMap<&str, &Shard> = shards.iter().map(|s| (&*s.id, s)).collect();
    let read = ancestors(&listed, known.keys().chain(stored.keys()));
    let lost = has_lost_shards(&listed, known);
    let mut begins: BTreeMap<&str, Checkpoint> = BTreeMap::new();
    let mut plan = Vec::new();
    for generation in generations(shards, &listed) {
        let mut fresh = Vec::new();
        for shard in generation {
            if known.contains_key(&shard.id) || read.contains(&*shard.id) {
                continue;
            }
            if let Some(at) = stored.get(&shard.id) {
                fresh.push((shard, at.clone()));
                continue;
            }
            let of = |id: &String| {
                known.get(id).or_else(|| begins.get(&**id)).or_else(|| stored.get(id))
            };
            let parents: Vec<_> = shard.parents.iter().filter_map(of).collect();
            let orphan = lost
                && !shard.parents.is_empty()
                && shard.parents.iter().all(|id| !listed.contains_key(&**id));
            if let Some(begin) = beginning(shard, &parents, orphan, initial) {
                fresh.push((shard, begin));
            }
        }
        begins.extend(fresh.iter().map(|(shard, begin)| (&*shard.id, begin.clone())));
        if !fresh.is_empty() {
            plan.push(fresh);
        }
    }
    plan
}

/// Where reading of a new shard begins; nowhere if there is nothing in it to be read.
fn beginning(
    shard: &Shard,
    parents: &[&Checkpoint],
    orphan: bool,
    initial: &Checkpoint,
) -> Option<Checkpoint> {
    if parents.contains(&&Checkpoint::AtTimestamp) {
        // Nobody has read of the parent yet, and the moment may lie behind it.
        return Some(Checkpoint::AtTimestamp);
    }
    // What came of a shard that was never read to its end, and is no longer listed: all of it is
    // to be read, as far as it is still kept.
    if !parents.is_empty() || orphan {
        return Some(Checkpoint::TrimHorizon);
    }
    // Nothing comes into a closed shard any more; to read to its end, its children would have to
    // be read from their beginning.
    (!shard.closed || *initial != Checkpoint::Latest).then(|| initial.clone())
}

/// Listed shards that something is known of a descendant of: they were read, or passed over.
fn ancestors<'a, 'b>(
    listed: &BTreeMap<&'a str, &'a Shard>,
    known: impl Iterator<Item = &'b String>,
) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&Shard> = known.filter_map(|id| listed.get(&**id).copied()).collect();
    while let Some(shard) = next.pop() {
        for parent in shard.parents.iter().filter_map(|id| listed.get(&**id).copied()) {
            if found.insert(&*parent.id) {
                next.push(parent);
            }
        }
    }
    found
}

/// Whether a shard went from the stream before it was read to its end.
fn has_lost_shards(listed: &BTreeMap<&str, &Shard>, known: &Known) -> bool {
    known.iter().any(|(id, at)| *at != Checkpoint::ShardEnd && !listed.contains_key(&**id))
}

/// Listed shards, parents before their children. Shards that descend from themselves, which no
/// stream has, come last.
fn generations<'a>(
    shards: &'a [Shard],
    listed: &BTreeMap<&'a str, &'a Shard>,
) -> Vec<Vec<&'a Shard>> {
    let mut waits: BTreeMap<&str, usize> = BTreeMap::new();
    let mut children: BTreeMap<&str, Vec<&Shard>> = BTreeMap::new();
    for shard in listed.values() {
        let parents: BTreeSet<_> =
            shard.parents.iter().filter(|id| listed.contains_key(&***id)).collect();
        waits.insert(&shard.id, parents.len());
        for parent in parents {
            children.entry(parent).or_default().push(shard);
        }
    }
    let is_first = |shard: &&Shard| waits.get(&*shard.id) == Some(&0);
    let mut generation: Vec<&Shard> = listed.values().copied().filter(is_first).collect();
    let mut all = Vec::new();
    let mut placed = BTreeSet::new();
    while !generation.is_empty() {
        let mut next = Vec::new();
        for shard in &generation {
            placed.insert(&*shard.id);
            for child in children.get(&*shard.id).into_iter().flatten().copied() {
                let left = waits.get_mut(&*child.id).expect("every listed shard is counted");
                *left -= 1;
                if *left == 0 {
                    next.push(child);
                }
            }
        }
        all.push(std::mem::replace(&mut generation, next));
    }
    let rest: Vec<_> = shards.iter().filter(|shard| !placed.contains(&*shard.id)).collect();
    all.push(rest);
    all
}

/// Listed children by parent.
pub(super) fn children(shards: &[Shard]) -> BTreeMap<&str, Vec<&str>> {
    let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for shard in shards {
        for parent in &shard.parents {
            children.entry(parent).or_default().push(&shard.id);
        }
    }
    children
}

/// Shards read to their end whose leases nobody needs any more: all of their children have leases
/// that have left the beginning, or had.
pub(super) fn finished(shards: &[Shard], known: &Known) -> Vec<String> {
    let listed: BTreeMap<&str, &Shard> = shards.iter().map(|s| (&*s.id, s)).collect();
    let read = ancestors(&listed, known.keys());
    let children = children(shards);
    let has_left = |id: &&str| match known.get(*id) {
        Some(Checkpoint::TrimHorizon | Checkpoint::AtTimestamp) => false,
        Some(_) => true,
        None => read.contains(*id),
    };
    let ended = known.iter().filter(|(_, at)| **at == Checkpoint::ShardEnd);
    ended
        .filter(|(id, _)| children.get(&***id).is_some_and(|ids| ids.iter().all(has_left)))
        .map(|(id, _)| id.clone())
        .collect()
}

/// Tells shards that are gone from the stream from such as one listing has left out: they must be
/// missing twice in a row.
#[derive(Debug, Default)]
pub(super) struct Absences {
    once: BTreeSet<String>,
}

impl Absences {
    /// Known shards that are gone, after one more listing. A listing of nothing says nothing.
    pub fn note(&mut self, shards: &[Shard], known: &Known) -> Vec<String> {
        if shards.is_empty() {
            return Vec::new();
        }
        let listed: BTreeSet<&str> = shards.iter().map(|shard| &*shard.id).collect();
        let absent = known.keys().filter(|id| !listed.contains(&***id)).cloned();
        let before = std::mem::replace(&mut self.once, absent.collect());
        self.once.intersection(&before).cloned().collect()
    }
}

/// Whether `id` may be read: its parents are at their end, or gone.
pub(super) fn is_readable<'a>(
    parents: &[String],
    at: impl Fn(&str) -> Option<&'a Checkpoint>,
) -> bool {
    parents.iter().all(|id| at(id).is_none_or(|at| *at == Checkpoint::ShardEnd))
}

/// Which of two checkpoints of a shard is further. Beginnings come before every record, and a
/// record of which something is left before the same one whole.
pub(super) fn compare(a: &Checkpoint, b: &Checkpoint) -> Ordering {
    let rank = |at: &Checkpoint| match at {
        Checkpoint::TrimHorizon | Checkpoint::Latest | Checkpoint::AtTimestamp => 0,
        Checkpoint::Sequence { .. } => 1,
        Checkpoint::ShardEnd => 2,
    };
    match (a, b) {
        (
            Checkpoint::Sequence { number: a, sub_sequence: a_sub, whole: a_whole },
            Checkpoint::Sequence { number: b, sub_sequence: b_sub, whole: b_whole },
        ) => {
            let (a, b) = (digits(a), digits(b));
            let sub = |sub: &u64, whole: &bool| (*whole, if *whole { 0 } else { *sub });
            // Decimal numbers without leading zeros: the longer one is larger.
            (a.len(), a)
                .cmp(&(b.len(), b))
                .then_with(|| sub(a_sub, a_whole).cmp(&sub(b_sub, b_whole)))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

fn digits(number: &str) -> &str {
    number.trim_start_matches('0')
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
