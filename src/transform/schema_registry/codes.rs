//! The codes of this transform, beyond Firehose's.

use super::{avro, framing::NotUnpacked, plan::SchemaError};
use crate::fault::Cause;

pub(super) const REGISTRY_UNAVAILABLE: &str = "SchemaRegistry.Unavailable";
pub(super) const REGISTRY_DENIED: &str = "SchemaRegistry.AccessDenied";
pub(super) const REGISTRY_REFUSED: &str = "SchemaRegistry.Refused";

pub(super) fn no_header() -> Cause {
    let text = "the record has no header of a schema registry; set `unframed: pass` to keep such \
                records as they are";
    Cause::new("SchemaRegistry.NoHeader", text)
}

pub(super) fn no_registry() -> Cause {
    let text = "the record has the header of a registry that is not configured: `confluent` for \
                records that begin with 0x00, `glue` for 0x03";
    Cause::new("SchemaRegistry.NoRegistry", text)
}

pub(super) fn unknown_schema() -> Cause {
    Cause::new("SchemaRegistry.UnknownSchema", "the registry has no schema with the record's id")
}

pub(super) fn unsupported() -> Cause {
    let text = "the record's schema is neither Avro nor JSON: Protocol Buffers are not decoded";
    Cause::new("SchemaRegistry.UnsupportedFormat", text)
}

pub(super) fn unusable_schema(error: &SchemaError) -> Cause {
    Cause::new("SchemaRegistry.InvalidSchema", format!("the schema cannot be used: {error}"))
}

pub(super) fn not_unpacked(error: NotUnpacked) -> Cause {
    Cause::new("SchemaRegistry.InvalidPayload", error.to_string())
}

pub(super) fn not_decoded(error: avro::Unfit) -> Cause {
    Cause::new("SchemaRegistry.InvalidPayload", format!("no record of its schema: {error}"))
}
