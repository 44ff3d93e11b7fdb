use Checkpoint::{AtTimestamp, Latest, ShardEnd, TrimHorizon};

use super::*;

fn shard(id: &str, parents: &[&str], closed: bool) -> Shard {
    Shard {
        id: id.into(),
        parents: parents.iter().map(|&id| id.into()).collect(),
        hash_range: (0, u128::MAX),
        closed,
    }
}

fn known(of: &[(&str, Checkpoint)]) -> Known {
    of.iter().map(|(id, at)| ((*id).into(), at.clone())).collect()
}

fn at(number: &str) -> Checkpoint {
    Checkpoint::Sequence { number: number.into(), sub_sequence: 0, whole: true }
}

fn planned(shards: &[Shard], known: &Known, initial: &Checkpoint) -> Vec<(String, Checkpoint)> {
    let plan = missing(shards, known, &Known::new(), initial).into_iter().flatten();
    plan.map(|(shard, at)| (shard.id.clone(), at)).collect()
}

fn pairs(of: &[(&str, Checkpoint)]) -> Vec<(String, Checkpoint)> {
    of.iter().map(|(id, at)| ((*id).into(), at.clone())).collect()
}

/// a was split into b and c; b and d were merged into e.
fn family() -> Vec<Shard> {
    vec![
        shard("e", &["b", "d"], false),
        shard("a", &[], true),
        shard("b", &["a"], true),
        shard("c", &["a"], false),
        shard("d", &[], true),
    ]
}

#[test]
fn a_new_table_begins_as_it_is_told() {
    let all = |parents: Checkpoint, children: Checkpoint| {
        let (p, c) = (parents, children);
        pairs(&[("a", p.clone()), ("d", p), ("b", c.clone()), ("c", c.clone()), ("e", c)])
    };
    let nothing = Known::new();
    assert_eq!(planned(&family(), &nothing, &TrimHorizon), all(TrimHorizon, TrimHorizon));
    assert_eq!(
        planned(&family(), &nothing, &AtTimestamp),
        all(AtTimestamp, AtTimestamp),
        "the moment may lie in a child"
    );
    assert_eq!(
        planned(&family(), &nothing, &Latest),
        pairs(&[("c", Latest), ("e", Latest)]),
        "nothing comes into closed shards any more"
    );
}

#[test]
fn what_came_of_a_known_shard_is_read_from_its_beginning() {
    let shards = family();
    let before = known(&[("a", at("7")), ("d", Latest)]);
    assert_eq!(
        planned(&shards, &before, &Latest),
        pairs(&[("b", TrimHorizon), ("c", TrimHorizon), ("e", TrimHorizon)])
    );
    // Its parents went from the stream before they were read to their end.
    let before = known(&[("0", at("7"))]);
    let now = [shard("x", &["gone"], false), shard("y", &[], false)];
    assert_eq!(planned(&now, &before, &Latest), pairs(&[("x", TrimHorizon), ("y", Latest)]));
    let before = known(&[("0", ShardEnd)]);
    assert_eq!(planned(&now, &before, &Latest), pairs(&[("x", Latest), ("y", Latest)]));
}

#[test]
fn what_was_read_and_forgotten_is_not_read_again() {
    // Their leases were deleted once the children had left their beginning.
    let before = known(&[("e", at("9")), ("c", at("8"))]);
    assert_eq!(planned(&family(), &before, &TrimHorizon), pairs(&[]));
    // b was read, c not yet made: the sync that made b was cut short.
    let before = known(&[("a", at("1")), ("b", TrimHorizon), ("d", at("1"))]);
    assert_eq!(
        planned(&family(), &before, &TrimHorizon),
        pairs(&[("c", TrimHorizon), ("e", TrimHorizon)])
    );
}

#[test]
fn what_a_journal_knows_outlives_the_leases() {
    let shards = family();
    let planned = |known_rows: &Known, stored: &Known| {
        let plan = missing(&shards, known_rows, stored, &Latest).into_iter().flatten();
        plan.map(|(shard, at)| (shard.id.clone(), at)).collect::<Vec<_>>()
    };
    // The table is new: what came of a is read whole, though only b of it was begun.
    let stored = known(&[("a", at("3")), ("b", at("7"))]);
    assert_eq!(
        planned(&Known::new(), &stored),
        pairs(&[("b", at("7")), ("c", TrimHorizon), ("e", TrimHorizon)])
    );
    // The parent is no longer listed.
    let orphan = [shard("x", &["gone"], false)];
    let plan = missing(&orphan, &Known::new(), &known(&[("gone", at("3"))]), &Latest);
    assert_eq!(plan, [vec![(&orphan[0], TrimHorizon)]]);
    // Leases that are there, or were deleted since, go before.
    let rows = known(&[("c", at("9")), ("e", at("9"))]);
    assert_eq!(planned(&rows, &stored), []);
    let rows = known(&[("a", at("1")), ("b", at("9")), ("c", at("9")), ("e", at("9"))]);
    assert_eq!(planned(&rows, &stored), []);
}

