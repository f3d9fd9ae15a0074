//! The master's death, alone and together with the agent's: tasks do not notice, frameworks find everything again.

use mezz_testkit::processes::{is_running, signal};
use mezz_testkit::wait::eventually;
use rustix::process::Signal;

use crate::lab::{Lab, SOON, names};
use crate::load::Load;

fn running_load(lab: &Lab, master: &str, count: usize) -> Load {
    let mut load = Load::new(master, "load");
    for id in names("task", count) {
        load.want(&id, lab.lasting(&id));
    }
    load.until("all run", SOON, |load| load.count("TASK_RUNNING") == count);
    load
}

#[test]
fn five_hundred_tasks_live_through_the_masters_death() {
    let mut lab = Lab::new();
    let master = lab.master();
    let agent = lab.agent(&master);
    let mut load = running_load(&lab, master.address(), 500);
    let before = lab.lives(names("task", 500));
    let (id, port) = (load.id().to_owned(), master.port());
    let agents = master.client().get("/v1/agents").unwrap().json();

    master.kill_9();
    // What ends now is held by the agent until there is a master and a framework again.
    for (pid, _) in names("task", 20).iter().map(|id| before[id]) {
        signal(pid, Signal::KILL);
        eventually("it is dead", || (!is_running(pid)).then_some(()));
    }
    let master = lab.master_again(port);
    load.until("twenty ends are told", SOON, |load| {
        load.count("TASK_FAILED") == 20
    });
    assert_eq!((load.id(), load.subscriptions), (id.as_str(), 2));
    assert_eq!(load.count("TASK_RUNNING"), 480);
    assert_eq!(
        lab.lives(names("task", 500).into_iter().skip(20)),
        before
            .into_iter()
            .filter(|(_, (pid, _))| is_running(*pid))
            .collect()
    );
    let again = master.client().get("/v1/agents").unwrap().json();
    assert_eq!(agents[0]["id"], again[0]["id"], "the agent has kept its id");
    let tasks = master.client().get("/tasks?limit=1000").unwrap().json();
    let running = tasks["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|task| task["state"] == "TASK_RUNNING")
        .count();
    assert_eq!(running, 480, "the new master lists what runs");

    load.want("afterwards", lab.brief("afterwards"));
    load.until("a new task ends", SOON, |load| {
        load.count("TASK_FINISHED") == 1
    });
    for (pid, _) in lab.lives(names("task", 500).into_iter().skip(20)).values() {
        signal(*pid, Signal::TERM);
    }
    load.until_all_ended(SOON);
    lab.assert_one_end_each(&load, "after the master's death");
    drop(agent);
}

#[test]
fn five_hundred_tasks_live_through_the_death_of_master_and_agent_at_once() {
    let mut lab = Lab::new();
    let master = lab.master();
    let agent = lab.agent(&master);
    let mut load = running_load(&lab, master.address(), 500);
    let before = lab.lives(names("task", 500));
    let port = master.port();

    master.signal(Signal::KILL);
    agent.kill_9();
    master.kill_9();
    for (pid, _) in names("task", 20).iter().map(|id| before[id]) {
        signal(pid, Signal::KILL);
        eventually("it is dead", || (!is_running(pid)).then_some(()));
    }
    let master = lab.master_again(port);
    let _agent = lab.agent(&master);
    load.until("twenty ends are told", SOON, |load| {
        load.count("TASK_FAILED") == 20
    });
    assert_eq!(load.count("TASK_RUNNING"), 480, "{}", load.summary());
    let after = lab.lives(names("task", 500).into_iter().skip(20));
    assert!(after.iter().all(|(id, life)| before[id] == *life));
    for (pid, _) in after.values() {
        signal(*pid, Signal::TERM);
    }
    load.until_all_ended(SOON);
    lab.assert_one_end_each(&load, "after the death of both");
}

#[test]
fn a_framework_that_does_not_come_back_in_time_is_ended_with_its_tasks() {
    let mut lab = Lab::new();
    let master = lab
        .cluster
        .master(&["--agent-reregister-timeout=2secs"])
        .unwrap();
    let _agent = lab.agent(&master);
    let mut info = mezz_testkit::framework::framework_info("short", &["*"]);
    info["failover_timeout"] = 1.0.into();
    let mut load = Load::with(master.address(), info);
    load.want("short-lived", lab.lasting("short-lived"));
    load.until("it runs", SOON, |load| load.count("TASK_RUNNING") == 1);
    let pid = lab.lives(["short-lived".to_owned()])["short-lived"].0;
    let port = master.port();
    master.kill_9();
    drop(load);
    let _master = lab
        .cluster
        .master(&[
            &format!("--port={port}"),
            "--agent-reregister-timeout=2secs",
        ])
        .unwrap();
    eventually("its task ends", || (!is_running(pid)).then_some(()));
}
