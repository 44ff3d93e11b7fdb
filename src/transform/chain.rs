//! Transforms one after the other, with the check that no record is lost between them.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    fault::Failure,
    record::{Piece, Record},
    seams::{Remote, Transform, Verdict},
};

/// The transforms of one destination, in order. Empty: every record goes on as it is.
#[derive(Clone, Default)]
pub struct Chain(Vec<Arc<dyn Transform>>);

/// A transform did not answer with one verdict per record: a bug, never taken for success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("transform {name} answered {verdicts} verdicts for {records} records")]
pub struct MissingVerdict {
    pub name: &'static str,
    pub records: usize,
    pub verdicts: usize,
}

/// How a record, or a piece that it was taken apart into, leaves the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Emit {
        piece: Piece,
        /// What the error output gets should the piece fail further on, as in `Fail`.
        raw: Bytes,
    },
    Drop,
    Fail {
        failure: Failure,
        /// What the error output gets: the record as it arrived, or the piece as the step that
        /// took the record apart left it, so that its siblings are not stored with it.
        raw: Bytes,
    },
}

/// A record, or a piece of one, on its way through the chain.
enum Leaf {
    Going { record: Record, raw: Bytes },
    Ended(End),
}

impl Chain {
    pub fn new(transforms: Vec<Arc<dyn Transform>>) -> Self {
        Self(transforms)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How records are gathered for the chain: by its first remote step, if there is one.
    pub fn remote(&self) -> Option<Remote> {
        self.0.iter().find_map(|transform| transform.remote())
    }

    /// Whether small records may become very large ones.
    pub fn expands(&self) -> bool {
        self.0.iter().any(|transform| transform.expands())
    }

    /// The chain cut where it changes between steps that compute and steps that wait.
    pub fn segments(&self) -> Vec<Segment> {
        let mut segments: Vec<Segment> = Vec::new();
        for transform in &self.0 {
            let waits = transform.remote().is_some();
            match segments.last_mut() {
                Some(last) if last.waits == waits => last.transforms.push(transform.clone()),
                _ => segments.push(Segment { waits, transforms: vec![transform.clone()] }),
            }
        }
        segments
    }

    /// Every end of every record, in the order of the records and of their pieces.
    pub async fn apply(&self, records: Vec<Record>) -> Result<Vec<Vec<End>>, MissingVerdict> {
        let mut under_way = UnderWay::new(records);
        for segment in self.segments() {
            under_way = segment.apply(under_way).await?;
        }
        Ok(under_way.ends())
    }
}

/// Neighbouring steps of a chain that all compute or all wait.
pub struct Segment {
    /// Whether it calls somebody else; one that does not never yields.
    pub waits: bool,
    transforms: Vec<Arc<dyn Transform>>,
}

/// Records between two segments.
pub struct UnderWay(Vec<Vec<Leaf>>);

impl UnderWay {
    pub fn new(records: Vec<Record>) -> Self {
        let going = |record: Record| vec![Leaf::Going { raw: record.data.clone(), record }];
        Self(records.into_iter().map(going).collect())
    }

