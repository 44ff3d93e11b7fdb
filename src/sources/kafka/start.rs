//! Where reading begins. The questions wait for brokers, so a thread of their own asks them.
//!
//! | the group's offset            | our journal knows | reading begins at                          |
//! |-------------------------------|-------------------|--------------------------------------------|
//! | ours (it bears our mark)      | anything          | the larger one                             |
//! | somebody else's: it was reset | anything          | the group's offset                         |
//! | none                          | an offset         | the journal's offset                       |
//! | none                          | nothing           | `start`; the beginning of a partition that |
//! |                               |                   | came into being while we were there        |

use std::{
    collections::HashMap,
    sync::{Arc, mpsc},
    thread,
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaResult,
    topic_partition_list::TopicPartitionListElem,
};

use super::{
    events::{Events, Name},
    gather::guarded,
};
use crate::limits;

/// What stands beside every offset that we commit: it tells ours from those that a tool has set.
pub(super) const MARK: &str = "standpipe 1";

/// Where to begin where nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Initial {
    Latest,
    Earliest,
    /// Milliseconds since 1970.
    At(i64),
}

/// Where a partition's reading begins, and why there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// At the group's offset or our own.
    Known(i64),
    /// At an offset that somebody else has set.
    Reset(i64),
    /// Nobody has read it before.
    Initial(i64),
}

impl Begin {
    pub fn offset(self) -> i64 {
        match self {
            Self::Known(offset) | Self::Reset(offset) | Self::Initial(offset) => offset,
        }
    }
}

/// A question.
pub(super) enum Ask {
    /// Which topics there are.
    Topics,
    /// Where to begin, with what our journal knows.
    Begin(Vec<(u64, Name, Option<i64>)>),
    /// What is kept of these.
    Kept(Vec<(u64, Name)>),
}

/// Its answer. Numbers are those of the question.
pub(super) enum Answer {
    Topics(Result<(), String>),
    Begin(Vec<(u64, Result<Begin, String>)>),
    Kept(Vec<(u64, Result<Span, String>)>),
}

/// The first offset that is kept, and the end.
pub(super) type Span = (i64, i64);

/// The thread that asks. It ends when it is dropped.
pub(super) struct Asker {
    questions: mpsc::Sender<Ask>,
    answers: mpsc::Receiver<Answer>,
}

impl Asker {
    pub fn start(
        consumer: &Arc<BaseConsumer<Events>>,
        initial: Initial,
    ) -> std::io::Result<(Self, thread::JoinHandle<()>)> {
        let (questions, asked) = mpsc::channel();
        let (answering, answers) = mpsc::channel();
        let scout = Scout { consumer: consumer.clone(), initial, topics: HashMap::new() };
        let handle = thread::Builder::new().name("kafka-offsets".into()).spawn(move || {
            scout.run(&asked, &answering);
        })?;
        Ok((Self { questions, answers }, handle))
    }

    pub fn ask(&self, question: Ask) {
        // It lives as long as we do; if it does not, no answer comes, and that is seen.
        let _ = self.questions.send(question);
    }

    pub fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}

struct Scout {
    consumer: Arc<BaseConsumer<Events>>,
    initial: Initial,
    /// Topics that were there when we came, with their partitions.
    topics: HashMap<String, i32>,
}

impl Scout {
    fn run(mut self, asked: &mpsc::Receiver<Ask>, answering: &mpsc::Sender<Answer>) {
        while let Ok(question) = asked.recv() {
            let answer = match question {
                Ask::Topics => Answer::Topics(self.look_around().map_err(|e| e.to_string())),
                Ask::Begin(partitions) => Answer::Begin(self.begin(&partitions)),
                Ask::Kept(partitions) => Answer::Kept(self.kept(&partitions)),
            };
            if answering.send(answer).is_err() {
                return;
            }
        }
    }

    fn look_around(&mut self) -> KafkaResult<()> {
        let metadata = self.consumer.fetch_metadata(None, limits::KAFKA_QUERY_TIMEOUT)?;
        let count = |topic: &rdkafka::metadata::MetadataTopic| topic.partitions().len() as i32;
        let topics = metadata.topics().iter();
        self.topics = topics.map(|topic| (topic.name().to_owned(), count(topic))).collect();
        Ok(())
    }

    fn begin(&self, partitions: &[(u64, Name, Option<i64>)]) -> Vec<(u64, Result<Begin, String>)> {
        let mut list = TopicPartitionList::new();
        for (_, (topic, partition), _) in partitions {
            list.add_partition(topic, *partition);
        }
        let committed = self.consumer.committed_offsets(list, limits::KAFKA_QUERY_TIMEOUT);
        let committed = match committed {
            Ok(list) => list,
            Err(error) => return all_failed(partitions.iter().map(|one| one.0), &error),
        };
        let mut begins = Vec::new();
        let mut unknown = Vec::new();
        for (id, name, known) in partitions {
            let found = committed.find_partition(&name.0, name.1);
            match found.map(|element| judge(&element, *known)) {
                Some(Ok(Some(begin))) => begins.push((*id, Ok(begin))),
                Some(Ok(None)) => unknown.push((*id, name)),
                Some(Err(error)) => begins.push((*id, Err(error))),
                None => begins.push((*id, Err("the group's offset was not told".to_owned()))),
            }
        }
        begins.extend(self.initial(&unknown));
        begins
    }

