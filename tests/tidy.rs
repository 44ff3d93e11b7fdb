//! Style that a machine can check: the layers of `ARCHITECTURE.md`, bans, sizes.
//!
//! Every rule is a pure function from text to findings, and the second half of this file proves
//! that each one finds a planted offence.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

/// A file longer than this is a sign that two things live in it.
const LINES_MAX: usize = 1_500;

/// Modules that may name concrete sinks, sources and journals: the composition root and what
/// stands above the API.
const COMPOSERS: [&str; 3] = ["daemon", "cli", "main"];

// --------------------------------------------------------------------------------------- the rules

#[test]
fn the_map_names_every_module() {
    let layers = layers(&read("ARCHITECTURE.md"));
    let missing: Vec<_> = sources()
        .into_iter()
        .map(|(path, _)| module_of(&path))
        .filter(|module| module != "lib" && !layers.contains_key(module))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    assert!(missing.is_empty(), "modules without a row in ARCHITECTURE.md: {missing:?}");
}

#[test]
fn imports_point_downward() {
    let layers = layers(&read("ARCHITECTURE.md"));
    report(sources().iter().flat_map(|(path, text)| {
        arrows_up(&module_of(path), text, &layers).into_iter().map(move |f| format!("{path}: {f}"))
    }));
}

#[test]
fn only_the_composition_root_names_concrete_parts() {
    let sources = sources();
    let concrete: BTreeMap<String, String> = sources
        .iter()
        .flat_map(|(path, text)| {
            let module = module_of(path);
            implementers(text).into_iter().map(move |name| (name, module.clone()))
        })
        .collect();
    report(sources.iter().flat_map(|(path, text)| {
        constructions(&module_of(path), text, &concrete)
            .into_iter()
            .map(move |f| format!("{path}: {f}"))
            .collect::<Vec<_>>()
    }));
}

#[test]
fn sources_hold_no_unfinished_or_careless_code() {
    report(sources().iter().flat_map(|(path, text)| {
        careless(text).into_iter().map(move |f| format!("{path}: {f}")).collect::<Vec<_>>()
    }));
}

#[test]
fn the_crate_forbids_unsafe_code() {
    assert!(read("src/lib.rs").contains("#![forbid(unsafe_code)]"));
    let keyword = Regex::new(r"\bunsafe\b").unwrap();
    report(
        sources()
            .iter()
            .filter(|(_, text)| keyword.is_match(&code(text)))
            .map(|(path, _)| format!("{path}: unsafe code")),
    );
}

#[test]
fn files_are_short_and_name_no_machine() {
    report(tracked_texts().iter().flat_map(|(path, text)| {
        let mut findings = foreign_paths(text);
        findings.extend(too_long(path, text));
        findings.into_iter().map(move |f| format!("{path}: {f}")).collect::<Vec<_>>()
    }));
}

#[test]
fn every_metric_is_documented() {
    let names: BTreeSet<_> = sources()
        .iter()
        .filter(|(path, _)| module_of(path) == "telemetry")
        .flat_map(|(_, text)| metric_names(text))
        .collect();
    if names.is_empty() {
        // No metric is named yet. As soon as one is, the document must exist.
        return;
    }
    report(undocumented(&names, &read("docs/metrics.md")).into_iter());
}

// ------------------------------------------------------------------------------- the rules as functions

/// The layer of every module, from the table rows `| modules | responsibility | layer |`.
fn layers(map: &str) -> BTreeMap<String, u8> {
    let name = Regex::new(r"`([a-z0-9_]+)(?:\.rs|/)`").unwrap();
    let mut layers = BTreeMap::new();
    for line in map.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [modules, _, layer] = cells[..] else { continue };
        let Ok(layer) = layer.parse() else { continue };
        for found in name.captures_iter(modules) {
            layers.insert(found[1].to_owned(), layer);
        }
    }
    layers
}

