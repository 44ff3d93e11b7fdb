//! Defaults that depend on other keys, as Firehose writes them out.

use super::{problem::join, shape::Places};
use crate::{
    batch::Buffering,
    config::{Config, DestinationSpec, S3Destination},
    limits,
    units::ByteSize,
};

/// Puts in what the file does not say itself.
pub(super) fn complete(config: &mut Config, places: &Places) {
    for (name, stream) in &mut config.streams {
        let list = join(&join("streams", name), "destinations");
        for (index, destination) in stream.destinations.iter_mut().enumerate() {
            self::destination(&format!("{list}[{index}]"), destination, places);
        }
    }
}

fn destination(path: &str, destination: &mut DestinationSpec, places: &Places) {
    // Of what each kind waits for where nothing is said: half of it may be said.
    let defaults: Vec<(&str, Buffering)> =
        destination.targets().map(|target| (target.kind(), target.default_buffering())).collect();
    for (kind, default) in defaults {
        let path = join(&join(path, kind), "buffering");
        let buffering = match kind {
            "http_endpoint" => {
                destination.http_endpoint.as_mut().and_then(|it| it.buffering.as_mut())
            }
            "splunk" => destination.splunk.as_mut().map(|it| &mut it.buffering),
            "datadog" => destination.datadog.as_mut().map(|it| &mut it.buffering),
            _ => None,
        };
        if let Some(buffering) = buffering {
            self::buffering(&path, buffering, default, places);
        }
    }
    for search in
        [&mut destination.opensearch, &mut destination.elasticsearch].into_iter().flatten()
    {
        search.index_rotation = Some(search.rotation());
        search.auth = Some(search.who());
    }
    if let Some(s3) = &mut destination.s3 {
        self::s3(&join(path, "s3"), s3, places);
    }
}

/// The members that the file leaves out are the kind's, and not those of buffering in general.
fn buffering(path: &str, buffering: &mut Buffering, default: Buffering, places: &Places) {
    if !places.is_set(&join(path, "size")) {
        buffering.size = default.size;
    }
    if !places.is_set(&join(path, "interval")) {
        buffering.interval = default.interval;
    }
}

/// With dynamic partitioning or format conversion a batch is closed at 128 MiB.
fn s3(path: &str, s3: &mut S3Destination, places: &Places) {
    let large = s3.partitioning().is_some() || s3.conversion().is_some();
    if large && !places.is_set(&join(&join(path, "buffering"), "size")) {
        s3.buffering.size = ByteSize(limits::BUFFER_BYTES_DEFAULT_LARGE);
    }
}
