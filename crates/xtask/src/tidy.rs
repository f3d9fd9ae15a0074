//! `cargo xtask tidy`: rules of the source tree that no compiler checks.

mod compatibility;
mod crash_points;
mod layers;
mod licence;
mod links;
mod lock_file;
mod purity;
mod rust_source;
mod sizes;
mod tree;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::tally::Tally;
use tree::Tree;

/// A place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    path: PathBuf,
    /// Counted from one; zero means the whole file.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: impl Into<PathBuf>, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path.display(), self.message),
            line => write!(f, "{}:{line}: {}", self.path.display(), self.message),
        }
    }
}

type Check = fn(&Tree) -> Vec<Finding>;

const CHECKS: &[(&str, Check)] = &[
    ("arrows between crates point downwards", layers::check),
    (
        "pure crates name no clock, file, network, randomness or runtime",
        purity::check,
    ),
    (
        "every module says what it owns, and no forbidden word is used",
        words::check,
    ),
    (
        "every crate is Apache-2.0 and takes the workspace's lints",
        licence::check,
    ),
    ("the lock file holds no banned crate", lock_file::check),
    ("links in the documents resolve", links::check),
    (
        "docs/compatibility.md has a true row for each behaviour",
        compatibility::check,
    ),
    (
        "crash points are listed and hit by a test",
        crash_points::check,
    ),
];

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<ExitCode> {
    match arguments {
        [] => {}
        [flag] if flag == "--sizes" => {
            sizes::print(&Tree::read(root)?, sizes::Detail::Full);
            return Ok(ExitCode::SUCCESS);
        }
        _ => bail!("unknown arguments {arguments:?}; known: --sizes"),
    }
    let tally = check(root)?;
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs every check, prints the findings, and reports the sizes (which fail nothing).
pub(crate) fn check(root: &Path) -> Result<Tally> {
    let tree = Tree::read(root)?;
    let mut tally = Tally::default();
    for (what, check) in CHECKS {
        let findings = check(&tree);
        println!(
            "{} {what}",
            if findings.is_empty() { "PASS" } else { "FAIL" }
        );
        for finding in &findings {
            println!("     {finding}");
        }
        tally += Tally::of(findings.is_empty());
    }
    sizes::print(&tree, sizes::Detail::Summary);
    Ok(tally)
}
