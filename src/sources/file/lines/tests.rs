//! Records of whole files, of files in pieces, and of files that are read on after a restart.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: Duration = Duration::from_secs(100);
const TIME: &str = "2026-01-02T03:04:05.123456789Z";
const POD: &str = "/var/log/pods/shop_web_0a1b/nginx/0.log";

fn options(value: serde_json::Value) -> Options {
    let options: Options = serde_json::from_value(value).unwrap();
    assert_eq!(options.problems(), []);
    options
}

/// All records of a file.
fn lines(options: &Options, file: &[u8]) -> Vec<Line> {
    let mut out = Vec::new();
    let mut assembler = Assembler::new(options, Path::new(POD));
    assembler.push(file, 0, NOW, &mut out);
    assembler.flush(NOW, true, &mut out);
    if memchr::memchr_iter(b'\n', file).count() < options.skip_header_lines as usize {
        // It ends within its header.
        assert!(out.is_empty() && assembler.resume() == Resume::at(0));
    } else {
        assert_eq!(assembler.resume(), Resume::at(file.len() as u64));
        assert_eq!(assembler.pending_bytes(), 0);
    }
    out
}

fn texts(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8(line.data.clone()).unwrap()).collect()
}

fn read(value: serde_json::Value, file: &str) -> Vec<String> {
    texts(&lines(&options(value), file.as_bytes()))
}

#[test]
fn lines_are_records() {
    let file = "one\ntwo\r\n\n\r\nthr\ree\nlast";
    assert_eq!(read(json!({}), file), ["one", "two", "thr\ree", "last"]);
    let with_newline = ["one\n", "two\n", "thr\ree\n", "last\n"];
    assert_eq!(read(json!({"keep_newline": true}), file), with_newline);
    assert_eq!(read(json!({"skip_header_lines": 1}), file), ["two", "thr\ree", "last"]);
    assert!(read(json!({"skip_header_lines": 9}), "a\nb\nc").is_empty());
}

#[test]
fn a_record_knows_its_place() {
    let lines = lines(&Options::default(), b"\none\r\ntwo");
    let place = |line: &Line| (line.at, line.end, line.resume_at);
    assert_eq!(lines.iter().map(place).collect::<Vec<_>>(), [(1, 6, 6), (6, 9, 9)]);
}

#[test]
fn the_header_is_read_again_until_it_is_over() {
    let plan = Arc::new(Plan::new(&options(json!({"skip_header_lines": 2}))).unwrap());
    let mut out = Vec::new();
    let mut assembler = Assembler::resumed(&plan, Path::new("x"), Resume::default());
    assembler.push(b"head\n", 0, NOW, &mut out);
    assembler.push(b"he", 5, NOW, &mut out);
    assembler.flush(NOW, true, &mut out);
    assert_eq!(assembler.resume(), Resume::at(0));
    assembler.push(b"ad\none\n", 7, NOW, &mut out);
    assert_eq!(assembler.resume(), Resume::at(14));
    let mut later = Assembler::resumed(&plan, Path::new("x"), Resume::at(10));
    later.push(b"one\n", 10, NOW, &mut out);
    // A file that is followed from its end.
    let mut end = Assembler::resumed(&plan, Path::new("x"), Resume::default());
    end.push(b"two\n", 700, NOW, &mut out);
    assert_eq!(texts(&out), ["one", "one", "two"]);
    assert_eq!(end.resume_at(), 704);
}