    fn initial(&self, partitions: &[(u64, &Name)]) -> Vec<(u64, Result<Begin, String>)> {
        let wanted = |name: &Name| {
            let were_there = self.topics.get(&name.0).copied().unwrap_or(0);
            match self.initial {
                _ if name.1 >= were_there => Offset::Beginning,
                Initial::Earliest => Offset::Beginning,
                Initial::Latest => Offset::End,
                Initial::At(time_ms) if time_ms <= 0 => Offset::Beginning,
                Initial::At(time_ms) => Offset::Offset(time_ms),
            }
        };
        let asked: Vec<_> = partitions.iter().map(|(_, name)| (*name, wanted(name))).collect();
        let found = self.offsets(&asked);
        // Nothing is as young as that: what comes from now on is.
        let late: Vec<_> = asked
            .iter()
            .zip(&found)
            .filter(|(_, found)| matches!(found, Ok(None)))
            .map(|((name, _), _)| (*name, Offset::End))
            .collect();
        let mut ends = self.offsets(&late).into_iter();
        let found = found.into_iter().map(|found| match found {
            Ok(None) => ends.next().unwrap_or(Ok(None)),
            found => found,
        });
        partitions
            .iter()
            .zip(found)
            .map(|((id, _), found)| {
                let begin = found.and_then(|offset| {
                    offset.map(Begin::Initial).ok_or_else(|| "no offset was told".to_owned())
                });
                (*id, begin)
            })
            .collect()
    }

    fn kept(&self, partitions: &[(u64, Name)]) -> Vec<(u64, Result<Span, String>)> {
        let at = |offset| -> Vec<(&Name, Offset)> {
            partitions.iter().map(|(_, name)| (name, offset)).collect()
        };
        let firsts = self.offsets(&at(Offset::Beginning));
        let ends = self.offsets(&at(Offset::End));
        let whole = |first: Result<Option<i64>, String>, end: Result<Option<i64>, String>| {
            let none = || "no offset was told".to_owned();
            Ok((first?.ok_or_else(none)?, end?.ok_or_else(none)?))
        };
        let answers = firsts.into_iter().zip(ends).map(|(first, end)| whole(first, end));
        partitions.iter().map(|one| one.0).zip(answers).collect()
    }

    /// The offsets at these times (or ends), in the same order; `None` where nothing is as young.
    fn offsets(&self, wanted: &[(&Name, Offset)]) -> Vec<Result<Option<i64>, String>> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset) in wanted {
            if let Err(error) = list.add_partition_offset(topic, *partition, *offset) {
                return wanted.iter().map(|_| Err(error.to_string())).collect();
            }
        }
        let found = match self.consumer.offsets_for_times(list, limits::KAFKA_QUERY_TIMEOUT) {
            Ok(found) => found,
            Err(error) => return wanted.iter().map(|_| Err(error.to_string())).collect(),
        };
        let one = |((topic, partition), _): &(&Name, Offset)| {
            let element = found
                .find_partition(topic, *partition)
                .ok_or_else(|| "no offset was told".to_owned())?;
            element.error().map_err(|error| error.to_string())?;
            match element.offset() {
                Offset::Offset(offset) => Ok(Some(offset)),
                Offset::End => Ok(None),
                other => Err(format!("no offset was told but {other:?}")),
            }
        };
        wanted.iter().map(one).collect()
    }
}

fn all_failed<T>(
    ids: impl Iterator<Item = u64>,
    error: &dyn std::error::Error,
) -> Vec<(u64, Result<T, String>)> {
    ids.map(|id| (id, Err(error.to_string()))).collect()
}

/// What the group's offset and ours mean together; `None` if there is neither.
fn judge(
    element: &TopicPartitionListElem<'_>,
    known: Option<i64>,
) -> Result<Option<Begin>, String> {
    element.error().map_err(|error| error.to_string())?;
    let is_ours = guarded(|| element.metadata() == MARK).unwrap_or(false);
    let committed = match element.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    Ok(weigh(committed, is_ours, known))
}

fn weigh(committed: Option<i64>, is_ours: bool, known: Option<i64>) -> Option<Begin> {
    match (committed, known) {
        (None, None) => None,
        (None, Some(known)) => Some(Begin::Known(known)),
        (Some(committed), _) if !is_ours => Some(Begin::Reset(committed)),
        (Some(committed), known) => {
            Some(Begin::Known(known.map_or(committed, |known| known.max(committed))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_offset_and_ours_are_weighed() {
        let table = [
            (None, false, None, None),
            (None, false, Some(7), Some(Begin::Known(7))),
            (Some(5), true, None, Some(Begin::Known(5))),
            (Some(5), true, Some(7), Some(Begin::Known(7))),
            (Some(9), true, Some(7), Some(Begin::Known(9))),
            // A tool has set it, back or forth.
            (Some(5), false, Some(7), Some(Begin::Reset(5))),
            (Some(9), false, Some(7), Some(Begin::Reset(9))),
            (Some(9), false, None, Some(Begin::Reset(9))),
        ];
        for (committed, is_ours, known, begin) in table {
            assert_eq!(
                weigh(committed, is_ours, known),
                begin,
                "{committed:?} {is_ours} {known:?}"
            );
        }
    }
}
