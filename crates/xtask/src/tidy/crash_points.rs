//! Crash points: each name stands once in the code, once in the list of its process, and in a test.
//!
//! A crash point is a call `crash_point("process.step")`; a list is a constant `…_POINTS`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Finding;
use super::rust_source::{RustSource, end_of_item, line_of};
use super::tree::Tree;

const LIST_ENDING: &str = "_POINTS: &[&str]";

/// Where a name stands.
#[derive(Debug, Default)]
struct Places {
    visited: Vec<(PathBuf, usize)>,
    listed: Vec<(PathBuf, usize)>,
    /// The constants that list it.
    lists: Vec<String>,
}

/// A name in a list of points.
#[derive(Debug, PartialEq, Eq)]
struct Listed {
    list: String,
    name: String,
    line: usize,
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut points: BTreeMap<String, Places> = BTreeMap::new();
    for source in tree.sources.iter().filter(|source| in_src(source)) {
        for (name, line) in visited(source) {
            points
                .entry(name)
                .or_default()
                .visited
                .push((source.path.clone(), line));
        }
        for listed in listed(source) {
            let places = points.entry(listed.name).or_default();
            places.listed.push((source.path.clone(), listed.line));
            places.lists.push(listed.list);
        }
    }
    let mut findings = Vec::new();
    for (name, places) in &points {
        if let Some((place, problem)) = problem(tree, name, places) {
            findings.push(Finding::new(
                &place.0,
                place.1,
                format!("crash point {name} {problem}"),
            ));
        }
    }
    findings
}

fn problem<'a>(
    tree: &Tree,
    name: &str,
    places: &'a Places,
) -> Option<(&'a (PathBuf, usize), &'static str)> {
    match (places.visited.as_slice(), places.listed.as_slice()) {
        ([place, ..], []) => Some((place, "is in no list of points")),
        ([], [place, ..]) => Some((place, "is listed but nowhere in the code")),
        (_, [_, place, ..]) => Some((place, "is listed twice")),
        ([_, ..], [place]) => {
            let tested = tree
                .sources
                .iter()
                .any(|source| is_tested_in(source, name, &places.lists));
            (!tested).then_some((place, "is hit by no test"))
        }
        ([], []) => None,
    }
}

/// Whether a test names the point, or goes through the list that holds it.
fn is_tested_in(source: &RustSource, name: &str, lists: &[String]) -> bool {
    let in_tests = source.path.iter().any(|part| part == "tests");
    in_tests
        && (source.literals.contains(name)
            || lists.iter().any(|list| source.code.contains(list.as_str())))
}

fn in_src(source: &RustSource) -> bool {
    let part = source.path.iter().nth(2);
    source.path.starts_with("crates")
        && !source.path.starts_with("crates/xtask")
        && part.is_some_and(|part| part == "src")
}

/// The names given to `crash_point("…")` and `crash_point!("…")` in code that is shipped.
fn visited(source: &RustSource) -> Vec<(String, usize)> {
    let code = source.shipped_code();
    let mut found = Vec::new();
    for call in ["crash_point(", "crash_point!("] {
        for (at, _) in code.match_indices(call) {
            let inside = source.text[at + call.len()..].trim_start();
            if let Some(name) = inside
                .strip_prefix('"')
                .and_then(|rest| rest.split('"').next())
            {
                found.push((name.to_owned(), line_of(&code, at)));
            }
        }
    }
    found
}

/// The names in constants whose own name ends in `_POINTS`.
fn listed(source: &RustSource) -> Vec<Listed> {
    let mut found = Vec::new();
    for (at, _) in source.code.match_indices(LIST_ENDING) {
        let start = source.code[..at]
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |before| before + 1);
        let list = format!("{}_POINTS", &source.code[start..at]);
        let (mut from, end) = (at, end_of_item(&source.code, at + LIST_ENDING.len()));
        while let Some(open) = source.literals[from..end]
            .find(|c: char| !c.is_whitespace())
            .map(|open| from + open)
        {
            let length = source.literals[open..end]
                .find(char::is_whitespace)
                .unwrap_or(end - open);
            let name = source.text[open..open + length].to_owned();
            found.push(Listed {
                list: list.clone(),
                name,
                line: line_of(&source.code, open),
            });
            from = open + length;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn calls_and_lists_are_found() {
        let text = "pub const A_POINTS: &[&str] = &[\"a.one\", \"a.two\"];\nfn f() { crash_point(\"a.one\"); crash_point(name) }";
        let source = RustSource::new(Path::new("crates/a/src/a.rs"), text);
        assert_eq!(visited(&source), [("a.one".to_owned(), 2)]);
        let listed = listed(&source);
        let names: Vec<&str> = listed.iter().map(|listed| listed.name.as_str()).collect();
        assert_eq!(names, ["a.one", "a.two"]);
        assert!(listed.iter().all(|listed| listed.list == "A_POINTS"));
    }
}
