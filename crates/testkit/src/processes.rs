//! Finding and ending exactly the processes that a test has started, directly or through a daemon.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// A process id.
pub type ProcessId = u32;

/// Sends a signal to one process; false when it is gone.
pub fn signal(pid: ProcessId, signal: Signal) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}

/// Whether the process exists and has not ended (a zombie has).
pub fn is_running(pid: ProcessId) -> bool {
    status_of(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// The processes whose command line or environment holds `mark`, and all of their descendants.
pub fn marked(mark: &str) -> Vec<ProcessId> {
    let mut parents = BTreeMap::new();
    let mut found = Vec::new();
    for pid in all() {
        if let Some((state, parent)) = status_of(pid)
            && state != 'Z'
        {
            parents.insert(pid, parent);
            if pid != std::process::id()
                && (holds(pid, "cmdline", mark) || holds(pid, "environ", mark))
            {
                found.push(pid);
            }
        }
    }
    let mut at = 0;
    while at < found.len() {
        let children = parents
            .iter()
            .filter(|(_, parent)| **parent == found[at])
            .map(|(pid, _)| *pid);
        let new: Vec<ProcessId> = children.filter(|pid| !found.contains(pid)).collect();
        found.extend(new);
        at += 1;
    }
    found
}

/// Ends every process that holds `mark`, with its descendants.
pub fn kill_marked(mark: &str) {
    // A process may start another while the list is read.
    for _ in 0..20 {
        let found = marked(mark);
        if found.is_empty() {
            return;
        }
        for pid in found {
            signal(pid, Signal::KILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn all() -> impl Iterator<Item = ProcessId> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn holds(pid: ProcessId, file: &str, mark: &str) -> bool {
    let bytes =
        std::fs::read(Path::new("/proc").join(pid.to_string()).join(file)).unwrap_or_default();
    bytes
        .windows(mark.len())
        .any(|window| window == mark.as_bytes())
}

/// The state and the parent of a process.
fn status_of(pid: ProcessId) -> Option<(char, ProcessId)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may itself hold any character.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::wait::eventually;

    #[test]
    fn a_marked_process_is_ended_with_its_descendants_and_no_other() {
        let mark = format!("mark-of-test-{}", std::process::id());
        let start = |mark: &str| {
            let script = "setsid sleep 1000 & sleep 1000";
            Command::new("sh")
                .args(["-c", script])
                .env("MARK", mark)
                .spawn()
                .unwrap()
        };
        let mut ours = start(&mark);
        let other_mark = format!("other-of-test-{}", std::process::id());
        let mut other = start(&other_mark);
        eventually("the descendants", || {
            (marked(&mark).len() >= 3).then_some(())
        });
        kill_marked(&mark);
        assert!(marked(&mark).is_empty());
        assert!(is_running(other.id()) && !is_running(ours.id()));
        let others = marked(&other_mark);
        assert!(others.contains(&other.id()));
        kill_marked(&other_mark);
        ours.wait().unwrap();
        other.wait().unwrap();
    }
}
