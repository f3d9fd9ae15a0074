//! `mezz dev`: what goes on after `kill -9`, and what is left after a clean stop.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mezz_testkit::Daemon;
use mezz_testkit::processes::{ProcessId, is_running};
use mezz_testkit::wait::eventually;
use rustix::process::Signal;
use serde_json::Value;

use crate::lab::{Lab, started_at};

fn verb(master: &str, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mezz"));
    let output = command
        .args(words)
        .env("MEZZ_MASTER", master)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The states of the tasks that `mezz ps` lists, by their ids.
fn states(master: &str) -> Vec<(String, String)> {
    let rows: Value = serde_json::from_str(&verb(master, &["ps", "--all", "-o", "json"])).unwrap();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| (text(row, "id"), text(row, "state")))
        .collect()
}

fn wait_for_state(master: &str, id: &str, state: &str) {
    eventually(state, || {
        states(master)
            .contains(&(id.to_owned(), state.to_owned()))
            .then_some(())
    });
}

fn run_detached(master: &str, script: &str) -> String {
    verb(
        master,
        &[
            "run", "--detach", "--name", "work", "--", "sh", "-c", script,
        ],
    )
    .trim()
    .to_owned()
}

fn pid_in(path: &Path) -> ProcessId {
    eventually("a process id", || {
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    })
}

/// The cgroup that a process is in, if it is one of ours.
fn cgroup_of(pid: ProcessId) -> Option<PathBuf> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text
        .lines()
        .find_map(|line| line.split_once(":freezer:").map(|(_, path)| path))?;
    path.strip_prefix("/mezz/")
        .map(|path| Path::new("/sys/fs/cgroup/freezer/mezz").join(path))
}

fn dev(lab: &mut Lab, flags: &[&str]) -> Daemon {
    lab.cluster.dev(flags).unwrap()
}

#[test]
fn tasks_go_on_when_dev_is_killed_and_are_listed_after_its_restart_on_the_folder() {
    let mut lab = Lab::new();
    let work = format!("--work-dir={}", lab.folder().join("work").display());
    let first = dev(&mut lab, &[&work]);
    let address = first.address().to_owned();
    let traces = lab.folder().join("traces");
    let lasting = run_detached(
        &address,
        &format!("echo $$ > {}/lasting; exec sleep 1000", traces.display()),
    );
    let gate = traces.join("gate");
    let script = format!(
        "echo $$ > {}/ending; until [ -e {} ]; do sleep 0.05; done; exit 3",
        traces.display(),
        gate.display()
    );
    let ending = run_detached(&address, &script);
    let (pid, ending_pid) = (
        pid_in(&traces.join("lasting")),
        pid_in(&traces.join("ending")),
    );
    let start = started_at(pid).unwrap();
    wait_for_state(&address, &lasting, "TASK_RUNNING");
    let group = cgroup_of(pid);
    let port = format!("--port={}", first.port());
    first.kill_9();
    std::fs::write(&gate, "").unwrap();
    eventually("it ends while nobody looks", || {
        (!is_running(ending_pid)).then_some(())
    });

    let second = dev(&mut lab, &[&work, &port]);
    wait_for_state(&address, &ending, "TASK_FAILED");
    wait_for_state(&address, &lasting, "TASK_RUNNING");
    assert_eq!(
        started_at(pid),
        Some(start),
        "the task is the process that it was"
    );
    let another = run_detached(&address, "true");
    wait_for_state(&address, &another, "TASK_FINISHED");

    assert_eq!(second.stop(Signal::INT).code(), Some(0));
    assert!(!is_running(pid), "a clean stop ends the tasks");
    assert_eq!(
        lab.cluster.processes(),
        [] as [ProcessId; 0],
        "and the warden"
    );
    assert!(
        group.is_none_or(|group| !group.exists()),
        "and leaves no cgroup"
    );

    let third = dev(&mut lab, &[&work, &port]);
    assert!(
        states(&address)
            .iter()
            .all(|(_, state)| state != "TASK_RUNNING")
    );
    let another = run_detached(&address, "true");
    wait_for_state(&address, &another, "TASK_FINISHED");
    third.stop(Signal::TERM);
}

/// Starts a cluster in memory with a task; returns the task's process and the folder that everything lies in.
fn in_memory(lab: &mut Lab) -> (Daemon, ProcessId, PathBuf) {
    let temporary = lab.folder().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let dev = lab
        .cluster
        .start_with("dev", &[], &[("TMPDIR", temporary.to_str().unwrap())])
        .unwrap();
    let trace = lab.folder().join("traces/task");
    run_detached(
        dev.address(),
        &format!(
            "echo $$ > {}; setsid sleep 1000 & exec sleep 1000",
            trace.display()
        ),
    );
    let pid = pid_in(&trace);
    (dev, pid, temporary)
}

#[track_caller]
fn assert_nothing_is_left(lab: &Lab, group: Option<&Path>, temporary: &Path) {
    eventually("no process is left", || {
        lab.cluster.processes().is_empty().then_some(())
    });
    eventually("no cgroup is left", || {
        group.is_none_or(|group| !group.exists()).then_some(())
    });
    let scope = group.and_then(Path::parent);
    eventually("nor the one around it", || {
        scope.is_none_or(|scope| !scope.exists()).then_some(())
    });
    eventually("no file is left", || {
        std::fs::read_dir(temporary)
            .unwrap()
            .next()
            .is_none()
            .then_some(())
    });
}

#[test]
fn a_clean_stop_of_a_cluster_in_memory_leaves_nothing() {
    let mut lab = Lab::new();
    let (dev, pid, temporary) = in_memory(&mut lab);
    let group = cgroup_of(pid);
    assert_eq!(dev.stop(Signal::INT).code(), Some(0));
    assert!(!is_running(pid));
    assert_nothing_is_left(&lab, group.as_deref(), &temporary);
}

#[test]
fn even_the_sudden_death_of_a_cluster_in_memory_leaves_nothing() {
    let mut lab = Lab::new();
    let (dev, pid, temporary) = in_memory(&mut lab);
    let group = cgroup_of(pid);
    dev.kill_9();
    assert_nothing_is_left(&lab, group.as_deref(), &temporary);
    assert!(!is_running(pid));
}
