//! The laws of the house, checked on the source itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors from the ground; a module may use those of lower floors, and itself.
const FLOORS: &[&[&str]] = &[
    &["digest", "finding", "ids", "merkle", "path", "pipeline", "run", "watch"],
    &["format", "keys"],
    &["store", "trust"],
    &["archive"],
    &["folder"],
    &["collection"],
    &["mirror"],
    &["cli"],
];
/// A word may use these other words.
const WORDS: &[(&str, &str)] = &[("watch", "finding"), ("run", "watch"), ("merkle", "digest"), ("ids", "digest")];
const MAX_LINES: usize = 600;

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files.push((path.clone(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(files.len() > 30, "the source was not found");
    files
}

fn module(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    below.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The part of a file before its tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

#[test]
fn arrows_point_down() {
    for (path, text) in sources() {
        let from = module(&path);
        let Some(own) = floor(&from) else { continue };
        for part in code(&text).split("crate::").skip(1) {
            let to: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let Some(other) = floor(&to) else { panic!("{}: crate::{to} is on no floor", path.display()) };
            let allowed = other < own || to == from || WORDS.contains(&(from.as_str(), to.as_str()));
            assert!(allowed, "{}: {from} uses {to}", path.display());
        }
    }
}

#[test]
fn every_file_opens_with_its_purpose_and_stays_short() {
    for (path, text) in sources() {
        assert!(text.starts_with("//!"), "{} does not open with //!", path.display());
        assert!(text.lines().count() <= MAX_LINES, "{} is longer than {MAX_LINES} lines", path.display());
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(!["util", "utils", "misc", "common", "helpers", "types"].contains(&name), "{}", path.display());
        assert!(!text.contains("use crate::*"), "{}", path.display());
    }
}

#[test]
fn the_library_never_prints_nor_reads_clock_environment_or_randomness() {
    let banned = [
        "println!",
        "print!(",
        "Timestamp::now",
        "SystemTime::now",
        "Instant::now",
        "thread::sleep",
        "available_parallelism",
        "getrandom",
        "env::var",
        "process::exit",
    ];
    for (path, text) in sources() {
        if ["cli", "main"].contains(&module(&path).as_str()) {
            continue;
        }
        for word in banned {
            assert!(!code(&text).contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn every_finding_code_is_documented_with_its_severity() {
    use vellum::finding::{Code, Severity};
    let format = include_str!("../../src/format/FORMAT.md");
    for code in Code::ALL {
        let severity = if code.severity() == Severity::Damage { "damage" } else { "notice" };
        assert!(format.contains(&format!("| `{code}` | {severity} |")), "{code}");
    }
}

/// The doc comments of the finding codes in the source, by the code.
fn meanings_in_the_source() -> Vec<(String, String)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/finding.rs")).unwrap();
    let mut found = Vec::new();
    let mut comment = String::new();
    for line in text.split_once("codes! {\n").unwrap().1.lines().take_while(|line| *line != "}").map(str::trim) {
        if let Some(more) = line.strip_prefix("///") {
            comment.push_str(more);
        } else {
            let code = line.split('"').nth(1).unwrap_or_else(|| panic!("{line} is neither comment nor code"));
            found.push((code.to_owned(), std::mem::take(&mut comment)));
        }
    }
    found
}

/// The words of a meaning: without the final full stop, whatever the case of the first letter and the marks of code.
fn words(meaning: &str) -> String {
    let meaning = meaning.trim().trim_end_matches('.').replace('`', "");
    let mut letters = meaning.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[test]
fn the_findings_mean_in_the_source_what_they_mean_in_the_format() {
    use vellum::finding::Code;
    let format = include_str!("../../src/format/FORMAT.md").split_once("\n## Findings\n").unwrap().1;
    let table: Vec<(String, String)> = format
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"))
        .map(|row| {
            let (code, rest) = row.split_once("` | ").unwrap();
            (code.to_owned(), words(rest.split_once(" | ").unwrap().1))
        })
        .collect();
    let source: Vec<_> = meanings_in_the_source().into_iter().map(|(code, text)| (code, words(&text))).collect();
    assert_eq!(
        source.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(),
        Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>()
    );
    for (row, found) in table.iter().zip(&source) {
        assert_eq!(row, found, "FORMAT.md, then src/finding.rs");
    }
    assert_eq!(table.len(), source.len());
}

#[test]
fn a_bundle_carries_the_longest_signature_that_keys_read() {
    let (bundle, keys) = (vellum::format::bundle::MAX_SIGNATURE_BYTES, vellum::keys::MAX_SIGNATURE_FILE_BYTES);
    assert_eq!(bundle, keys as u64);
}

#[test]
fn every_verb_stands_in_the_readme_with_examples_in_its_help() {
    let readme = include_str!("../../README.md");
    let cli = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
    let verbs: BTreeSet<&str> = [
        "init",
        "deposit",
        "search",
        "history",
        "prove",
        "log",
        "withdraw",
        "reindex",
        "trust",
        "sync",
        "push",
        "cosign",
        "collect",
        "key",
        "draft",
        "pack",
        "verify",
        "extract",
        "salvage",
        "show",
        "list",
        "cat",
        "sign",
        "recompress",
        "completions",
    ]
    .into();
    for verb in verbs {
        assert!(readme.contains(&format!("`{verb}`")), "{verb} is not in the README");
        let text = fs::read_to_string(cli.join(format!("{verb}.rs"))).unwrap();
        assert!(text.contains("Examples:"), "{verb} has no examples");
    }
}

#[test]
fn keys_holds_public_keys_only() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("keys")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let public = vellum::keys::PublicKey::parse(&text).is_ok();
        let log = text.trim().parse::<vellum::keys::VerifierKey>().is_ok();
        assert!(public || log, "{}", path.display());
    }
}
