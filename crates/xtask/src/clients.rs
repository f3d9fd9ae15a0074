//! Whole-system tests with real third-party clients: starts `mezz dev` and runs `tests/clients/NN-*`.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::{command, succeeds};
use crate::tally::Tally;

const READY_WITHIN: Duration = Duration::from_mins(1);
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// The exit code by which a script says that something it needs is not there.
const SKIPPED: i32 = 77;

pub(crate) fn run(root: &Path, cargo: &str) -> Result<Tally> {
    let scripts = scripts(&root.join("tests/clients"))?;
    println!("building mezz");
    if !succeeds(command(root, &[cargo, "build", "--package", "mezz"]))? {
        bail!("mezz does not build");
    }
    let target = target_folder(root);
    let work = target.join("system-tests");
    std::fs::create_dir_all(&work).context("cannot make the folder of the system tests")?;
    let log = work.join("mezz-dev.log");
    let mut cluster = DevCluster::start(&target.join("debug/mezz"), &log)?;
    println!(
        "mezz dev serves on {} (log: {})",
        cluster.address,
        log.display()
    );
    let mut tally = Tally::default();
    for script in &scripts {
        tally += run_script(script, &cluster.address, &target.join("clients-cache"))?;
        if let Some(status) = cluster.child.try_wait()? {
            println!("mezz dev ended by itself: {status}");
            tally += Tally::of(false);
            break;
        }
    }
    let stopped = cluster.stop()?;
    println!(
        "{} mezz dev stops on SIGINT",
        if stopped { "PASS" } else { "FAIL" }
    );
    tally += Tally::of(stopped);
    if tally.failed > 0 {
        print_tail(&log, 40);
    }
    Ok(tally)
}

pub(crate) fn target_folder(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// The scripts, by their numbers.
fn scripts(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut scripts = Vec::new();
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            scripts.push(path);
        }
    }
    scripts.sort();
    if scripts.is_empty() {
        bail!("{} holds no scripts", folder.display());
    }
    Ok(scripts)
}

fn run_script(script: &Path, master: &str, cache: &Path) -> Result<Tally> {
    let begun = Instant::now();
    let status = Command::new("bash")
        .arg(script)
        .env("MASTER", master)
        .env("MARATHON", format!("http://{master}/service/marathon"))
        .env("METRONOME", format!("http://{master}/service/metronome"))
        .env("CHRONOS", format!("http://{master}/service/chronos"))
        .env("CLIENTS_CACHE", cache)
        .env_remove("AGENT")
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {}", script.display()))?;
    println!("   ({} s)", begun.elapsed().as_secs());
    if status.code() == Some(SKIPPED) {
        return Ok(Tally::default());
    }
    Ok(Tally::of(status.success()))
}

/// A running `mezz dev`.
struct DevCluster {
    child: Child,
    /// The master, as `IP:PORT`.
    address: String,
}

impl DevCluster {
    fn start(mezz: &Path, log: &Path) -> Result<Self> {
        let mut child = Command::new(mezz)
            .args(["dev", "--port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", mezz.display()))?;
        let errors = child.stderr.take().expect("it was asked for");
        let mut log_file =
            File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let (sender, ready) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(errors).split(b'\n').map_while(Result::ok) {
                // The log is for reading after a failure; the tests go on without it.
                let _ = log_file
                    .write_all(&line)
                    .and_then(|()| log_file.write_all(b"\n"));
                let line = String::from_utf8_lossy(&line);
                if let Some(url) = line.trim().strip_prefix("ready http://") {
                    let _ = sender.send(url.trim_end_matches('/').to_owned());
                }
            }
        });
        let why = match ready.recv_timeout(READY_WITHIN) {
            Ok(address) => return Ok(Self { child, address }),
            Err(mpsc::RecvTimeoutError::Disconnected) => "ended before its ready line".to_owned(),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                format!("printed no ready line within {} s", READY_WITHIN.as_secs())
            }
        };
        let _ = child.kill();
        let _ = child.wait();
        print_tail(log, 40);
        bail!("mezz dev {why}");
    }

    /// Ends it as Ctrl-C does; false when it had to be killed or failed.
    fn stop(&mut self) -> Result<bool> {
        if self.child.try_wait()?.is_some() {
            return Ok(false);
        }
        crate::command::silently(&["kill", "-INT", &self.child.id().to_string()]);
        let deadline = Instant::now() + STOP_WITHIN;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                // A shell's convention for "ended by SIGINT" is a clean stop too.
                return Ok(status.success() || status.code() == Some(130));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(false)
    }
}

impl Drop for DevCluster {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn print_tail(log: &Path, lines: usize) {
    let Ok(text) = std::fs::read(log) else { return };
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    println!("--- last lines of {}", log.display());
    for line in &all[all.len().saturating_sub(lines)..] {
        println!("    {line}");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn stand_in(name: &str, script: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("mezz");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn a_cluster_is_ready_with_its_address_and_stops_on_sigint() {
        let script = "trap 'exit 0' INT; echo noise >&2; echo ready http://127.0.0.1:4711 >&2; while :; do sleep 0.05; done";
        let mezz = stand_in("ready", script);
        let mut cluster = DevCluster::start(&mezz, &mezz.with_extension("log")).unwrap();
        assert_eq!(cluster.address, "127.0.0.1:4711");
        assert!(cluster.stop().unwrap());
        std::fs::remove_dir_all(mezz.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_cluster_that_ends_early_is_an_error() {
        let mezz = stand_in("early", "echo no such flag >&2; exit 2");
        assert!(DevCluster::start(&mezz, &mezz.with_extension("log")).is_err());
        std::fs::remove_dir_all(mezz.parent().unwrap()).unwrap();
    }
}
