//! What the fuzz targets share.

use bytes::Bytes;
use standpipe::{
    record::{Position, Record},
    seams::{Transform, Verdict},
};

/// The verdict of a transform on one record.
pub fn verdict(transform: &dyn Transform, data: &[u8]) -> Verdict {
    let record = Record {
        position: Position::START,
        arrival_ms: 0,
        data: Bytes::copy_from_slice(data),
        notes: Default::default(),
    };
    let verdicts = futures::executor::block_on(transform.apply(&[record]));
    let [verdict] = verdicts.try_into().expect("one verdict for each record");
    verdict
}

/// The JSON documents that `data` is made of, if a strict reader takes all of it.
pub fn documents(data: &[u8]) -> Option<Vec<serde_json::Value>> {
    serde_json::Deserializer::from_slice(data).into_iter().collect::<Result<_, _>>().ok()
}