    /// Every end of every record, once no segment is left. No record is without an end.
    pub fn ends(self) -> Vec<Vec<End>> {
        let end = |leaf| match leaf {
            Leaf::Going { record, raw } => {
                End::Emit { piece: Piece { data: record.data, notes: record.notes }, raw }
            }
            Leaf::Ended(end) => end,
        };
        self.0.into_iter().map(|leaves| leaves.into_iter().map(end).collect()).collect()
    }
}

impl Segment {
    /// Takes what is still going through every step of the segment.
    pub async fn apply(&self, mut under_way: UnderWay) -> Result<UnderWay, MissingVerdict> {
        for transform in &self.transforms {
            let going = |leaf: &Leaf| match leaf {
                Leaf::Going { record, .. } => Some(record.clone()),
                Leaf::Ended(_) => None,
            };
            let inputs: Vec<Record> = under_way.0.iter().flatten().filter_map(going).collect();
            if inputs.is_empty() {
                break;
            }
            let verdicts = transform.apply(&inputs).await;
            if verdicts.len() != inputs.len() {
                return Err(MissingVerdict {
                    name: transform.name(),
                    records: inputs.len(),
                    verdicts: verdicts.len(),
                });
            }
            let mut verdicts = verdicts.into_iter();
            for leaves in &mut under_way.0 {
                *leaves = advance(std::mem::take(leaves), &mut verdicts);
            }
        }
        Ok(under_way)
    }
}

/// Gives each leaf that is still going its verdict.
fn advance(mut leaves: Vec<Leaf>, verdicts: &mut impl Iterator<Item = Verdict>) -> Vec<Leaf> {
    // As a rule a record is one leaf and stays one: its list is used again.
    if let [leaf] = &mut leaves[..] {
        if let Leaf::Going { record, .. } = leaf {
            match verdicts.next().expect("one verdict per input was counted") {
                Verdict::Emit(Piece { data, notes }) => {
                    (record.data, record.notes) = (data, notes);
                }
                verdict => {
                    let leaf = leaves.pop().expect("there is one");
                    settle(leaf, verdict, &mut leaves);
                }
            }
        }
        return leaves;
    }
    let mut next = Vec::with_capacity(leaves.len());
    for leaf in leaves {
        match leaf {
            Leaf::Ended(_) => next.push(leaf),
            Leaf::Going { .. } => {
                let verdict = verdicts.next().expect("one verdict per input was counted");
                settle(leaf, verdict, &mut next);
            }
        }
    }
    next
}

/// Puts what a verdict makes of a leaf behind the others.
fn settle(leaf: Leaf, verdict: Verdict, into: &mut Vec<Leaf>) {
    let Leaf::Going { record, raw } = leaf else {
        into.push(leaf);
        return;
    };
    match verdict {
        Verdict::Emit(Piece { data, notes }) => {
            into.push(Leaf::Going { record: Record { data, notes, ..record }, raw });
        }
        Verdict::Drop => into.push(Leaf::Ended(End::Drop)),
        Verdict::Fail(failure) => into.push(Leaf::Ended(End::Fail { failure, raw })),
        Verdict::Split(pieces) if pieces.is_empty() => into.push(Leaf::Ended(End::Drop)),
        Verdict::Split(pieces) => {
            let alone = pieces.len() == 1;
            into.extend(pieces.into_iter().map(|Piece { data, notes }| {
                let raw = if alone { raw.clone() } else { data.clone() };
                Leaf::Going { record: Record { data, notes, ..record.clone() }, raw }
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fault::output_type::PROCESSING_FAILED, record::Position};
    use async_trait::async_trait;

    /// Splits at commas, drops "d", fails "f".
    struct Script;

    #[async_trait]
    impl Transform for Script {
        fn name(&self) -> &'static str {
            "script"
        }

        async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
            let verdict = |record: &Record| match &record.data[..] {
                b"d" => Verdict::Drop,
                b"f" => Verdict::Fail(Failure::new(PROCESSING_FAILED, "Test.Fail", "f")),
                data if data.contains(&b',') => Verdict::Split(
                    data.split(|&b| b == b',')
                        .map(|part| piece(&String::from_utf8_lossy(part)))
                        .collect(),
                ),
                _ => {
                    Verdict::Emit(Piece { data: record.data.clone(), notes: record.notes.clone() })
                }
            };
            records.iter().map(verdict).collect()
        }
    }

    struct Silent;

    #[async_trait]
    impl Transform for Silent {
        fn name(&self) -> &'static str {
            "silent"
        }

        async fn apply(&self, _: &[Record]) -> Vec<Verdict> {
            Vec::new()
        }
    }

    fn piece(text: &str) -> Piece {
        Piece { data: Bytes::copy_from_slice(text.as_bytes()), ..Piece::default() }
    }

    fn emit(text: &str) -> End {
        End::Emit { piece: piece(text), raw: piece(text).data }
    }

    fn fail(raw: &str) -> End {
        let failure = Failure::new(PROCESSING_FAILED, "Test.Fail", "f");
        End::Fail { failure, raw: piece(raw).data }
    }

    fn records(texts: &[&'static str]) -> Vec<Record> {
        let record = |(i, text): (usize, &&'static str)| Record {
            position: Position::new(0, i as u64),
            arrival_ms: 0,
            data: Bytes::from_static(text.as_bytes()),
            notes: Default::default(),
        };
        texts.iter().enumerate().map(record).collect()
    }

    #[tokio::test]
    async fn every_piece_has_its_own_end() {
        let chain = Chain::new(vec![Arc::new(Script), Arc::new(Script)]);
        let ends = chain.apply(records(&["a", "b,c", "d", "f", "a,f", "d,d"])).await.unwrap();
        assert_eq!(ends[0], [emit("a")]);
        assert_eq!(ends[1], [emit("b"), emit("c")]);
        assert_eq!(ends[2], [End::Drop]);
        assert_eq!(ends[3], [fail("f")]);
        assert_eq!(ends[4], [emit("a"), fail("f")], "a failing piece leaves its sibling alone");
        assert_eq!(ends[5], [End::Drop, End::Drop]);
    }

    #[tokio::test]
    async fn a_missing_verdict_is_an_error_not_a_delivery() {
        let chain = Chain::new(vec![Arc::new(Silent)]);
        let error = chain.apply(records(&["a"])).await.unwrap_err();
        assert_eq!((error.records, error.verdicts), (1, 0));
    }
}
