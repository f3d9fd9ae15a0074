//! The cluster that the tests of recovery share: one master, agents, and a place where tasks leave their traces.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mezz_testkit::processes::ProcessId;
use mezz_testkit::wait::eventually;
use mezz_testkit::{Daemon, TempCluster};

use crate::load::Load;

/// For everything that should come soon.
pub(crate) const SOON: Duration = Duration::from_secs(40);

/// Room for all tasks of a test; nothing is measured by it.
pub(crate) const AGENT_FLAGS: [&str; 3] = [
    "--resources=cpus:64;mem:65536;disk:65536",
    "--registration-backoff-factor=20ms",
    "--hostname=agent",
];

/// A cluster in a folder.
pub(crate) struct Lab {
    pub(crate) cluster: TempCluster,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let cluster = TempCluster::new(env!("CARGO_BIN_EXE_mezz")).unwrap();
        std::fs::create_dir(cluster.folder().join("traces")).unwrap();
        Self { cluster }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.cluster.folder()
    }

    pub(crate) fn master(&mut self) -> Daemon {
        self.cluster.master(&[]).unwrap()
    }

    /// A master at the place of an earlier one, on its store.
    pub(crate) fn master_again(&mut self, port: u16) -> Daemon {
        self.cluster.master(&[&format!("--port={port}")]).unwrap()
    }

    pub(crate) fn agent(&mut self, master: &Daemon) -> Daemon {
        self.cluster.agent("agent", master, &AGENT_FLAGS).unwrap()
    }

    /// Starts either daemon with variables; an error when it did not come so far as to serve.
    pub(crate) fn daemon_with(
        &mut self,
        verb: &str,
        flags: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Daemon, mezz_testkit::DaemonError> {
        let work = format!("--work-dir={}", self.folder().join(verb).display());
        let mut all = vec![work.as_str()];
        all.extend(flags);
        if verb == "agent" {
            all.extend(AGENT_FLAGS);
        }
        self.cluster.start_with(verb, &all, environment)
    }

    /// A command that leaves one line a run, with its process, and does not end.
    pub(crate) fn lasting(&self, id: &str) -> String {
        format!("echo $$ >> {}; exec sleep 1000", self.trace(id).display())
    }

    /// A command that leaves one line a run and ends.
    pub(crate) fn brief(&self, id: &str) -> String {
        format!("echo $$ >> {}", self.trace(id).display())
    }

    /// A command that leaves one line a run and ends when the gate is opened.
    pub(crate) fn gated(&self, id: &str) -> String {
        let gate = self.gate();
        format!(
            "echo $$ >> {}; until [ -e {} ]; do sleep 0.05; done",
            self.trace(id).display(),
            gate.display()
        )
    }

    pub(crate) fn open_gate(&self) {
        std::fs::write(self.gate(), "").unwrap();
    }

    fn gate(&self) -> PathBuf {
        self.folder().join("gate")
    }

    fn trace(&self, id: &str) -> PathBuf {
        self.folder().join("traces").join(id)
    }

    /// The processes that a task has been run as.
    pub(crate) fn runs(&self, id: &str) -> Vec<ProcessId> {
        let text = std::fs::read_to_string(self.trace(id)).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// The one process of each task, with the time of its start.
    #[track_caller]
    pub(crate) fn lives(
        &self,
        ids: impl IntoIterator<Item = String>,
    ) -> BTreeMap<String, (ProcessId, u64)> {
        let mut lives = BTreeMap::new();
        for id in ids {
            let pid = eventually("the task has left its trace", || {
                self.runs(&id).first().copied()
            });
            assert_eq!(self.runs(&id), [pid], "{id} was run more than once");
            let start = started_at(pid).unwrap_or_else(|| panic!("{id}, process {pid}, is dead"));
            lives.insert(id, (pid, start));
        }
        lives
    }

    /// What must hold at the end of every story: one end a task, and no task has run twice.
    #[track_caller]
    pub(crate) fn assert_one_end_each(&self, load: &Load, context: &str) {
        for (id, seen) in &load.tasks {
            let ends: Vec<&str> = seen
                .states()
                .into_iter()
                .filter(|state| crate::load::is_terminal(state))
                .collect();
            assert_eq!(
                ends.len(),
                1,
                "{context}: {id} ended as {ends:?}: {:?}",
                seen.updates
            );
            let order = ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"];
            let ranks: Vec<usize> = seen
                .states()
                .iter()
                .map(|state| order.iter().position(|known| known == state).unwrap_or(3))
                .collect();
            assert!(
                ranks.is_sorted(),
                "{context}: {id} went through {:?}",
                seen.states()
            );
            let runs = self.runs(id).len();
            assert!(runs <= 1, "{context}: {id} ran {runs} times");
            if ends == ["TASK_FINISHED"] {
                assert_eq!(runs, 1, "{context}: {id} finished without having run");
            }
        }
    }
}

/// When a process started, in clock ticks since the boot; `None` when it is gone or a zombie.
pub(crate) fn started_at(pid: ProcessId) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    if words.next()? == "Z" {
        return None;
    }
    words.nth(18)?.parse().ok()
}

/// So many names with a prefix.
pub(crate) fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{prefix}-{number}"))
        .collect()
}

/// Whatever a test did to its master, what the master recorded replays to the same.
impl Drop for Lab {
    fn drop(&mut self) {
        let recording = self.folder().join("master/recorder");
        // A master that was killed at once may not have got round to it.
        let is_empty = std::fs::read_dir(&recording).is_ok_and(|mut files| files.next().is_none());
        if std::thread::panicking() || !recording.exists() || is_empty {
            return;
        }
        let replayed = std::process::Command::new(env!("CARGO_BIN_EXE_mezz"))
            .arg("replay")
            .arg(recording)
            .output()
            .unwrap();
        assert!(
            replayed.status.success(),
            "{}",
            String::from_utf8_lossy(&replayed.stderr)
        );
    }
}
