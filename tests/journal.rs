//! The journal from outside: one contract for both implementations, a model with crashes, the
//! recovery cases on real files, retried calls, encryption, flipped bytes, and the stored format.

#[path = "journal/calls.rs"]
mod calls;
#[path = "journal/conformance.rs"]
mod conformance;
#[path = "journal/encryption.rs"]
mod encryption;
#[path = "journal/format.rs"]
mod format;
#[path = "journal/full.rs"]
mod full;
#[path = "journal/model.rs"]
mod model;
#[path = "journal/pages.rs"]
mod pages;
#[path = "journal/provenance.rs"]
mod provenance;
#[path = "journal/recovery.rs"]
mod recovery;
#[path = "journal/support.rs"]
mod support;
