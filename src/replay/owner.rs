//! Whose object it is, by its name.

/// What follows the stream in a name: the version of the stream, the time of the oldest record
/// (`YYYY-MM-DD-HH-MM-SS`) and a UUID, as lengths of what stands between the dashes.
const TIME: [usize; 6] = [4, 2, 2, 2, 2, 2];
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

/// Whether a stream wrote an object of failed records with this name: that of `logs` does not only
/// begin with `logs-`, for so do those of `logs-audit`.
pub(super) fn is_of_stream(name: &str, stream: &str) -> bool {
    let Some(rest) = name.strip_prefix(stream).and_then(|rest| rest.strip_prefix('-')) else {
        return false;
    };
    let mut parts = rest.split('-');
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.next().is_some_and(digits)
        && TIME.iter().all(|&size| parts.next().is_some_and(|p| p.len() == size && digits(p)))
        && UUID.iter().all(|&size| parts.next().is_some_and(|p| p.len() == size && hex(p)))
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_of_one_stream() {
        let tail = "1-2026-07-13-14-05-12-67e55044-10b1-426f-9247-bb680e5fe0c8";
        for (name, stream, expected) in [
            (format!("logs-{tail}"), "logs", true),
            (format!("logs-1{tail}"), "logs", true),
            (format!("logs-audit-{tail}"), "logs", false),
            (format!("logs-audit-{tail}"), "logs-audit", true),
            (format!("logs-1-{tail}"), "logs", false),
            (format!("logs-1-{tail}"), "logs-1", true),
            (format!("logs--{tail}"), "logs", false),
            (format!("logs-{tail}.gz"), "logs", false),
            (format!("logs-{tail}-1"), "logs", false),
            (format!("logs-x{tail}"), "logs", false),
            (format!("logs{tail}"), "logs", false),
            ("logs-notes.txt".to_owned(), "logs", false),
            ("logs-".to_owned(), "logs", false),
        ] {
            assert_eq!(is_of_stream(&name, stream), expected, "{name} of {stream}");
        }
    }
}
