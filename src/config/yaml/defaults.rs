//! Defaults that depend on other keys, as Firehose writes them out.

use super::{problem::join, shape::Places};
use crate::{config::Config, limits, units::ByteSize};

/// Puts in what the file does not say itself: with dynamic partitioning or format conversion a
/// batch is closed at 128 MiB.
pub(super) fn complete(config: &mut Config, places: &Places) {
    for (name, stream) in &mut config.streams {
        let list = join(&join("streams", name), "destinations");
        for (index, destination) in stream.destinations.iter_mut().enumerate() {
            let s3 = &mut destination.s3;
            let large = s3.partitioning().is_some() || s3.conversion().is_some();
            if large && !places.is_set(&format!("{list}[{index}].s3.buffering.size")) {
                s3.buffering.size = ByteSize(limits::BUFFER_BYTES_DEFAULT_LARGE);
            }
        }
    }
}
