//! The size report: what has outgrown its budget. It is printed and fails nothing.

use std::collections::BTreeMap;
use std::path::Path;

use super::rust_source::{RustSource, end_of_item, line_of};
use super::tree::Tree;

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;
const CRATE_LINES: usize = 8000;

/// How much is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    Summary,
    Full,
}

pub(super) fn print(tree: &Tree, detail: Detail) {
    let mut crates: BTreeMap<String, usize> = BTreeMap::new();
    let mut large = Vec::new();
    for source in tree
        .sources
        .iter()
        .filter(|source| source.path.starts_with("crates"))
    {
        let lines = source.text.lines().count();
        if let Some(folder) = source.path.iter().nth(1).and_then(|part| part.to_str()) {
            *crates.entry(folder.to_owned()).or_default() += lines;
        }
        if lines > FILE_LINES {
            large.push(format!(
                "{}: {lines} lines (budget {FILE_LINES})",
                source.path.display()
            ));
        }
        large.extend(long_functions(source));
    }
    large.extend(
        crates
            .iter()
            .filter(|(_, lines)| **lines > CRATE_LINES)
            .map(|(folder, lines)| {
                format!("crates/{folder}: {lines} lines (budget {CRATE_LINES})")
            }),
    );
    let total: usize = crates.values().sum();
    println!(
        "     sizes: {total} lines of Rust in {} crates, {} places above their budget",
        crates.len(),
        large.len()
    );
    let shown = if detail == Detail::Full {
        large.len()
    } else {
        12.min(large.len())
    };
    for line in &large[..shown] {
        println!("       {line}");
    }
    if shown < large.len() {
        println!(
            "       … {} more: cargo xtask tidy --sizes",
            large.len() - shown
        );
    }
}

fn long_functions(source: &RustSource) -> Vec<String> {
    let mut long = Vec::new();
    for (at, _) in source.code.match_indices("fn ") {
        let starts_word = !source.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let name = &source.code[at + 3..];
        if !starts_word || !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            continue;
        }
        let name = &name[..name
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(name.len())];
        let lines = source.code[at..end_of_item(&source.code, at)]
            .lines()
            .count();
        if lines > FUNCTION_LINES {
            let line = line_of(&source.code, at);
            long.push(format!(
                "{}:{line}: fn {name} has {lines} lines (budget {FUNCTION_LINES})",
                path(&source.path)
            ));
        }
    }
    long
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
