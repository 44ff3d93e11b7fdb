//! The objects that are under way, from the first byte read to the last record settled.

use std::{collections::HashMap, sync::Arc};

use super::{
    batches::Mark,
    report::Report,
    state::{Changes, Digest, Progress},
    store::Object,
};

/// An object under way.
#[derive(Debug)]
pub(super) struct Slot {
    pub object: Object,
    pub name: Arc<str>,
    pub id: Digest,
    /// The manifest that named it.
    parent: Option<u64>,
    progress: Progress,
    /// Records that were not wanted, or are none: they are not in `progress`, for whoever reads the
    /// object again meets them again.
    pub passed_over: u64,
    /// It was not read to its end, or something that it names was not.
    pub is_broken: bool,
    /// All of its own records are settled.
    is_settled: bool,
    /// Objects that it names and that are not done.
    children: u64,
}

/// An object that is done: its fate.
#[derive(Debug)]
pub(super) struct Done {
    pub object: Object,
    pub id: Digest,
    pub name: Arc<str>,
    /// Whether all that is in it was taken.
    pub is_whole: bool,
    /// Whether a manifest named it: the data of a COPY are not ours to delete.
    pub is_named: bool,
}

/// The objects under way.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: HashMap<u64, Slot>,
    next: u64,
}

impl Slots {
    pub fn open(
        &mut self,
        object: Object,
        id: Digest,
        parent: Option<u64>,
        progress: Progress,
    ) -> u64 {
        let number = self.next;
        self.next += 1;
        let name = match object.bucket.as_str() {
            "" => object.key.clone(),
            bucket => format!("s3://{bucket}/{}", object.key),
        };
        let slot = Slot {
            object,
            name: name.into(),
            id,
            parent,
            progress,
            passed_over: 0,
            is_broken: false,
            is_settled: false,
            children: 0,
        };
        self.slots.insert(number, slot);
        number
    }

    pub fn get(&mut self, number: u64) -> Option<&mut Slot> {
        self.slots.get_mut(&number)
    }

    /// A manifest named an object.
    pub fn expect_child(&mut self, parent: u64) {
        if let Some(slot) = self.slots.get_mut(&parent) {
            slot.children += 1;
        }
    }

    /// What a delivered mark settles.
    pub fn settle(&mut self, mark: &Mark, refused: u64, changes: &mut Changes) -> Vec<Done> {
        let Some(slot) = self.slots.get_mut(&mark.slot) else { return Vec::new() };
        slot.progress.records = slot.progress.records.max(mark.upto);
        slot.progress.left += mark.left + refused;
        // What cannot be read to its end is read again, but not handed on again.
        if !mark.ended || slot.is_broken {
            changes.partly.push((slot.id, slot.progress));
        }
        if !mark.ended {
            return Vec::new();
        }
        slot.is_settled = true;
        self.close(mark.slot, changes)
    }

    /// An object that a manifest names is done, or was done before.
    pub fn child_done(
        &mut self,
        parent: u64,
        is_whole: bool,
        is_broken: bool,
        changes: &mut Changes,
    ) -> Vec<Done> {
        let Some(slot) = self.slots.get_mut(&parent) else { return Vec::new() };
        slot.children -= 1;
        slot.passed_over += u64::from(!is_whole);
        slot.is_broken |= is_broken;
        self.close(parent, changes)
    }

    /// Takes an object out once nothing of it is open, and then perhaps the manifest above it.
    fn close(&mut self, number: u64, changes: &mut Changes) -> Vec<Done> {
        let open = |slot: &Slot| !slot.is_settled || slot.children > 0;
        if self.slots.get(&number).is_none_or(open) {
            return Vec::new();
        }
        let Some(slot) = self.slots.remove(&number) else { return Vec::new() };
        let is_whole = !slot.is_broken && slot.progress.left == 0 && slot.passed_over == 0;
        let mut done = Vec::new();
        if !slot.is_broken {
            changes.finished.push((slot.id, slot.object.key.clone(), is_whole));
            let is_named = slot.parent.is_some();
            let Slot { object, id, name, .. } = slot;
            done.push(Done { object, id, name, is_whole, is_named });
        }
        if let Some(parent) = slot.parent {
            done.extend(self.child_done(parent, is_whole, slot.is_broken, changes));
        }
        done
    }

    /// Names what is damaged in an object.
    pub fn damaged(&mut self, number: u64, piece: &super::reading::Piece, report: &mut Report) {
        let Some(slot) = self.slots.get_mut(&number) else { return };
        slot.passed_over += piece.filtered + piece.damaged;
        report.records.filtered += piece.filtered;
        report.records.damaged += piece.damaged;
        for damage in &piece.damages {
            report.trouble(&slot.name, Some(damage.line), damage.reason.clone());
        }
    }
}
