//! The one test command: its steps and its closing line.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::command::{cargo, command, counted, silently, succeeds};
use crate::prerequisites::{self, Readiness};
use crate::tally::{Runner, Tally};
use crate::{clients, guest, tidy};

/// A part of the test command that can be chosen by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Fmt,
    Clippy,
    Tidy,
    Unit,
    Doc,
    Guest,
    Clients,
}

const STEPS: [(Step, &str, &str); 7] = [
    (Step::Fmt, "fmt", "the sources are formatted"),
    (Step::Clippy, "clippy", "clippy has no complaint"),
    (Step::Tidy, "tidy", "the rules of the source tree hold"),
    (Step::Unit, "unit", "unit and integration tests"),
    (Step::Doc, "doc", "examples in the documentation"),
    (
        Step::Guest,
        "guest",
        "cgroups of version 2 alone, on the kernel of a virtual machine",
    ),
    (
        Step::Clients,
        "clients",
        "third-party clients against `mezz dev`",
    ),
];

pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<ExitCode> {
    let steps = chosen(arguments)?;
    let started = Instant::now();
    let mut total = Tally::default();
    let mut failed = Vec::new();
    for (number, (step, name, what)) in steps.iter().enumerate() {
        println!("\n== {}/{} {name}: {what}", number + 1, steps.len());
        let begun = Instant::now();
        let tally = run_step(root, *step).unwrap_or_else(|error| {
            println!("{name}: {error:#}");
            Tally::of(false)
        });
        let verdict = if tally.failed == 0 { "ok" } else { "FAILED" };
        println!("-- {name} {verdict} in {} s", begun.elapsed().as_secs());
        if tally.failed > 0 {
            failed.push(*name);
        }
        total += tally;
    }
    println!("\nwhole run: {} s", started.elapsed().as_secs());
    if !failed.is_empty() {
        println!(
            "failed steps: {}  (again: cargo xtask test --only {})",
            failed.join(", "),
            failed.join(",")
        );
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn chosen(arguments: &[String]) -> Result<Vec<(Step, &'static str, &'static str)>> {
    let mut only: Option<Vec<&str>> = None;
    let mut skip = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word.as_str(), words.next().map(String::as_str)),
        };
        let Some(value) = value else {
            bail!("{flag} needs a list of steps")
        };
        let names: Vec<&str> = value.split(',').filter(|name| !name.is_empty()).collect();
        if let Some(unknown) = names
            .iter()
            .find(|name| STEPS.iter().all(|(_, known, _)| known != *name))
        {
            let known: Vec<&str> = STEPS.iter().map(|(_, name, _)| *name).collect();
            bail!(
                "{flag}: no step is named `{unknown}`; steps: {}",
                known.join(" ")
            );
        }
        match flag {
            "--only" => only.get_or_insert_default().extend(names),
            "--skip" => skip.extend(names),
            other => bail!("unknown flag `{other}`; known: --only, --skip"),
        }
    }
    let wanted =
        |name: &str| only.as_ref().is_none_or(|only| only.contains(&name)) && !skip.contains(&name);
    Ok(STEPS
        .into_iter()
        .filter(|(_, name, _)| wanted(name))
        .collect())
}

fn run_step(root: &Path, step: Step) -> Result<Tally> {
    let cargo = cargo();
    match step {
        Step::Fmt => Ok(Tally::of(succeeds(command(
            root,
            &[&cargo, "fmt", "--all", "--check"],
        ))?)),
        Step::Clippy => clippy(root, &cargo),
        Step::Tidy => Ok(tidy::check(root)?),
        Step::Unit => unit(root, &cargo),
        Step::Doc => tests(
            Runner::Libtest,
            command(root, &[&cargo, "test", "--workspace", "--doc", "--quiet"]),
        ),
        Step::Guest => match prerequisites::ready_for_guest(root)? {
            Readiness::Ready => guest::run(root, &cargo),
            Readiness::Missing => Ok(not_run("guest")),
        },
        Step::Clients => match prerequisites::ready(root)? {
            Readiness::Ready => clients::run(root, &cargo),
            Readiness::Missing => Ok(not_run("clients")),
        },
    }
}

/// On a developer's machine this is said; where it must not be overlooked it fails.
fn not_run(step: &str) -> Tally {
    println!("{step}: not run");
    Tally {
        passed: 0,
        failed: u64::from(prerequisites::in_ci()),
    }
}

/// Everything, and libFuzzer's targets, which are no part of everything else.
fn clippy(root: &Path, cargo: &str) -> Result<Tally> {
    let warnings = ["--", "-D", "warnings"];
    let all = [
        &[cargo, "clippy", "--workspace", "--all-targets"],
        &warnings[..],
    ]
    .concat();
    let fuzz = [
        "clippy",
        "-p",
        "mezz-fuzz",
        "--bins",
        "--features",
        "libfuzzer",
    ];
    let mut fuzz = command(root, &[&[cargo], &fuzz[..], &warnings[..]].concat());
    // Checking links nothing, so libFuzzer itself need not be built.
    fuzz.env("CUSTOM_LIBFUZZER_PATH", "not/linked/libFuzzer.a");
    Ok(Tally::of(succeeds(command(root, &all))? && succeeds(fuzz)?))
}

fn unit(root: &Path, cargo: &str) -> Result<Tally> {
    prerequisites::install_parts(root)?;
    guest::fetch_kernel(root);
    if silently(&[cargo, "nextest", "--version"]) {
        let words = [
            cargo,
            "nextest",
            "run",
            "--workspace",
            "--no-fail-fast",
            "--status-level",
            "slow",
        ];
        return tests(Runner::Nextest, command(root, &words));
    }
    println!("(cargo-nextest is not installed: using `cargo test`)");
    tests(
        Runner::Libtest,
        command(
            root,
            &[
                cargo,
                "test",
                "--workspace",
                "--lib",
                "--bins",
                "--tests",
                "--no-fail-fast",
                "--quiet",
            ],
        ),
    )
}

/// Runs a test runner; one that failed without a failed test (a build error) counts as one failure.
fn tests(runner: Runner, command: std::process::Command) -> Result<Tally> {
    let (success, mut tally) = counted(runner, command)?;
    if !success && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&str]) -> Result<Vec<&'static str>> {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        Ok(chosen(&arguments)?
            .into_iter()
            .map(|(_, name, _)| name)
            .collect())
    }

    #[test]
    fn steps_can_be_chosen_and_left_out() {
        assert_eq!(names(&[]).expect("valid").len(), STEPS.len());
        assert_eq!(
            names(&["--only", "unit,tidy"]).expect("valid"),
            ["tidy", "unit"]
        );
        assert_eq!(
            names(&["--skip=clippy,clients,guest,unit,doc"]).expect("valid"),
            ["fmt", "tidy"]
        );
    }

    #[test]
    fn an_unknown_step_is_named() {
        let error = names(&["--only", "units"])
            .expect_err("no such step")
            .to_string();
        assert!(
            error.contains("`units`") && error.contains("clippy"),
            "{error}"
        );
        assert!(names(&["--only"]).is_err());
        assert!(names(&["--fast", "unit"]).is_err());
    }
}
