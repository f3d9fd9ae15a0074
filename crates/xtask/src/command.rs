//! Running other programs, visibly.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::tally::{Runner, Tally};

/// A command in `root` out of words.
pub(crate) fn command(root: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(root);
    command
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Runs `command` with its output shown; true when it succeeded.
pub(crate) fn succeeds(mut command: Command) -> Result<bool> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", name(&command)))?;
    Ok(status.success())
}

/// Runs `command` silently; true when it succeeded.
pub(crate) fn silently(words: &[&str]) -> bool {
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs a test runner with its output shown, and counts what its summary lines say.
pub(crate) fn counted(runner: Runner, mut command: Command) -> Result<(bool, Tally)> {
    // Both streams into one pipe, so that their lines keep their order.
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let second = writer.try_clone().context("cannot make a pipe")?;
    let mut child = command
        .stdout(writer)
        .stderr(second)
        .spawn()
        .with_context(|| format!("cannot run {}", name(&command)))?;
    drop(command); // it holds the write ends of the pipe
    let mut tally = Tally::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.context("cannot read the output")?;
        let line = String::from_utf8_lossy(&line);
        if !is_noise(&line) {
            println!("{line}");
        }
        if let Some(counts) = Tally::from_line(runner, &line) {
            tally += counts;
        }
    }
    let success = child
        .wait()
        .context("cannot wait for the test runner")?
        .success();
    Ok((success, tally))
}

/// What libtest says of a crate without tests.
fn is_noise(line: &str) -> bool {
    line.is_empty()
        || line == "running 0 tests"
        || line.starts_with("test result: ok. 0 passed; 0 failed; 0 ignored")
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
