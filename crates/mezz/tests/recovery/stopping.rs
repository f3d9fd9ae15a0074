//! Signals to the agent, and its upgrade: who goes on and who ends.

use std::path::{Path, PathBuf};

use mezz_testkit::framework::framework_info;
use mezz_testkit::processes::{ProcessId, is_running, signal};
use mezz_testkit::wait::eventually;
use mezz_testkit::{Daemon, TempCluster};
use rustix::process::Signal;
use serde_json::json;

use crate::lab::{AGENT_FLAGS, Lab, SOON, names};
use crate::load::Load;
use crate::wardens::warden_of;

/// Two frameworks with three tasks each, of which only the first checkpoints.
fn two_loads(lab: &Lab, master: &Daemon) -> [Load; 2] {
    ["keep", "pass"].map(|name| {
        let mut info = framework_info(name, &["*"]);
        info["checkpoint"] = json!(name == "keep");
        let mut load = Load::with(master.address(), info);
        for id in names(name, 3) {
            load.want(&id, lab.lasting(&id));
        }
        load.until("all run", SOON, |load| load.count("TASK_RUNNING") == 3);
        load
    })
}

fn pids(lab: &Lab, prefix: &str) -> Vec<ProcessId> {
    lab.lives(names(prefix, 3))
        .values()
        .map(|(pid, _)| *pid)
        .collect()
}

#[test]
fn sigterm_leaves_the_tasks_that_checkpoint_and_ends_the_others() {
    let mut lab = Lab::new();
    let master = lab.master();
    let agent = lab.agent(&master);
    let [mut keep, mut pass] = two_loads(&lab, &master);
    let before = lab.lives(names("keep", 3));
    let passed = pids(&lab, "pass");
    assert_eq!(agent.stop(Signal::TERM).code(), Some(0));
    pass.until_all_ended(SOON);
    for pid in passed {
        eventually("it ends with the agent", || {
            (!is_running(pid)).then_some(())
        });
    }
    // It would hold the next offer, since nobody listens for it any more.
    pass.leave();
    let _agent = lab.agent(&master);
    assert_eq!(lab.lives(names("keep", 3)), before);
    keep.want("next", lab.brief("next"));
    keep.until("a new task ends", SOON, |load| {
        load.count("TASK_FINISHED") == 1
    });
    assert_eq!(keep.count("TASK_RUNNING"), 3, "{}", keep.summary());
}

#[test]
fn sigusr1_ends_every_task_and_the_warden() {
    let mut lab = Lab::new();
    let master = lab.master();
    let agent = lab.agent(&master);
    let [mut keep, mut pass] = two_loads(&lab, &master);
    let all = [
        pids(&lab, "keep"),
        pids(&lab, "pass"),
        vec![warden_of(&lab)],
    ]
    .concat();
    assert_eq!(agent.stop(Signal::USR1).code(), Some(0));
    assert!(
        all.iter().all(|pid| !is_running(*pid)),
        "all have ended when the agent has"
    );
    keep.until_all_ended(SOON);
    pass.until_all_ended(SOON);
    lab.assert_one_end_each(&keep, "after SIGUSR1");
    // It would hold the next offer, since nobody listens for it any more.
    pass.leave();
    // It comes back as another agent, which knows nothing of them.
    let _agent = lab.agent(&master);
    keep.want("next", lab.brief("next"));
    keep.until("a new task ends", SOON, |load| {
        load.count("TASK_FINISHED") == 1
    });
}

/// The binary under another name, which is another program to the system.
fn copy_of_binary(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::copy(env!("CARGO_BIN_EXE_mezz"), &path).unwrap();
    path
}

#[test]
fn an_agent_of_a_new_version_upgrades_the_warden_in_place_while_tasks_run() {
    let mut lab = Lab::new();
    let master = lab.master();
    let folder = tempfile::tempdir_in(lab.folder()).unwrap();
    let work = format!("--work-dir={}", lab.folder().join("agent").display());
    let master_flag = format!("--master={}", master.address());
    let flags = [&[work.as_str(), master_flag.as_str()], &AGENT_FLAGS[..]].concat();
    let start = |name: &str| {
        let mut cluster = TempCluster::new(copy_of_binary(folder.path(), name)).unwrap();
        let agent = cluster.start("agent", &flags).unwrap();
        (agent, cluster)
    };
    let (old, _old_cluster) = start("mezz-old");
    let mut load = Load::new(master.address(), "load");
    for id in names("task", 100) {
        load.want(&id, lab.lasting(&id));
    }
    load.until("all run", SOON, |load| load.count("TASK_RUNNING") == 100);
    let before = lab.lives(names("task", 100));
    let warden = warden_of(&lab);
    old.kill_9();
    signal(before["task-0"].0, Signal::KILL);

    let (_new, _new_cluster) = start("mezz-new");
    let exe = std::fs::read_link(format!("/proc/{warden}/exe")).unwrap();
    assert_eq!(
        exe,
        folder.path().join("mezz-new"),
        "the same process runs the new program"
    );
    load.until("the end meanwhile is told", SOON, |load| {
        load.count("TASK_FAILED") == 1
    });
    assert!(
        lab.lives(names("task", 100).into_iter().skip(1))
            .iter()
            .all(|(id, life)| before[id] == *life)
    );
    for (pid, _) in before.values() {
        signal(*pid, Signal::TERM);
    }
    load.until_all_ended(SOON);
    lab.assert_one_end_each(&load, "after the upgrade");
    load.want("next", lab.brief("next"));
    load.until("a new task ends", SOON, |load| {
        load.count("TASK_FINISHED") == 1
    });
}
