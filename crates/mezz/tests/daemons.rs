//! `mezz master` and `mezz agent`: their flags, their signals, their ends.

mod support;

use mezz_testkit::wait::eventually;
use mezz_testkit::{Daemon, TempCluster};
use rustix::process::Signal;
use support::{Outcome, command, finish};

fn cluster() -> TempCluster {
    TempCluster::new(env!("CARGO_BIN_EXE_mezz")).expect("a cluster")
}

fn mezz(master: &Daemon, arguments: &[&str]) -> Outcome {
    finish(
        command(arguments)
            .env("MEZZ_MASTER", master.address())
            .spawn()
            .expect("a process"),
    )
}

fn wait_for_agent(master: &Daemon) {
    eventually("an agent registers", || {
        (!mezz(master, &["agents", "-o", "name"]).stdout.is_empty()).then_some(())
    });
}

/// A task that runs, with its id.
fn running_task(master: &Daemon) -> String {
    let id = mezz(master, &["run", "-d", "--", "sleep", "1000"])
        .stdout
        .trim()
        .to_owned();
    eventually("the task runs", || {
        (state(master, &id) == "TASK_RUNNING").then_some(())
    });
    id
}

fn state(master: &Daemon, id: &str) -> String {
    let answer = master
        .client()
        .get(&format!("/v1/tasks/{id}"))
        .expect("an answer");
    answer.json()["state"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_master_takes_its_flags_from_every_layer() {
    let mut cluster = cluster();
    let file = cluster.folder().join("mezz.toml");
    std::fs::write(&file, "offer_timeout = \"11s\"\ncluster = \"from file\"\nquiet = true\n[agent]\nattributes = \"a:b\"\n").expect("a file");
    let config = format!("--config={}", file.display());
    let environment = [
        ("MESOS_CLUSTER", "from environment"),
        ("MEZZ_WEIGHTS", "x=3"),
    ];
    let master = cluster
        .start_with(
            "master",
            &[&config, "--weights=x=2", "--no-root_submissions"],
            &environment,
        )
        .expect("a master");
    let flags = master.client().get("/flags").expect("an answer").json();
    let shown = [
        "offer_timeout",
        "cluster",
        "quiet",
        "weights",
        "root_submissions",
        "max_agent_ping_timeouts",
    ]
    .map(|name| flags["flags"][name].as_str().unwrap_or_default().to_owned());
    assert_eq!(
        shown,
        ["11secs", "from environment", "true", "x=2", "false", "5"]
    );
}

#[test]
fn an_agent_asked_to_end_leaves_checkpointed_tasks_and_takes_them_up_again() {
    let mut cluster = cluster();
    let master = cluster.master(&[]).expect("a master");
    let agent = cluster.agent("agent", &master, &[]).expect("an agent");
    wait_for_agent(&master);
    let task = running_task(&master);
    assert_eq!(agent.stop(Signal::TERM).code(), Some(0));
    let _agent = cluster.agent("agent", &master, &[]).expect("an agent");
    eventually("the task can be killed", || {
        (mezz(&master, &["kill", &task]).code == 0).then_some(())
    });
    eventually("the task is killed", || {
        (state(&master, &task) == "TASK_KILLED").then_some(())
    });
}

#[test]
fn an_agent_told_by_sigusr1_ends_its_tasks() {
    let mut cluster = cluster();
    let master = cluster.master(&[]).expect("a master");
    let agent = cluster.agent("agent", &master, &[]).expect("an agent");
    wait_for_agent(&master);
    let task = running_task(&master);
    assert_eq!(agent.stop(Signal::USR1).code(), Some(0));
    eventually("the task has ended", || {
        (state(&master, &task) != "TASK_RUNNING").then_some(())
    });
}

#[test]
fn a_master_stops_on_either_signal() {
    let mut cluster = cluster();
    for signal in [Signal::INT, Signal::TERM] {
        let master = cluster.master(&[]).expect("a master");
        assert_eq!(master.stop(signal).code(), Some(0));
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let port = address.rsplit(':').next().expect("a port").to_owned();
    let seen = finish(
        command(&["master", "--quiet", "--port", &port])
            .spawn()
            .expect("a process"),
    )
    .seen();
    insta::assert_snapshot!(seen.replace(&address, "ADDRESS"), @"
    exit code: 1
    --- stderr
    error: the master cannot start: cannot listen on ADDRESS: Address already in use (os error 98)
    ");
}

#[test]
fn a_second_master_on_one_folder_does_not_serve() {
    let mut cluster = cluster();
    let _first = cluster.master(&[]).expect("a master");
    let work_dir = cluster.folder().join("master").display().to_string();
    let outcome = finish(
        command(&["master", "--quiet", "--port=0", "--work-dir", &work_dir])
            .spawn()
            .expect("a process"),
    );
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains(&work_dir), "{}", outcome.stderr);
}