#[test]
fn ended_leases_are_kept_until_their_children_are_under_way() {
    let shards = family();
    let finished = |of: &[(&str, Checkpoint)]| finished(&shards, &known(of));
    let a_ended = |b, c| finished(&[("a", ShardEnd), ("b", b), ("c", c)]);
    assert_eq!(a_ended(at("1"), at("2")), ["a"]);
    assert_eq!(a_ended(at("1"), TrimHorizon), [] as [&str; 0]);
    assert_eq!(a_ended(AtTimestamp, at("2")), [] as [&str; 0]);
    assert_eq!(finished(&[("a", ShardEnd), ("b", at("1"))]), [] as [&str; 0], "c has none");
    assert_eq!(finished(&[("c", ShardEnd)]), [] as [&str; 0], "its children are not listed");
    // b is read and forgotten already, for e is under way.
    assert_eq!(finished(&[("a", ShardEnd), ("c", at("1")), ("e", at("2"))]), ["a"]);
    // The last of the chain and its parents at once.
    let ended = [("a", ShardEnd), ("b", ShardEnd), ("c", at("1")), ("d", ShardEnd), ("e", at("2"))];
    assert_eq!(finished(&ended), ["a", "b", "d"]);
}

#[test]
fn shards_are_gone_once_two_listings_miss_them() {
    let mut absences = Absences::default();
    let known = known(&[("a", at("1")), ("b", at("1")), ("c", ShardEnd)]);
    let b = [shard("b", &[], false)];
    let none: [&str; 0] = [];
    assert_eq!(absences.note(&b, &known), none);
    assert_eq!(absences.note(&[], &known), none, "a listing of nothing");
    assert_eq!(absences.note(&[b[0].clone(), shard("c", &[], true)], &known), ["a"]);
    assert_eq!(absences.note(&b, &known), ["a"], "c was there in between");
    assert_eq!(absences.note(&b, &known), ["a", "c"]);
}

#[test]
fn shards_that_descend_from_themselves_end_nothing() {
    let shards = [shard("a", &["b"], true), shard("b", &["a"], true), shard("c", &["c"], false)];
    for before in [Known::new(), known(&[("a", at("1"))]), known(&[("a", ShardEnd)])] {
        let plan = planned(&shards, &before, &TrimHorizon);
        assert!(plan.iter().any(|(id, _)| id == "c") && plan.len() <= 3, "{plan:?}");
        finished(&shards, &before);
    }
}

#[test]
fn many_generations_are_planned_in_one_go() {
    let shards: Vec<Shard> = (0..20_000)
        .map(|n: u32| {
            let parent = n.checked_sub(1).map(|n| format!("{n:05}"));
            shard(&format!("{n:05}"), &parent.iter().map(|id| &**id).collect::<Vec<_>>(), true)
        })
        .collect();
    let plan = missing(&shards, &Known::new(), &Known::new(), &TrimHorizon);
    assert_eq!(plan.len(), shards.len());
    let known = known(&[("19999", at("1"))]);
    assert_eq!(planned(&shards, &known, &TrimHorizon), []);
}

#[test]
fn checkpoints_are_compared_as_numbers() {
    let part = |number: &str, sub_sequence| Checkpoint::Sequence {
        number: number.into(),
        sub_sequence,
        whole: false,
    };
    let rising = [
        Latest,
        part("9", 1),
        part("9", 2),
        at("9"),
        at("0010"),
        at("49590338271490256608559692538361571095921575989136588898"),
        at("49590338271490256608559692538361571095921575989136588899"),
        ShardEnd,
    ];
    for (n, a) in rising.iter().enumerate() {
        for (m, b) in rising.iter().enumerate() {
            assert_eq!(compare(a, b), n.cmp(&m), "{a} {b}");
        }
    }
    assert_eq!(compare(&TrimHorizon, &Latest), Ordering::Equal);
}

#[test]
fn children_are_read_after_their_parents() {
    let known = known(&[("a", ShardEnd), ("b", at("1"))]);
    let readable = |parents: &[&str]| {
        let parents: Vec<String> = parents.iter().map(|&id| id.into()).collect();
        is_readable(&parents, |id| known.get(id))
    };
    assert!(readable(&[]) && readable(&["a"]) && readable(&["gone"]) && readable(&["a", "gone"]));
    assert!(!readable(&["b"]) && !readable(&["a", "b"]));
}
