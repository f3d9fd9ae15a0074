//! The warden's death: every task goes on, its end is seen by the next warden, and the next launch works.

use mezz_testkit::Daemon;
use mezz_testkit::processes::{ProcessId, is_running, marked, signal};
use mezz_testkit::wait::eventually;
use rustix::process::Signal;

use crate::lab::{Lab, SOON, names};
use crate::load::Load;

/// The process of the warden of the agent in `FOLDER/agent`.
pub(crate) fn warden_of(lab: &Lab) -> ProcessId {
    let socket = lab
        .folder()
        .join("agent/warden/socket")
        .display()
        .to_string();
    let is_warden = |pid: &ProcessId| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words.contains(&b"warden".as_slice()) && words.contains(&socket.as_bytes())
    };
    eventually("the warden", || marked(&socket).into_iter().find(is_warden))
}

fn running(lab: &Lab, master: &Daemon, count: usize) -> Load {
    let mut load = Load::new(master.address(), "load");
    for id in names("task", count) {
        load.want(&id, lab.lasting(&id));
    }
    load.until("all run", SOON, |load| load.count("TASK_RUNNING") == count);
    load
}

fn all_go_on_under_another(lab: &Lab, load: &mut Load, old: ProcessId, pids: &[ProcessId]) {
    // What was on its way to the old one is dropped and told as that.
    eventually("another warden", || (warden_of(lab) != old).then_some(()));
    load.want("afterwards", lab.brief("afterwards"));
    load.until("a new task ends", SOON, |load| {
        load.count("TASK_FINISHED") == 1
    });
    for pid in pids {
        assert!(is_running(*pid), "a task has died with the warden");
    }
    assert_eq!(load.count("TASK_RUNNING"), pids.len(), "{}", load.summary());
    for pid in pids {
        signal(*pid, Signal::KILL);
    }
    load.until_all_ended(SOON);
    assert_eq!(load.count("TASK_FAILED"), pids.len(), "{}", load.summary());
    lab.assert_one_end_each(load, "after the warden's death");
}

#[test]
fn tasks_go_on_under_another_warden_after_one_is_killed() {
    let mut lab = Lab::new();
    let master = lab.master();
    let _agent = lab.agent(&master);
    let mut load = running(&lab, &master, 50);
    let lives = lab.lives(names("task", 50));
    let pids: Vec<_> = lives.values().map(|(pid, _)| *pid).collect();
    let warden = warden_of(&lab);
    signal(warden, Signal::KILL);
    all_go_on_under_another(&lab, &mut load, warden, &pids);
}

#[test]
fn tasks_go_on_when_warden_and_agent_are_killed_together() {
    let mut lab = Lab::new();
    let master = lab.master();
    let agent = lab.agent(&master);
    let mut load = running(&lab, &master, 50);
    let lives = lab.lives(names("task", 50));
    let warden = warden_of(&lab);
    agent.kill_9();
    signal(warden, Signal::KILL);
    let _agent = lab.agent(&master);
    let pids: Vec<_> = lives.values().map(|(pid, _)| *pid).collect();
    all_go_on_under_another(&lab, &mut load, warden, &pids);
}
