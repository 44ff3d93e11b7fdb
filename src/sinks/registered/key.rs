//! Folders as Hive names them.

use percent_encoding::percent_decode_str;

/// What an object's key says of its partition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Partition<'a> {
    /// In the order of the table's columns.
    pub values: Vec<String>,
    /// Up to the last folder that names a column, with its `/`.
    pub prefix: &'a str,
}

/// Reads `name=value/` folders for every partition column, in whatever order they stand. Names
/// know no case; `%3A` in a value stands for a colon, as Hive escapes it. Nothing where a column is
/// missing, or there are none.
pub(super) fn partition<'a>(key: &'a str, columns: &[String]) -> Option<Partition<'a>> {
    let mut values: Vec<Option<String>> = vec![None; columns.len()];
    let (mut end, mut at) = (0, 0);
    let folders = &key[..key.rfind('/')? + 1];
    for folder in folders.split_inclusive('/') {
        at += folder.len();
        let Some((name, value)) = folder[..folder.len() - 1].split_once('=') else { continue };
        let column = columns.iter().position(|column| column.eq_ignore_ascii_case(name));
        let Some(slot) = column.map(|column| &mut values[column]) else { continue };
        if slot.is_none() {
            // A value that is no text when it is unescaped was never escaped.
            let text = percent_decode_str(value).decode_utf8();
            *slot = Some(text.map_or_else(|_| value.to_owned(), |text| text.into_owned()));
            end = at;
        }
    }
    let values: Option<Vec<_>> = values.into_iter().collect();
    let values = values.filter(|values| !values.is_empty())?;
    Some(Partition { values, prefix: &key[..end] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &str, columns: &[&str]) -> Option<(Vec<String>, String)> {
        let columns: Vec<_> = columns.iter().map(|column| column.to_string()).collect();
        partition(key, &columns).map(|found| (found.values, found.prefix.to_owned()))
    }

    fn found(values: &[&str], prefix: &str) -> Option<(Vec<String>, String)> {
        Some((values.iter().map(|value| value.to_string()).collect(), prefix.to_owned()))
    }

    #[test]
    fn folders_are_read_as_hive_lays_them_out() {
        for (key, columns, expected) in [
            (
                "c/dt=2026-11-21/h=09/x",
                &["dt", "h"][..],
                found(&["2026-11-21", "09"], "c/dt=2026-11-21/h=09/"),
            ),
            ("dt=1/x", &["dt"], found(&["1"], "dt=1/")),
            ("h=09/dt=1/x", &["dt", "h"], found(&["1", "09"], "h=09/dt=1/")),
            ("DT=1/deeper/still/x", &["dt"], found(&["1"], "DT=1/")),
            ("a=0/dt=1/b=2/x", &["dt"], found(&["1"], "a=0/dt=1/")),
            ("dt=1/dt=2/x", &["dt"], found(&["1"], "dt=1/")),
            ("t=12%3A00/x", &["t"], found(&["12:00"], "t=12%3A00/")),
            ("t=100%/u=%FF/x", &["t", "u"], found(&["100%", "%FF"], "t=100%/u=%FF/")),
            ("dt=/x", &["dt"], found(&[""], "dt=/")),
            ("dt=a=b/x", &["dt"], found(&["a=b"], "dt=a=b/")),
            ("größe=ü/x", &["größe"], found(&["ü"], "größe=ü/")),
            ("dt=1/h=2", &["dt", "h"], None),
            ("dt=1", &["dt"], None),
            ("c/x", &["dt"], None),
            ("dt=1/x", &[], None),
            ("", &["dt"], None),
        ] {
            assert_eq!(read(key, columns), expected, "{key}");
        }
    }
}
