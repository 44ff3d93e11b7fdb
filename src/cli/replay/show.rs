//! A replay's report as text.

use std::fmt::Write;

use crate::{
    cli::output::counted,
    replay::{Report, Trouble},
    units::ByteSize,
};

/// Troubles that are printed; more would scroll away what matters.
const TROUBLES_SHOWN: usize = 20;

/// The table of what there is, then counts, then troubles.
pub fn report(report: &Report, is_dry_run: bool) -> String {
    let mut text = String::new();
    if is_dry_run {
        table(report, &mut text);
    }
    counts(report, is_dry_run, &mut text);
    troubles(report, &mut text);
    text
}

fn table(report: &Report, text: &mut String) {
    let rows: Vec<[String; 4]> = report
        .summary
        .rows()
        .map(|(kind, code, row)| {
            let code = if code.is_empty() { "-" } else { code };
            let kind = kind.output_type().to_owned();
            [kind, code.to_owned(), row.records.to_string(), ByteSize(row.bytes).to_string()]
        })
        .collect();
    let head = ["TYPE", "CODE", "RECORDS", "BYTES"].map(str::to_owned);
    let width = |column: usize| {
        rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths = [0, 1, 2, 3].map(width);
    let mut line = |row: &[String; 4]| {
        let [a, b, c, d] = widths;
        let _ = writeln!(text, "{:a$}  {:b$}  {:>c$}  {:>d$}", row[0], row[1], row[2], row[3]);
    };
    if rows.is_empty() {
        return;
    }
    line(&head);
    for row in &rows {
        line(row);
    }
    text.push('\n');
    for (kind, code, row) in report.summary.rows() {
        let sample = &row.sample;
        let code = if code.is_empty() { "-" } else { code };
        let _ = writeln!(text, "{} {code}: {}", kind.output_type(), sample.message);
        let _ = writeln!(text, "  {}:{}", sample.object, sample.line);
        let _ = writeln!(text, "  {}", sample.record);
    }
    if report.summary.others > 0 {
        let _ = writeln!(text, "and {} with other codes", report.summary.others);
    }
    text.push('\n');
}

fn counts(report: &Report, is_dry_run: bool, text: &mut String) {
    let (objects, records) = (&report.objects, &report.records);
    let (count, bytes, word) = match is_dry_run {
        true => (report.summary.records, report.summary.bytes, "found"),
        false => (records.delivered, records.delivered_bytes, "delivered"),
    };
    let _ = writeln!(
        text,
        "{} {word} ({}), {} read to the end",
        counted(count, "record"),
        ByteSize(bytes),
        counted(objects.finished, "object")
    );
    let transformed: u64 = report
        .summary
        .rows()
        .filter(|(kind, ..)| kind.is_transformed())
        .map(|(.., row)| row.records)
        .sum();
    if transformed > 0 {
        let _ = writeln!(
            text,
            "{} had been through transforms: a stream that has any runs them again",
            counted(transformed, "record")
        );
    }
    let list = |parts: &[(u64, &str)]| {
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        parts.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
    };
    let of_records = list(&[
        (records.stored_again, "failed again and stored as such"),
        (records.refused, "refused"),
        (records.circling, "left because they keep coming back"),
        (records.exhausted, "left because of their many attempts"),
        (records.filtered, "not selected"),
        (records.damaged, "places that are no records"),
        (records.unremembered, "sent without being remembered"),
    ]);
    let of_objects = list(&[
        (objects.known, "done before"),
        (objects.newer, "written since the replay began"),
        (objects.older, "older than --from"),
        (objects.unreadable, "unreadable"),
        (objects.deleted, "deleted"),
        (objects.moved, "moved"),
        (objects.kept, "kept because not all of them was taken"),
        (objects.stuck, "that could not be deleted or moved"),
    ]);
    for (what, list) in [("records", of_records), ("objects", of_objects)] {
        if !list.is_empty() {
            let _ = writeln!(text, "{what}: {list}");
        }
    }
}

fn troubles(report: &Report, text: &mut String) {
    for Trouble { object, line, reason } in report.troubles.iter().take(TROUBLES_SHOWN) {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        let _ = writeln!(text, "{object}{line}: {reason}");
    }
    let more = report.troubles.len().saturating_sub(TROUBLES_SHOWN) as u64;
    if more + report.troubles_unnamed > 0 {
        let _ = writeln!(text, "and {} more", more + report.troubles_unnamed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::replay::{self, Plan, Store};

    async fn surveyed(lines: &str) -> Report {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("object"), lines).unwrap();
        let store = Store::Folder(replay::Folder::new(folder.path().to_owned()));
        replay::survey(Plan::new(Arc::new(store), "", i64::MAX), &()).await
    }

    #[tokio::test]
    async fn a_dry_run_shows_counts_and_samples() {
        let line = |code: &str, raw: &str| {
            let raw = base64_simd::STANDARD.encode_to_string(raw);
            format!("{{\"rawData\":\"{raw}\",\"errorCode\":\"{code}\",\"errorMessage\":\"why\"}}\n")
        };
        let lines = line("Splunk.AckTimeout", "one")
            + &line("Splunk.AckTimeout", "two")
            + "nonsense\n"
            + &line("Lambda.FunctionError", "\0");
        let report = surveyed(&lines).await;
        insta::assert_snapshot!(super::report(&report, true), @r"
        TYPE               CODE                  RECORDS  BYTES
        processing-failed  Lambda.FunctionError        1     1B
        splunk-failed      Splunk.AckTimeout           2     6B

        processing-failed Lambda.FunctionError: why
          object:4
          0x00
        splunk-failed Splunk.AckTimeout: why
          object:1
          one

        3 records found (7B), 1 object read to the end
        2 records had been through transforms: a stream that has any runs them again
        records: 1 places that are no records
        object:3: neither an object nor white space
        ");
    }
}
