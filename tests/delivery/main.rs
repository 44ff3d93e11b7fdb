//! The record's way from the journal to a destination: every end a record can have, and crashes
//! at random moments on a disk that loses what was not synced.

mod crashes;
mod ends;
mod lists;
mod parted;
mod world;
