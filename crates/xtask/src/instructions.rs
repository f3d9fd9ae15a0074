//! `cargo xtask bench instructions`: counts the instructions of the hot paths with callgrind and holds them against
//! the committed counts. Unlike a time, a count is the same on a busy machine.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use crate::command::{cargo, command, silently, succeeds};

/// The committed counts, in instructions for one operation.
const BASELINE: &str = "crates/bench/instructions.tsv";

/// More than this in percent above its committed count, and a case fails.
const TOLERANCE: f64 = 5.0;

const HEADER: &str = "\
# Instructions of one operation, counted by callgrind in a release build: `cargo xtask bench instructions` compares.
# Where a change is meant to cost more (or costs less), `cargo xtask bench instructions --renew` writes this file
# again; say in the commit why. Another compiler or C library moves the counts too.
";

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<ExitCode> {
    let renew = match arguments {
        [] => false,
        [flag] if flag == "--renew" => true,
        _ => bail!("usage: cargo xtask bench instructions [--renew]"),
    };
    ensure!(
        silently(&["valgrind", "--version"]),
        "`cargo xtask bench instructions` counts with valgrind, which is not installed (Debian: `apt install valgrind`)"
    );
    let counts = counted(root)?;
    let path = root.join(BASELINE);
    if renew {
        std::fs::write(&path, written(&counts)).with_context(|| format!("writing {BASELINE}"))?;
        println!("{BASELINE} is written");
        return Ok(ExitCode::SUCCESS);
    }
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("reading {BASELINE}; `--renew` makes it"))?;
    let verdict = compared(&read(&text)?, &counts);
    for line in &verdict.lines {
        println!("{line}");
    }
    if verdict.failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "more than {TOLERANCE} % above {BASELINE}: {}",
        verdict.failed.join(", ")
    );
    Ok(ExitCode::FAILURE)
}

/// Builds the program with the hot paths and counts each.
fn counted(root: &Path) -> Result<BTreeMap<String, u64>> {
    let cargo = cargo();
    let build = [
        cargo.as_str(),
        "build",
        "--release",
        "-p",
        "mezz-bench",
        "--bin",
        "mezz-instructions",
    ];
    ensure!(succeeds(command(root, &build))?, "the release build failed");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let program = target.join("release/mezz-instructions");
    let program = program.to_str().context("the target folder is no text")?;
    let names = command(root, &[program]).output()?;
    String::from_utf8(names.stdout)?
        .lines()
        .map(|case| Ok((case.to_owned(), count(root, program, case)?)))
        .collect()
}

/// Instructions of one operation of a case.
fn count(root: &Path, program: &str, case: &str) -> Result<u64> {
    let out = std::env::temp_dir().join(format!("mezz-callgrind-{}", std::process::id()));
    let mut valgrind = command(
        root,
        &[
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            "--collect-atstart=no",
            "--toggle-collect=*measured_section*",
        ],
    );
    valgrind
        .arg(format!("--callgrind-out-file={}", out.display()))
        .args([program, case]);
    let run = valgrind.output().context("running valgrind")?;
    ensure!(
        run.status.success(),
        "{case} failed under valgrind: {}",
        String::from_utf8_lossy(&run.stderr)
    );
    let operations: u64 = String::from_utf8(run.stdout)?
        .trim()
        .parse()
        .context("the number of operations")?;
    let report = std::fs::read_to_string(&out).context("what callgrind wrote")?;
    let _ = std::fs::remove_file(&out);
    let total = total(&report).context("callgrind gave no total")?;
    ensure!(total > 0, "callgrind has not found the measured section");
    Ok(total / operations.max(1))
}

fn total(report: &str) -> Option<u64> {
    let line = report
        .lines()
        .find_map(|line| line.strip_prefix("totals:"))?;
    line.trim().parse().ok()
}

fn written(counts: &BTreeMap<String, u64>) -> String {
    let mut text = HEADER.to_owned();
    for (case, count) in counts {
        let _ = writeln!(text, "{case}\t{count}");
    }
    text
}

fn read(text: &str) -> Result<BTreeMap<String, u64>> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (case, count) = line
                .split_once('\t')
                .with_context(|| format!("{BASELINE}: `{line}` has no tab"))?;
            Ok((case.to_owned(), count.parse().context(BASELINE)?))
        })
        .collect()
}

/// What a comparison says, and the cases that have grown too much or have no committed count.
struct Verdict {
    lines: Vec<String>,
    failed: Vec<String>,
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn compared(baseline: &BTreeMap<String, u64>, counts: &BTreeMap<String, u64>) -> Verdict {
    let mut verdict = Verdict {
        lines: Vec::new(),
        failed: Vec::new(),
    };
    for (case, count) in counts {
        let Some(before) = baseline.get(case) else {
            verdict
                .lines
                .push(format!("{case:24} {count:>12}  no committed count"));
            verdict.failed.push(case.clone());
            continue;
        };
        let change = (*count as f64 / (*before).max(1) as f64 - 1.0) * 100.0;
        verdict
            .lines
            .push(format!("{case:24} {count:>12}  {change:+.1} %"));
        if change > TOLERANCE {
            verdict.failed.push(case.clone());
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
        of.iter()
            .map(|(case, count)| ((*case).to_owned(), *count))
            .collect()
    }

    #[test]
    fn a_case_that_has_grown_by_more_than_a_twentieth_fails() {
        let baseline = counts(&[("a", 1_000), ("b", 1_000), ("c", 1_000)]);
        let verdict = compared(&baseline, &counts(&[("a", 1_050), ("b", 1_051), ("c", 10)]));
        assert_eq!(verdict.failed, ["b"]);
    }

    #[test]
    fn a_case_without_a_committed_count_fails() {
        assert_eq!(
            compared(&counts(&[]), &counts(&[("new", 1)])).failed,
            ["new"]
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        let own = counts(&[("launch/task", 70_000), ("codec/read-json", 9)]);
        assert_eq!(read(&written(&own)).ok(), Some(own));
    }

    #[test]
    fn the_total_is_found_in_what_callgrind_writes() {
        assert_eq!(total("events: Ir\nsummary: 12\ntotals: 34\n"), Some(34));
    }
}
