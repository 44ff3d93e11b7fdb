//! How far sending is: a bar on a terminal, nothing elsewhere.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of bytes with pace and remaining time; without a known size, a running count.
pub fn bar(total_bytes: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total_bytes {
        Some(total) => (
            ProgressBar::new(total),
            "{bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} ETA {eta} {msg}",
        ),
        None => {
            (ProgressBar::new_spinner(), "{spinner} {binary_bytes} {binary_bytes_per_sec} {msg}")
        }
    };
    bar.set_style(ProgressStyle::with_template(template).expect("the templates are tested"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_nothing_is_drawn() {
        // Tests run with stderr captured or on a terminal; both kinds of bars must build.
        for total in [None, Some(5)] {
            let bar = bar(total);
            bar.inc(5);
            assert_eq!(bar.position(), 5);
            bar.finish_and_clear();
        }
    }
}