/// Imports of `module` that run up, or across between two modules of layer 1.
fn arrows_up(module: &str, text: &str, layers: &BTreeMap<String, u8>) -> Vec<String> {
    let Some(&own) = layers.get(module) else { return Vec::new() };
    imports(text)
        .into_iter()
        .filter(|target| target != module)
        .filter_map(|target| match layers.get(&target) {
            Some(&layer) if layer > own => {
                Some(format!("`{module}` (layer {own}) imports `{target}` (layer {layer})"))
            }
            Some(1) if own == 1 => {
                Some(format!("`{module}` and `{target}` are of layer 1 and must not meet"))
            }
            _ => None,
        })
        .collect()
}

/// The top-level modules that a text names through `crate::` (or `standpipe::`, in `main.rs`).
fn imports(text: &str) -> BTreeSet<String> {
    let root = Regex::new(r"\b(?:crate|standpipe)::\s*(\{|[a-z_][a-z0-9_]*)").unwrap();
    let word = Regex::new(r"^[a-z_][a-z0-9_]*").unwrap();
    let text = code(text);
    let mut found = BTreeSet::new();
    for capture in root.captures_iter(&text) {
        let head = capture.get(1).expect("group 1 always takes part");
        if head.as_str() != "{" {
            found.insert(head.as_str().to_owned());
            continue;
        }
        let mut depth = 1;
        let mut item = String::new();
        for c in text[head.end()..].chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && c == ',') {
                found.extend(word.find(item.trim()).map(|m| m.as_str().to_owned()));
                item.clear();
            } else {
                item.push(c);
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// The types for which a text implements a seam that only the composition root may wire up.
fn implementers(text: &str) -> Vec<String> {
    Regex::new(r"impl(?:<[^>]*>)?\s+(?:[a-z_]+::)*(?:Sink|Source|Journal)\s+for\s+(?:[a-z_0-9]+::)*([A-Z]\w*)")
        .unwrap()
        .captures_iter(&shipped(text))
        .map(|found| found[1].to_owned())
        .collect()
}

/// Mentions of concrete parts (type name → its module) outside their module and the composers.
fn constructions(module: &str, text: &str, concrete: &BTreeMap<String, String>) -> Vec<String> {
    if COMPOSERS.contains(&module) {
        return Vec::new();
    }
    let text = shipped(text);
    concrete
        .iter()
        .filter(|(_, home)| *home != module)
        .filter(|(name, home)| {
            // Imported from where it lives, or called; a variant of the same name is neither.
            let named = format!(r"\b{home}(::\w+)*::(\{{[^}}]*)?\b{name}\b|\b{name}::");
            Regex::new(&named).unwrap().is_match(&text)
        })
        .map(|(name, home)| format!("`{module}` names the concrete `{name}` of `{home}`"))
        .collect()
}

/// Macros that mark unfinished work, and unwraps in code that ships.
fn careless(text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let whole = code(text);
    for mac in ["todo!", "unimplemented!", "dbg!"] {
        if whole.contains(mac) {
            findings.push(format!("`{mac}`"));
        }
    }
    for (number, line) in shipped(text).lines().enumerate() {
        if line.contains(".unwrap()") {
            findings.push(format!(
                "line {}: `.unwrap()`; expect with the reason, or pass the error on",
                number + 1
            ));
        }
    }
    findings
}

/// Paths of somebody's machine.
fn foreign_paths(text: &str) -> Vec<String> {
    // Put together here, so that this file does not name them either.
    ["work", "root", "home"]
        .iter()
        .map(|folder| format!("/{folder}/"))
        .filter(|folder| Regex::new(&format!(r#"(^|[\s"'=(`:]){folder}"#)).unwrap().is_match(text))
        .map(|folder| format!("a path below {folder} of one machine"))
        .collect()
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (path.ends_with(".rs") && lines > LINES_MAX).then(|| format!("{lines} lines; split it"))
}

/// Names of metrics: the values of string constants in the telemetry module.
fn metric_names(text: &str) -> Vec<String> {
    Regex::new(r#"const\s+[A-Z0-9_]+:\s*&(?:'static\s+)?str\s*=\s*"([a-z][a-z0-9_]*)""#)
        .unwrap()
        .captures_iter(&without_comments(text))
        .map(|found| found[1].to_owned())
        .collect()
}

fn undocumented(names: &BTreeSet<String>, document: &str) -> Vec<String> {
    names
        .iter()
        .filter(|name| !Regex::new(&format!(r"\b{name}\b")).unwrap().is_match(document))
        .map(|name| format!("metric `{name}` is not in docs/metrics.md"))
        .collect()
}

// ------------------------------------------------------------------------------------ reading text

/// A text without comments and string contents: what the compiler sees as code. Lines stay.
fn code(text: &str) -> String {
    let literal = Regex::new(
        r##"(?s)//[^\n]*|/\*.*?\*/|r#".*?"#|b?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\\n])'"##,
    )
    .unwrap();
    literal
        .replace_all(text, |found: &regex::Captures<'_>| {
            // A string that goes over several lines keeps the numbers of those behind it.
            "\n".repeat(found[0].matches('\n').count())
        })
        .into_owned()
}

fn without_comments(text: &str) -> String {
    Regex::new(r"(?m)^\s*//.*$").unwrap().replace_all(text, "").into_owned()
}

/// The code of a text without what stands under `#[cfg(test)]`. Lines stay.
fn shipped(text: &str) -> String {
    let text = code(text);
    let marker = "#[cfg(test)]";
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(marker) {
        out.push_str(&rest[..at]);
        let item = &rest[at..];
        let end = end_of_item(item);
        out.push_str(&"\n".repeat(item[..end].matches('\n').count()));
        rest = &item[end..];
    }
    out.push_str(rest);
    out
}

/// Where the item at the start of the text ends: at its `;`, or at the brace that closes it.
fn end_of_item(item: &str) -> usize {
    let mut depth = 0usize;
    for (at, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    item.len()
}

/// `buffer/writer.rs` and `buffer.rs` are both of `buffer`.
fn module_of(path: &str) -> String {
    let first = path.trim_start_matches("src/").split('/').next().expect("split yields one");
    first.trim_end_matches(".rs").to_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The crate's own files, without those that hold only tests.
fn sources() -> Vec<(String, String)> {
    let found: Vec<_> = texts_below("src")
        .into_iter()
        .filter(|(path, _)| path.ends_with(".rs"))
        .filter(|(path, _)| {
            !path.ends_with("/tests.rs")
                && !path.contains("/tests/")
                && !path.ends_with("_tests.rs")
        })
        .collect();
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// Every text of the project that is written by hand.
fn tracked_texts() -> Vec<(String, String)> {
    [".ci", "src", "tests", "benches", "docs", "examples", "deploy"]
        .iter()
        .flat_map(|folder| texts_below(folder))
        .chain(
            fs::read_dir(root())
                .expect("the package's folder is there")
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| {
                    path.is_file() && !path.ends_with("Cargo.lock") && !path.ends_with(".git")
                })
                .filter_map(|path| text_of(&path)),
        )
        .collect()
}

fn texts_below(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "__pycache__" && name != ".pytest_cache" {
                open.push(path);
            } else if path.is_file() {
                found.extend(text_of(&path));
            }
        }
    }
    found.sort();
    found
}

/// The path from the package's folder, and the text; nothing for files that are not text.
fn text_of(path: &Path) -> Option<(String, String)> {
    let text = fs::read_to_string(path).ok()?;
    let relative: PathBuf = path.strip_prefix(root()).ok()?.to_owned();
    Some((relative.to_string_lossy().into_owned(), text))
}

fn report(findings: impl Iterator<Item = String>) {
    let findings: Vec<_> = findings.collect();
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

// ------------------------------------------------------------------------- each rule finds its offence

mod proof {
    use super::*;

    fn map() -> BTreeMap<String, u8> {
        layers(
            "| module | responsibility | layer |\n|---|---|---|\n\
             | `limits.rs` | bounds | 0 |\n| `buffer/` | journal | 1 |\n| `sinks/` | sinks | 1 |\n\
             | `daemon.rs` | root | 3 |\n| `cli/`, `main.rs` | commands | 5 |\n",
        )
    }

    #[test]
    fn the_table_is_read() {
        let expected =
            [("buffer", 1), ("cli", 5), ("daemon", 3), ("limits", 0), ("main", 5), ("sinks", 1)];
        assert_eq!(map(), expected.map(|(name, layer)| (name.to_owned(), layer)).into());
    }

    #[test]
    fn arrows_are_followed_through_groups() {
        let text = "use crate::{\n    limits::{self, MIB},\n    sinks::s3::{Options, Sink},\n};\n\
                    fn f() { crate::daemon::start() }";
        assert_eq!(imports(text), ["daemon", "limits", "sinks"].map(str::to_owned).into());
        assert_eq!(arrows_up("buffer", text, &map()).len(), 2);
        assert_eq!(arrows_up("cli", text, &map()), Vec::<String>::new());
        assert_eq!(arrows_up("limits", "use crate::buffer::X;", &map()).len(), 1);
        assert_eq!(arrows_up("buffer", "use crate::buffer::frame;", &map()), Vec::<String>::new());
    }

    #[test]
    fn words_in_comments_and_strings_are_no_arrows() {
        let text = "//! See [`crate::daemon`].\nconst A: &str = \"crate::cli\";\nconst B: char = '\"';\n\
                    use crate::limits;";
        assert_eq!(imports(text), ["limits".to_owned()].into());
    }

    #[test]
    fn concrete_parts_are_found_where_they_do_not_belong() {
        let home = "impl Journal for LocalJournal {}\nimpl<T: Io> seams::Sink for S3Sink<T> {}";
        assert_eq!(implementers(home), ["LocalJournal", "S3Sink"]);
        let concrete = [("LocalJournal".to_owned(), "buffer".to_owned())].into();
        let text = "fn f() { LocalJournal::open() }";
        assert_eq!(constructions("delivery", text, &concrete).len(), 1);
        assert_eq!(constructions("daemon", text, &concrete), Vec::<String>::new());
        assert_eq!(constructions("buffer", text, &concrete), Vec::<String>::new());
        let test = format!("#[cfg(test)]\nmod tests {{ {text} }}");
        assert_eq!(constructions("delivery", &test, &concrete), Vec::<String>::new());
    }

    #[test]
    fn careless_code_is_found_outside_tests_only() {
        assert_eq!(careless("fn f() { todo!() }").len(), 1);
        assert_eq!(careless("#[cfg(test)]\nmod tests { fn f() { dbg!(1); } }").len(), 1);
        assert_eq!(
            careless("fn f() { x.unwrap() }"),
            ["line 1: `.unwrap()`; expect with the reason, or pass the error on"]
        );
        let test = "#[cfg(test)]\nmod tests {\n    fn f() { x.unwrap() }\n}\n";
        assert_eq!(careless(test), Vec::<String>::new());
        let after = format!("#[cfg(test)]\nmod far;\n{test}fn g() {{ y.unwrap() }}");
        assert!(careless(&after)[0].starts_with("line 7:"), "{:?}", careless(&after));
    }

    #[test]
    fn paths_and_lengths_are_found() {
        let path = format!("see /{}/shared/design.md", "work");
        assert_eq!(foreign_paths(&path).len(), 1);
        assert_eq!(foreign_paths("s3://bucket/home/x and net/work/y"), Vec::<String>::new());
        assert!(too_long("src/a.rs", &"x\n".repeat(LINES_MAX + 1)).is_some());
        assert!(too_long("src/a.rs", &"x\n".repeat(LINES_MAX)).is_none());
    }

    #[test]
    fn metrics_without_a_word_are_found() {
        let names: BTreeSet<_> =
            metric_names("pub const A: &str = \"incoming_bytes\";\n// pub const B: &str = \"b\";")
                .into_iter()
                .collect();
        assert_eq!(names, ["incoming_bytes".to_owned()].into());
        assert_eq!(undocumented(&names, "| `incoming_bytes_total` |").len(), 1);
        assert_eq!(undocumented(&names, "| `incoming_bytes` |"), Vec::<String>::new());
    }
}