#[test]
fn long_lines_are_cut_and_never_held() {
    let options = options(json!({"max_line_size": "1KiB"}));
    let euros = "€".repeat(400);
    let file = format!("{}\n{}\r\nshort\n{euros}\n", "a".repeat(1024), "b".repeat(5000));
    let whole = lines(&options, file.as_bytes());
    let told: Vec<_> = whole.iter().map(|line| (line.data.len(), line.cut_bytes)).collect();
    assert_eq!(told, [(1024, 0), (1024, 3976), (5, 0), (1023, 177)]);

    let mut assembler = Assembler::new(&options, Path::new("x"));
    let mut out = Vec::new();
    for index in 0..10_000 {
        assembler.push(&[b'x'; 1000], index * 1000, NOW, &mut out);
        assert!(assembler.pending_bytes() <= 1024 && out.is_empty());
    }
    assert_eq!(assembler.resume_at(), 0);
    assembler.push(b"\r\nnext\n", 10_000_000, NOW, &mut out);
    assert_eq!((out[0].data.len(), out[0].cut_bytes), (1024, 10_000_000 - 1024));
    assert_eq!(out[1].data, b"next");
}

#[test]
fn records_of_several_lines() {
    let trace = "2026 a\n  at x\n\n  at y\n2026 b\n2026 c\nend";
    for (multiline, expected) in [
        (
            json!({"start_pattern": "^\\d{4} "}),
            &["2026 a\n  at x\n\n  at y", "2026 b", "2026 c\nend"][..],
        ),
        (
            json!({"continue_pattern": "^\\s|^$"}),
            &["2026 a\n  at x\n\n  at y", "2026 b", "2026 c", "end"],
        ),
        (
            json!({"start_pattern": "^\\d{4} ", "max_lines": 2}),
            &["2026 a\n  at x", "\n  at y", "2026 b", "2026 c\nend"],
        ),
        (
            json!({"start_pattern": "^\\d{4} ", "max_bytes": 14}),
            &["2026 a\n  at x\n", "  at y", "2026 b", "2026 c\nend"],
        ),
        (
            json!({"mode": "continue_through", "start_pattern": "c$", "condition_pattern": "d$"}),
            &["2026 a", "  at x", "  at y", "2026 b", "2026 c\nend"],
        ),
        (
            json!({"mode": "continue_past", "start_pattern": "a$", "condition_pattern": "x$|^$"}),
            &["2026 a\n  at x\n\n  at y", "2026 b", "2026 c", "end"],
        ),
        (
            json!({"mode": "halt_before", "start_pattern": "a$", "condition_pattern": "y$"}),
            &["2026 a\n  at x\n", "  at y", "2026 b", "2026 c", "end"],
        ),
        (
            json!({"mode": "halt_with", "start_pattern": "a$", "condition_pattern": "y$"}),
            &["2026 a\n  at x\n\n  at y", "2026 b", "2026 c", "end"],
        ),
    ] {
        assert_eq!(read(json!({"multiline": multiline}), trace), expected, "{multiline}");
    }
}

#[test]
fn silence_ends_a_record() {
    let options = options(json!({"multiline": {"continue_pattern": "^ ", "timeout": "3s"}}));
    let mut assembler = Assembler::new(&options, Path::new("x"));
    let (mut out, second) = (Vec::new(), Duration::from_secs(1));
    assert_eq!(assembler.due(), None);
    assembler.push(b"one\n", 0, NOW, &mut out);
    assembler.push(b" more\n ha", 4, NOW + second, &mut out);
    assert_eq!((assembler.due(), assembler.resume_at()), (Some(NOW + 4 * second), 0));
    assembler.flush(NOW + 3 * second, false, &mut out);
    assert!(out.is_empty());
    assembler.flush(NOW + 4 * second, false, &mut out);
    assert_eq!(texts(&out), ["one\n more"]);
    assert_eq!((assembler.due(), assembler.resume_at()), (None, 10));
    assembler.push(b"lf\n", 13, NOW + 9 * second, &mut out);
    assembler.flush(NOW + 9 * second, true, &mut out);
    assert_eq!(texts(&out), ["one\n more", " half"]);
}

