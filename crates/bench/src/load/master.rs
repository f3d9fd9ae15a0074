//! A master as a process of its own, and what the kernel says of it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cluster::{cpu_of, ready};

/// A running master; it ends with this.
#[derive(Debug)]
pub(crate) struct Master {
    child: Child,
    /// `ip:port`.
    pub(crate) address: String,
}

impl Master {
    /// Starts a master with an own work folder and waits until it leads.
    pub(crate) fn start(mezz: &Path, work_dir: &Path, flags: &[&str]) -> Result<Self> {
        let mut child = Command::new(mezz)
            .args(["master", "--port", "0", "--work-dir"])
            .arg(work_dir)
            .args(flags)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", mezz.display()))?;
        let address = ready(&mut child)?;
        Ok(Self { child, address })
    }

    /// CPU time so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(self.child.id())
    }

    /// CPU time so far by the name of its threads, the busiest first.
    pub(crate) fn cpu_by_thread(&self) -> Vec<(String, Duration)> {
        let mut all = std::collections::BTreeMap::<String, Duration>::new();
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        for task in tasks.into_iter().flatten().flatten() {
            let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let ns = stat.split(' ').next().and_then(|ns| ns.parse().ok());
            *all.entry(name.trim().to_owned()).or_default() +=
                Duration::from_nanos(ns.unwrap_or(0));
        }
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by_key(|(_, used)| std::cmp::Reverse(*used));
        all
    }

    /// Anonymous resident memory in KiB.
    pub(crate) fn anonymous_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok())
            .unwrap_or(0)
    }

    /// Waits until it has next to nothing to do.
    pub(crate) fn wait_until_quiet(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        let mut before = self.cpu();
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(200));
            let now = self.cpu();
            if now.saturating_sub(before) < Duration::from_millis(20) {
                return;
            }
            before = now;
        }
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
