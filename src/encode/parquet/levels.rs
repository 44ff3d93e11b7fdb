//! Definition and repetition levels of one leaf, computed from Arrow's arrays (Dremel's encoding,
//! parquet-format "Nested Encoding").
//!
//! Every node of a schema of Hive's is optional except the keys of maps, so a definition level
//! counts the non-null nodes and the non-empty repetitions on the way down.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, cast::AsArray};

use super::schema::Step;

/// A leaf's levels, and where its values lie.
#[derive(Debug)]
pub(super) struct Levels {
    pub definition: Vec<i16>,
    /// Absent where nothing repeats.
    pub repetition: Option<Vec<i16>>,
    /// The leaf's array, and the index in it of each value that is not null.
    pub values: ArrayRef,
    pub present: Vec<u32>,
}

/// A value on its way down: `at` is where it goes on, and absent once it is null or empty.
#[derive(Debug, Clone, Copy)]
struct Slot {
    definition: i16,
    repetition: i16,
    at: Option<u32>,
}

/// Levels of the leaf that `steps` lead to from a column's array.
pub(super) fn levels(column: &ArrayRef, steps: &[Step]) -> Levels {
    if steps.is_empty() && column.null_count() == 0 {
        return without_nulls(column);
    }
    let mut array = Arc::clone(column);
    let mut slots: Vec<Slot> = (0..array.len() as u32)
        .map(|row| Slot { definition: 0, repetition: 0, at: Some(row) })
        .collect();
    let mut depth = 0;
    define(&mut slots, &array);
    for step in steps {
        array = match step {
            Step::Field(index) => Arc::clone(array.as_struct().column(*index)),
            Step::Element => {
                let list = array.as_list::<i32>();
                depth += 1;
                slots = repeat(&slots, list.value_offsets(), depth);
                Arc::clone(list.values())
            }
            Step::Key | Step::Value => {
                let map = array.as_map();
                depth += 1;
                slots = repeat(&slots, map.value_offsets(), depth);
                Arc::clone(if *step == Step::Key { map.keys() } else { map.values() })
            }
        };
        if *step != Step::Key {
            define(&mut slots, &array);
        }
    }
    Levels {
        definition: slots.iter().map(|slot| slot.definition).collect(),
        repetition: (depth > 0).then(|| slots.iter().map(|slot| slot.repetition).collect()),
        present: slots.iter().filter_map(|slot| slot.at).collect(),
        values: array,
    }
}

/// What most columns are: neither nested nor null anywhere.
fn without_nulls(column: &ArrayRef) -> Levels {
    Levels {
        definition: vec![1; column.len()],
        repetition: None,
        values: Arc::clone(column),
        present: (0..column.len() as u32).collect(),
    }
}

/// One level more for what is not null here.
fn define(slots: &mut [Slot], array: &dyn Array) {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    for slot in slots {
        let Some(at) = slot.at else { continue };
        if nulls.is_some_and(|nulls| nulls.is_null(at as usize)) {
            slot.at = None;
        } else {
            slot.definition += 1;
        }
    }
}

/// A slot for each element, the first of which goes on with the repetition level of its list.
fn repeat(slots: &[Slot], offsets: &[i32], depth: i16) -> Vec<Slot> {
    let mut repeated = Vec::with_capacity(slots.len());
    for slot in slots {
        let range = slot.at.map_or(0..0, |at| offsets[at as usize]..offsets[at as usize + 1]);
        if range.is_empty() {
            repeated.push(Slot { at: None, ..*slot });
            continue;
        }
        let first = range.start;
        repeated.extend(range.map(|at| Slot {
            definition: slot.definition + 1,
            repetition: if at == first { slot.repetition } else { depth },
            at: Some(at as u32),
        }));
    }
    repeated
}