#[test]
fn pieces_are_joined_by_stream() {
    let file = format!(
        "{TIME} stdout P one \n{TIME} stderr F err\n{TIME} stdout P two \n\
         {TIME} stdout F three\nno such line\n{TIME} stderr P left\n"
    );
    let expected = ["err", "one two three", "no such line", "left"];
    assert_eq!(read(json!({"format": "cri"}), &file), expected);
    let joined = lines(&options(json!({"format": "cri"})), file.as_bytes());
    let resumes: Vec<_> = joined.iter().map(|line| line.resume.to_string()).collect();
    assert_eq!(resumes, ["0+0+89+89", "180", "193", "238"]);

    let small = options(json!({"format": "cri", "max_line_size": "1KiB"}));
    let piece = format!("{TIME} stdout P {}\n", "x".repeat(700));
    let file = format!("{piece}{piece}{TIME} stdout F end\n");
    let cut = lines(&small, file.as_bytes());
    assert_eq!((cut.len(), cut[0].data.len(), cut[0].cut_bytes), (1, 1024, 379));
}

#[test]
fn containers_are_named() {
    let kubernetes = json!({
        "namespace_name": "shop", "pod_name": "web", "pod_id": "0a1b", "container_name": "nginx",
    });
    let cri = options(json!({
        "format": "cri", "kubernetes": {}, "multiline": {"continue_pattern": "^ "},
    }));
    let file = format!("{TIME} stdout F a \"b\"\nbad\n{TIME} stdout F  c\n");
    let records = lines(&cri, file.as_bytes());
    let records: Vec<serde_json::Value> =
        records.iter().map(|line| serde_json::from_slice(&line.data).unwrap()).collect();
    let joined = json!({
        "log": "a \"b\"\n c", "stream": "stdout", "time": TIME, "kubernetes": kubernetes,
    });
    assert_eq!(records, [json!({"log": "bad", "kubernetes": kubernetes}), joined]);

    let docker = options(json!({"format": "docker_json", "kubernetes": {}, "keep_newline": true}));
    let mut out = Vec::new();
    let mut assembler = Assembler::new(&docker, Path::new("/elsewhere"));
    let file = format!("{{\"log\":\"x\\n\",\"stream\":\"stderr\",\"time\":\"{TIME}\"}}\n{{}}\n");
    assembler.push(file.as_bytes(), 0, NOW, &mut out);
    let expected = format!("{{\"log\":\"x\",\"stream\":\"stderr\",\"time\":\"{TIME}\"}}\n");
    assert_eq!(texts(&out), [expected.as_str(), "{\"log\":\"{}\"}\n"]);
    assert_eq!(assembler.malformed(), 1);
}

#[test]
fn mistakes_have_no_plan() {
    let options = Options { max_line_size: crate::units::ByteSize(1), ..Options::default() };
    assert_eq!(Plan::new(&options).unwrap_err()[0].key, "max_line_size");
}

fn any_options() -> impl Strategy<Value = Options> {
    let multiline = prop_oneof![
        Just(json!(null)),
        Just(json!({"start_pattern": "^a"})),
        Just(json!({"continue_pattern": "^ ", "max_lines": 3})),
        Just(json!({"mode": "continue_past", "start_pattern": "a", "condition_pattern": "b$"})),
        Just(json!({"mode": "halt_with", "start_pattern": "a", "condition_pattern": "b$"})),
        Just(json!({"start_pattern": "^a", "max_bytes": 8})),
    ];
    let format = prop_oneof![Just("plain"), Just("cri"), Just("docker_json")];
    (multiline, format, any::<bool>(), any::<bool>(), 0..3u32).prop_map(
        |(multiline, format, keep_newline, kubernetes, skip_header_lines)| {
            let mut value = json!({
                "multiline": multiline, "format": format, "keep_newline": keep_newline,
                "skip_header_lines": skip_header_lines, "max_line_size": "1KiB",
            });
            if kubernetes && format != "plain" {
                value["kubernetes"] = json!({});
            }
            options(value)
        },
    )
}

