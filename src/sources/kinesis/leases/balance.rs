//! Which leases to take, by the rules of the Kinesis Client Library 2.x (`DynamoDBLeaseTaker`).
//! Pure: every worker looks at the table for itself and comes to the same end.

use std::collections::BTreeMap;

/// A lease as one worker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing<'a> {
    pub key: &'a str,
    pub owner: Option<&'a str>,
    pub state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// This process holds it.
    Held,
    /// Somebody renews it, or may still.
    Alive,
    /// Nobody owns it, or its owner has not renewed it for the failover time.
    Free,
    /// Free for three failover times: whoever should have taken it does not.
    Abandoned,
}

/// A lease to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pick<'a> {
    pub key: &'a str,
    /// Its owner is alive, and finds out with its next renewal.
    pub stolen: bool,
}

/// The leases that worker `me` takes now, which holds `max` at the most. Of equals it takes some
/// drawn at random, so that workers seldom want the same ones.
pub(super) fn picks<'a>(
    leases: &[Standing<'a>],
    me: &str,
    max: usize,
    random: &mut fastrand::Rng,
) -> Vec<Pick<'a>> {
    let held = leases.iter().filter(|lease| lease.state == State::Held).count();
    let room = max.saturating_sub(held);
    let taken = |key| Pick { key, stolen: false };
    let mut of_state = |wanted: fn(&Standing<'_>, &str) -> bool| {
        let mut keys: Vec<&'a str> =
            leases.iter().filter(|lease| wanted(lease, me)).map(|lease| lease.key).collect();
        random.shuffle(&mut keys);
        keys
    };
    // Leases under our name that we do not hold are from before a restart or an outage: nobody else
    // may have them sooner.
    let own = of_state(|lease, me| lease.owner == Some(me) && lease.state != State::Held);
    let mut picks: Vec<_> = own.into_iter().take(room).map(taken).collect();
    let room = room - picks.len();
    let abandoned =
        of_state(|lease, me| lease.owner != Some(me) && lease.state == State::Abandoned);
    if !abandoned.is_empty() {
        picks.extend(abandoned.into_iter().take(room).map(taken));
        return picks;
    }
    let loads = loads(leases, me);
    let target = target(leases.len(), loads.len(), max);
    let need = target.saturating_sub(held + picks.len()).min(room);
    let free = of_state(|lease, me| lease.owner != Some(me) && lease.state == State::Free);
    if free.is_empty() {
        picks.extend(steal(leases, me, &loads, target, need, random));
    } else {
        picks.extend(free.into_iter().take(need).map(taken));
    }
    picks
}

/// How many leases each worker has that is alive: with ourselves, even if we have none.
fn loads<'a>(leases: &[Standing<'a>], me: &'a str) -> BTreeMap<&'a str, usize> {
    let mut loads = BTreeMap::from([(me, 0)]);
    for lease in leases {
        let owner = match lease.state {
            State::Held => Some(me),
            State::Alive => lease.owner,
            State::Free | State::Abandoned => lease.owner.filter(|owner| *owner == me),
        };
        if let Some(owner) = owner {
            *loads.entry(owner).or_default() += 1;
        }
    }
    loads
}

/// A fair share of the leases, rounded up.
fn target(leases: usize, workers: usize, max: usize) -> usize {
    leases.div_ceil(workers.max(1)).min(max)
}

