//! A JSON object of texts, written member by member.

use std::borrow::Cow;

/// The names of the members, as they stand in the object.
#[derive(Debug, Clone)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// Of names that stand twice the last value counts, in the place of the first, as in the
    /// agent's map; `places` says which member a value becomes.
    pub(super) fn new(names: &[String]) -> (Self, Vec<usize>) {
        let mut known: Vec<&String> = Vec::new();
        let mut places = Vec::new();
        for name in names {
            let place = known.iter().position(|other| *other == name).unwrap_or_else(|| {
                known.push(name);
                known.len() - 1
            });
            places.push(place);
        }
        let keys = known.iter().map(|name| format!("{}:", quoted(name))).collect();
        (Self(keys), places)
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// `{"name":"value","other":null}`
    pub(super) fn object(&self, values: &[Option<Cow<str>>], out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, (key, value)) in self.0.iter().zip(values).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(key.as_bytes());
            match value {
                Some(value) => push_quoted(value, out),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.push(b'}');
    }
}

fn push_quoted(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("text becomes JSON in memory");
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text becomes JSON in memory")
}
