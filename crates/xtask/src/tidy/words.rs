//! Module documentation, forbidden words, unsafe code in its place, and no path of a developer's machine.

use super::Finding;
use super::rust_source::{RustSource, line_of};
use super::tree::{TextFile, Tree};

/// Macros that stand for something not done.
const MACROS: &[&str] = &["todo!", "unimplemented!", "dbg!"];
/// Words that promise work in a comment.
const PROMISES: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];
/// Modules named for nothing that they own.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "common", "helpers", "helper", "misc", "manager",
];
/// Endings of types that hide what they own.
const EMPTY_ENDINGS: &[&str] = &["Manager", "Helper", "Util", "Utils"];
/// The crates in which unsafe code may be allowed.
const UNSAFE: &[&str] = &["warden", "container", "cgroup", "cni", "libmesos"];
/// Folders that exist on one machine only.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/home", "/"),
    concat!("/tmp/br", "ief"),
    concat!("/tmp/mesos-", "src"),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &tree.sources {
        check_source(source, &mut findings);
    }
    for file in tree
        .files
        .iter()
        .filter(|file| !file.path.starts_with("tests/captures"))
    {
        check_paths(file, &mut findings);
    }
    findings
}

fn check_source(source: &RustSource, findings: &mut Vec<Finding>) {
    let path = &source.path;
    if !source.text.trim_start().starts_with("//!") {
        findings.push(Finding::new(
            path,
            1,
            "begins without `//!` saying what the module owns",
        ));
    }
    let mut report = |view: &str, word: &str, message: String| {
        for at in whole_words(view, word) {
            findings.push(Finding::new(path, line_of(view, at), message.clone()));
        }
    };
    for name in MACROS {
        report(
            &source.code,
            name,
            format!("`{name}`: answer with an error that names what is not built"),
        );
    }
    for word in PROMISES {
        report(&source.comments, word, format!("`{word}` in a comment"));
    }
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    if EMPTY_NAMES.contains(&stem) {
        findings.push(Finding::new(
            path,
            0,
            format!("`{stem}` names nothing that the module owns"),
        ));
    }
    for keyword in ["struct ", "enum ", "trait ", "type "] {
        for at in whole_words(&source.code, keyword.trim_end()) {
            let name = identifier(&source.code[at + keyword.len()..]);
            if EMPTY_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
                let message = format!("`{name}` does not say what it owns");
                findings.push(Finding::new(path, line_of(&source.code, at), message));
            }
        }
    }
    let folder = path
        .iter()
        .nth(1)
        .and_then(|part| part.to_str())
        .unwrap_or_default();
    if !UNSAFE.contains(&folder) {
        for (at, _) in source.code.match_indices("allow(unsafe_code)") {
            findings.push(Finding::new(
                path,
                line_of(&source.code, at),
                "unsafe code belongs to the warden and the system layers",
            ));
        }
    }
}

fn check_paths(file: &TextFile, findings: &mut Vec<Finding>) {
    for machine in MACHINE_PATHS {
        for (at, _) in file.text.match_indices(machine) {
            // The same name further down in another path is no machine's folder.
            let inside = file.text[..at]
                .ends_with(|c: char| c.is_alphanumeric() || "/}._-$*)>~]".contains(c));
            if !inside {
                let message = format!("names the machine path {machine}");
                findings.push(Finding::new(&file.path, line_of(&file.text, at), message));
            }
        }
    }
}

fn identifier(text: &str) -> &str {
    let text = text.trim_start();
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    &text[..end]
}

/// Where `word` stands in `text` with no letter on either side.
fn whole_words(text: &str, word: &str) -> Vec<usize> {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    let found = text.match_indices(word).map(|(at, _)| at);
    found
        .filter(|at| {
            !text[..*at].ends_with(is_letter) && !text[at + word.len()..].starts_with(is_letter)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check_source(&RustSource::new(Path::new(path), text), &mut findings);
        findings
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn forbidden_words_are_found_in_code_and_comments_only() {
        let text = format!(
            "//! Owns.\nfn f() {{ to{}!() }} // TO{} later\nlet s = \"dbg!\";",
            "do", "DO"
        );
        let found = findings("crates/x/src/a.rs", &text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found
                .iter()
                .all(|finding| finding.starts_with("crates/x/src/a.rs:2:"))
        );
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        assert_eq!(findings("crates/x/src/utils.rs", "//! A.\n").len(), 1);
        assert_eq!(
            findings(
                "crates/x/src/a.rs",
                "//! A.\nstruct TaskManager;\nstruct ManagerOf;"
            )
            .len(),
            1
        );
        assert_eq!(findings("crates/x/src/a.rs", "fn main() {}").len(), 1);
    }
}
