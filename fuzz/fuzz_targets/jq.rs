//! Any text is a filter or a mistake, and any record gets an answer from filters such as users
//! write. Filters are not run that the fuzzer wrote: their authors are trusted with memory.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use standpipe::{
    seams::{Transform, Verdict},
    transform::jq::{Extraction, Filter, Map, compile},
};
use standpipe_fuzz::verdict;

static STEPS: LazyLock<Vec<Box<dyn Transform>>> = LazyLock::new(|| {
    vec![
        Box::new(Extraction::new("{a: .x.y, b}").expect("it is valid")),
        Box::new(
            Extraction::new("{a: (.b | tostring), c: (.x.y // \"none\")}").expect("it is valid"),
        ),
        Box::new(Filter::new(".b > 1 and .t").expect("it is valid")),
        Box::new(Filter::new(".x.y == \"v\"").expect("it is valid")),
        Box::new(Map::new(".").expect("it is valid")),
        Box::new(Map::new(".a[]? | {k, s: (.k | ascii_upcase)}").expect("it is valid")),
    ]
});

fuzz_target!(|data: &[u8]| {
    match data {
        [0, text @ ..] => {
            let Ok(text) = std::str::from_utf8(text) else { return };
            if let Err(mistake) = compile(text) {
                assert!(!mistake.to_string().is_empty());
            }
            if let Ok(extraction) = Extraction::new(text) {
                assert!(extraction.keys().is_none_or(|keys| !keys.is_empty()));
            }
        }
        [_, step, record @ ..] => {
            let step = &STEPS[usize::from(*step) % STEPS.len()];
            if let Verdict::Fail(failure) = verdict(&**step, record) {
                assert!(!failure.cause.message.is_empty());
            }
        }
        _ => {}
    }
});
