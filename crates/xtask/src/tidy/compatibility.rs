//! `docs/compatibility.md`: a row for each of the 120 behaviours, and tests that exist.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;

const PATH: &str = "docs/compatibility.md";
const BEHAVIOURS: usize = 120;
const STATES: [&str; 3] = ["works", "partial", "missing"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(file) = tree.file(PATH) else {
        return vec![Finding::new(PATH, 0, "is missing")];
    };
    let tests = test_names(tree);
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for (line, number, cells) in rows(&file.text) {
        if !seen.insert(number) {
            findings.push(Finding::new(
                PATH,
                line,
                format!("behaviour {number} has two rows"),
            ));
        }
        let [_, state, note] = cells.as_slice() else {
            findings.push(Finding::new(
                PATH,
                line,
                "a row has the cells: number, behaviour, state, test or note",
            ));
            continue;
        };
        if !STATES.contains(&state.as_str()) {
            findings.push(Finding::new(
                PATH,
                line,
                format!("`{state}` is no state; states: {}", STATES.join(", ")),
            ));
        }
        let named: Vec<&str> = note.split('`').skip(1).step_by(2).collect();
        if state == "works" && named.is_empty() {
            findings.push(Finding::new(
                PATH,
                line,
                format!("behaviour {number} works, but no test is named"),
            ));
        }
        for name in named
            .into_iter()
            .filter(|name| is_test_name(name) && !tests.contains(*name))
        {
            findings.push(Finding::new(
                PATH,
                line,
                format!("no test is named `{name}`"),
            ));
        }
    }
    for number in (1..=BEHAVIOURS).filter(|number| !seen.contains(number)) {
        findings.push(Finding::new(
            PATH,
            0,
            format!("behaviour {number} has no row"),
        ));
    }
    findings
}

/// Rows of tables that begin with a number: the line, the number, and the other cells.
fn rows(text: &str) -> Vec<(usize, usize, Vec<String>)> {
    let mut rows = Vec::new();
    for (line, row) in text.lines().enumerate() {
        let Some(row) = row
            .trim()
            .strip_prefix('|')
            .and_then(|row| row.strip_suffix('|'))
        else {
            continue;
        };
        let mut cells = row.split('|').map(|cell| cell.trim().to_owned());
        if let Some(number) = cells.next().and_then(|first| first.parse().ok()) {
            rows.push((line + 1, number, cells.collect()));
        }
    }
    rows
}

/// Functions of this repository and the client scripts.
fn test_names(tree: &Tree) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in &tree.sources {
        for (at, _) in source.code.match_indices("fn ") {
            let name = &source.code[at + 3..];
            let end = name
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(name.len());
            names.insert(name[..end].to_owned());
        }
    }
    for file in tree
        .files
        .iter()
        .filter(|file| file.path.starts_with("tests/clients"))
    {
        names.extend(
            file.path
                .file_name()
                .and_then(|name| name.to_str())
                .map(str::to_owned),
        );
    }
    names
}

/// A sentence in snake case, or a numbered client script; not a flag or a field.
fn is_test_name(name: &str) -> bool {
    let sentence = name.matches('_').count() >= 3
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let script = name.len() > 3
        && name.as_bytes()[..2].iter().all(u8::is_ascii_digit)
        && name.as_bytes()[2] == b'-';
    sentence || script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_other_lines_are_not() {
        let text = "| # | behaviour | state | test |\n|---|---|---|---|\n| 7 | a b | works | `x` |\ntext\n";
        assert_eq!(
            rows(text),
            [(
                3,
                7,
                vec!["a b".to_owned(), "works".to_owned(), "`x`".to_owned()]
            )]
        );
    }

    #[test]
    fn test_names_are_told_from_fields() {
        assert!(is_test_name("a_declined_offer_returns_after_its_filter"));
        assert!(is_test_name("10-pymesos-command-task"));
        assert!(!is_test_name("failover_timeout") && !is_test_name("--work_dir"));
    }
}