/// A file of lines that suit the format more or less.
fn file_of(options: &Options, parts: &[(u8, &'static str, usize)]) -> Vec<u8> {
    let mut file = Vec::new();
    for &(kind, text, times) in parts {
        let text = text.repeat(times);
        let stream = if kind & 1 == 0 { "stdout" } else { "stderr" };
        let goes_on = kind & 2 != 0;
        let end = if kind & 4 == 0 { "\n" } else { "\r\n" };
        let line = match (options.format, kind & 24) {
            (Format::Plain, _) | (_, 24) => format!("{text}{end}"),
            (Format::Cri, _) => {
                format!("{TIME} {stream} {} {text}{end}", if goes_on { 'P' } else { 'F' })
            }
            (Format::DockerJson, _) => {
                let log = if goes_on { text } else { text + "\n" };
                let value = json!({"log": log, "stream": stream, "time": TIME});
                format!("{value}{end}")
            }
        };
        file.extend_from_slice(line.as_bytes());
    }
    file
}

fn any_file() -> impl Strategy<Value = (Options, Vec<u8>)> {
    let text = prop_oneof![Just(""), Just("a"), Just(" b"), Just("ab"), Just("é"), Just("x\\")];
    let times = prop_oneof![9 => Just(1usize), 1 => 500..700usize];
    let parts = prop::collection::vec((0..32u8, text, times), 0..14);
    (any_options(), parts, any::<bool>()).prop_map(|(options, parts, ended)| {
        let mut file = file_of(&options, &parts);
        if !ended {
            file.pop();
        }
        (options, file)
    })
}

proptest! {
    /// However a file is pushed, its records are the same.
    #[test]
    fn pushes_do_not_matter(
        (options, file) in any_file(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(file.len() + 1)).collect();
        cuts.push(file.len());
        cuts.sort_unstable();
        let mut assembler = Assembler::new(&options, Path::new(POD));
        let (mut out, mut start) = (Vec::new(), 0);
        for cut in cuts {
            let before = assembler.resume_at();
            assembler.push(&file[start..cut], start as u64, NOW, &mut out);
            prop_assert!(before <= assembler.resume_at() && assembler.resume_at() <= cut as u64);
            start = cut;
        }
        assembler.flush(NOW, true, &mut out);
        prop_assert_eq!(&out, &lines(&options, &file));
        let limit = 1024;
        prop_assert!(out.iter().all(|line| line.data.len() <= limit));
    }

    /// Read on from the place of any record, or of any push, the records that follow are the same,
    /// and none is given out again.
    #[test]
    fn restarts_do_not_matter((options, file) in any_file(), cut in any::<prop::sample::Index>()) {
        let plan = Arc::new(Plan::new(&options).unwrap());
        let all = lines(&options, &file);
        let again = |resume: Resume| {
            let resume: Resume = resume.to_string().parse().unwrap();
            let mut out = Vec::new();
            let mut assembler = Assembler::resumed(&plan, Path::new(POD), resume);
            let at = resume.offset() as usize;
            assembler.push(&file[at..], at as u64, NOW, &mut out);
            assembler.flush(NOW, true, &mut out);
            out
        };
        prop_assert_eq!(&again(Resume::at(0)), &all);
        for (index, line) in all.iter().enumerate() {
            prop_assert_eq!(&again(line.resume), &all[index + 1..]);
            prop_assert_eq!(line.resume_at, line.resume.offset());
        }
        let cut = cut.index(file.len() + 1);
        let mut assembler = Assembler::new(&options, Path::new(POD));
        let mut out = Vec::new();
        assembler.push(&file[..cut], 0, NOW, &mut out);
        prop_assert_eq!(&again(assembler.resume()), &all[out.len()..]);
        // Stopped once more before it has caught up with the stream that is ahead.
        for (index, line) in all.iter().enumerate().filter(|(_, line)| line.resume_at < cut as u64) {
            let mut assembler = Assembler::resumed(&plan, Path::new(POD), line.resume);
            let mut out = Vec::new();
            let at = line.resume_at as usize;
            assembler.push(&file[at..cut], line.resume_at, NOW, &mut out);
            prop_assert_eq!(&again(assembler.resume()), &all[index + 1 + out.len()..]);
        }
    }
}