/// One lease of the most loaded worker, if it has more than its share; or if it has just its share
/// and we lack more than one.
fn steal<'a>(
    leases: &[Standing<'a>],
    me: &str,
    loads: &BTreeMap<&str, usize>,
    target: usize,
    need: usize,
    random: &mut fastrand::Rng,
) -> Option<Pick<'a>> {
    let others = loads.iter().filter(|(owner, _)| **owner != me);
    let (most_loaded, load) = others.max_by_key(|(_, load)| **load)?;
    let due = need > 0 && (*load > target || (*load == target && need > 1));
    if !due {
        return None;
    }
    let theirs: Vec<_> = leases
        .iter()
        .filter(|lease| lease.owner == Some(most_loaded) && lease.state == State::Alive)
        .collect();
    random.choice(theirs).map(|lease| Pick { key: lease.key, stolen: true })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = usize::MAX;

    /// Leases by their owners: a name, "" for nobody, "!x" for x who is dead, "?" for abandoned.
    fn standings<'a>(owners: &[&'a str], keys: &'a [String], me: &str) -> Vec<Standing<'a>> {
        let of = |(key, owner): (&'a String, &&'a str)| {
            let (owner, state) = match *owner {
                "" => (None, State::Free),
                "?" => (None, State::Abandoned),
                dead if dead.starts_with('!') => (Some(&dead[1..]), State::Free),
                alive if alive == me => (Some(alive), State::Held),
                alive => (Some(alive), State::Alive),
            };
            Standing { key, owner, state }
        };
        keys.iter().zip(owners).map(of).collect()
    }

    fn keys(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("shard-{n}")).collect()
    }

    /// How many are taken, and how many stolen.
    fn taken(owners: &[&str], max: usize) -> (usize, usize) {
        let keys = keys(owners.len());
        let leases = standings(owners, &keys, "me");
        let picks = picks(&leases, "me", max, &mut fastrand::Rng::with_seed(7));
        let stolen = picks.iter().filter(|pick| pick.stolen).count();
        (picks.len() - stolen, stolen)
    }

    #[test]
    fn a_worker_takes_its_share_of_what_is_free() {
        for (owners, max, expected) in [
            (&[][..], MAX, (0, 0)),
            (&["", "", "", "", ""], MAX, (5, 0)),
            (&["", "", "", "", ""], 2, (2, 0)),
            (&["a", "", "", "", ""], MAX, (3, 0)),
            (&["a", "b", "", "", ""], MAX, (2, 0)),
            (&["!a", "!a", "!b", "me"], MAX, (3, 0)),
            // Nobody wants them.
            (&["me", "me", "a", "a", "?"], MAX, (1, 0)),
            (&["me", "me", "a", "a", "?"], 2, (0, 0)),
            // From before a restart.
            (&["!me", "!me", "!me", "a"], MAX, (3, 0)),
            (&["!me", "!me", "!me", "a"], 1, (1, 0)),
            (&["a"], 0, (0, 0)),
        ] {
            assert_eq!(taken(owners, max), expected, "{owners:?} {max}");
        }
    }

    #[test]
    fn one_lease_at_a_time_is_stolen_of_the_most_loaded() {
        for (owners, expected) in [
            (&["a"][..], 0),
            (&["a", "a"], 1),
            (&["a", "a", "a", "a", "a"], 1),
            (&["a", "a", "a", "me", "me"], 0),
            (&["a", "a", "a", "a", "me", "me"], 1),
            // Just its share, but two are lacking.
            (&["a", "a", "b", "b"], 1),
            (&["a", "a", "b", "b", "me"], 0),
            (&["a", "a", "b", "me"], 0),
        ] {
            assert_eq!(taken(owners, MAX), (0, expected), "{owners:?}");
        }
        let owners = ["a", "b", "b", "b", "b", "me"];
        let keys = keys(owners.len());
        let leases = standings(&owners, &keys, "me");
        for seed in 0..20 {
            let picks = picks(&leases, "me", MAX, &mut fastrand::Rng::with_seed(seed));
            let [pick] = &picks[..] else { panic!("one: {picks:?}") };
            assert!(pick.stolen && owners[pick.key[6..].parse::<usize>().unwrap()] == "b");
        }
    }

    proptest! {
        /// Workers that look one after the other, in any order, come to an even spread and then
        /// leave everything where it is; no lease is left out, and none is picked twice.
        #[test]
        fn workers_converge_and_rest(
            start in proptest::collection::vec(0usize..5, 0..40),
            workers in 1usize..5,
            seed: u64,
        ) {
            let names = ["w0", "w1", "w2", "w3"];
            let dead = ["!d0", ""];
            let mut random = fastrand::Rng::with_seed(seed);
            let keys = keys(start.len());
            let mut owners: Vec<&str> = start
                .iter()
                .map(|&n| if n < workers { names[n] } else { dead[n % 2] })
                .collect();
            let mut quiet = 0;
            let mut rounds = 0;
            while quiet < 3 {
                rounds += 1;
                prop_assert!(rounds < 200, "no rest: {owners:?}");
                let mut order: Vec<_> = names[..workers].to_vec();
                random.shuffle(&mut order);
                let mut moved = 0;
                for me in order {
                    let leases = standings(&owners, &keys, me);
                    let picks = picks(&leases, me, MAX, &mut random);
                    let mut seen: Vec<_> = picks.iter().map(|pick| pick.key).collect();
                    seen.sort_unstable();
                    seen.dedup();
                    prop_assert_eq!(seen.len(), picks.len());
                    let places: Vec<usize> =
                        picks.iter().map(|pick| pick.key[6..].parse().unwrap()).collect();
                    for place in places {
                        prop_assert!(owners[place] != me);
                        owners[place] = me;
                        moved += 1;
                    }
                }
                quiet = if moved == 0 { quiet + 1 } else { 0 };
            }
            let loads: Vec<usize> = names[..workers]
                .iter()
                .map(|name| owners.iter().filter(|owner| *owner == name).count())
                .collect();
            let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
            prop_assert_eq!(loads.iter().sum::<usize>(), keys.len());
            // The rule of the library leaves a worker one short of a share that is rounded up.
            prop_assert!(most - least <= 1 || *most <= keys.len().div_ceil(workers), "{loads:?}");
            prop_assert!(*least + 1 >= keys.len().div_ceil(workers) || keys.len() < workers);
        }
    }
}
