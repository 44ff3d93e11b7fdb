//! Transforms one after the other, with the check that no record is lost between them.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    record::Record,
    seams::{Transform, Verdict},
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

impl Chain {
    pub fn new(transforms: Vec<Arc<dyn Transform>>) -> Self {
        Self(transforms)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One verdict per input, in input order. What one transform emits the next one sees; a record
    /// of which a piece fails further on fails whole, so that it is settled once.
    pub async fn apply(&self, records: &[Record]) -> Result<Vec<Verdict>, MissingVerdict> {
        let mut verdicts: Vec<Verdict> =
            records.iter().map(|record| Verdict::Emit(vec![record.data.clone()])).collect();
        for transform in &self.0 {
            let mut owners = Vec::new();
            let mut inputs = Vec::new();
            for (index, verdict) in verdicts.iter().enumerate() {
                let Verdict::Emit(pieces) = verdict else { continue };
                for piece in pieces {
                    owners.push(index);
                    inputs.push(Record { data: piece.clone(), ..records[index].clone() });
                }
            }
            let answers = transform.apply(&inputs).await;
            if answers.len() != inputs.len() {
                return Err(MissingVerdict {
                    name: transform.name(),
                    records: inputs.len(),
                    verdicts: answers.len(),
                });
            }
            merge(&mut verdicts, &owners, answers);
        }
        Ok(verdicts)
    }
}

/// Folds the answers for pieces back into one verdict per record.
fn merge(verdicts: &mut [Verdict], owners: &[usize], answers: Vec<Verdict>) {
    let mut emitted: Vec<Option<Vec<Bytes>>> = vec![None; verdicts.len()];
    let mut failed = vec![None; verdicts.len()];
    for (&owner, answer) in owners.iter().zip(answers) {
        let pieces = emitted[owner].get_or_insert_default();
        match answer {
            Verdict::Emit(more) => pieces.extend(more),
            Verdict::Drop => {}
            Verdict::Fail(failure) => {
                failed[owner].get_or_insert(failure);
            }
        }
    }
    for (index, (pieces, failure)) in emitted.into_iter().zip(failed).enumerate() {
        match (pieces, failure) {
            (_, Some(failure)) => verdicts[index] = Verdict::Fail(failure),
            (Some(pieces), None) if pieces.is_empty() => verdicts[index] = Verdict::Drop,
            (Some(pieces), None) => verdicts[index] = Verdict::Emit(pieces),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fault::Cause, record::Position, seams::Failure};
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
                b"f" => Verdict::Fail(Failure {
                    output_type: "processing-failed",
                    cause: Cause::new("Test.Fail", "f"),
                    attempts: 1,
                }),
                data => {
                    Verdict::Emit(data.split(|&b| b == b',').map(Bytes::copy_from_slice).collect())
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

    fn records(texts: &[&'static str]) -> Vec<Record> {
        let record = |(i, text): (usize, &&'static str)| Record {
            position: Position::new(0, i as u64),
            arrival_ms: 0,
            data: Bytes::from_static(text.as_bytes()),
        };
        texts.iter().enumerate().map(record).collect()
    }

    #[tokio::test]
    async fn one_verdict_per_record_through_two_transforms() {
        let chain = Chain::new(vec![Arc::new(Script), Arc::new(Script)]);
        let verdicts = chain.apply(&records(&["a", "b,c", "d", "f", "a,f", "d,d"])).await.unwrap();
        let emit = |texts: &[&'static str]| {
            Verdict::Emit(texts.iter().map(|t| Bytes::from_static(t.as_bytes())).collect())
        };
        assert_eq!(verdicts[0], emit(&["a"]));
        assert_eq!(verdicts[1], emit(&["b", "c"]));
        assert_eq!(verdicts[2], Verdict::Drop);
        assert!(matches!(verdicts[3], Verdict::Fail(_)));
        assert!(matches!(verdicts[4], Verdict::Fail(_)), "a piece failed, so the record failed");
        assert_eq!(verdicts[5], Verdict::Drop);
    }

    #[tokio::test]
    async fn a_missing_verdict_is_an_error_not_a_delivery() {
        let chain = Chain::new(vec![Arc::new(Silent)]);
        let error = chain.apply(&records(&["a"])).await.unwrap_err();
        assert_eq!((error.records, error.verdicts), (1, 0));
    }
}
