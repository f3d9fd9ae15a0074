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

fn toggled(daemon: &Daemon, query: &str) -> String {
    let answer = daemon.client().get(&format!("/logging/toggle{query}"));
    answer.expect("an answer").text().trim().to_owned()
}

#[test]
fn the_log_of_a_master_and_of_an_agent_is_made_talkative_for_a_while() {
    let mut cluster = cluster();
    let master = cluster.master(&[]).expect("a master");
    let agent = cluster.agent("agent", &master, &[]).expect("an agent");
    for daemon in [&master, &agent] {
        let talkative = || daemon.lines().iter().any(|line| line.contains("DEBUG"));
        assert!(!talkative());
        assert_eq!(toggled(daemon, "?level=3&duration=1hrs"), "");
        assert_eq!(toggled(daemon, ""), "3");
        eventually("every step is logged", || talkative().then_some(()));
        assert_eq!(toggled(daemon, "?level=3&duration=1ms"), "");
        eventually("the level goes back", || {
            (toggled(daemon, "") == "0").then_some(())
        });
        eventually("nothing more is logged", || {
            let before = daemon.lines().len();
            toggled(daemon, "");
            (daemon.lines().len() == before).then_some(())
        });
    }
}

#[test]
fn a_master_names_the_address_and_port_that_others_are_told() {
    let mut cluster = cluster();
    let flags = ["--advertise-ip=127.0.0.2", "--advertise-port=6060"];
    let master = cluster.master(&flags).expect("a master");
    let state = master.client().get("/state").expect("an answer").json();
    assert_eq!(state["leader_info"]["port"], 6060, "{state}");
    assert!(
        state["pid"]
            .as_str()
            .is_some_and(|pid| pid.ends_with("@127.0.0.2:6060")),
        "{state}"
    );
    assert_eq!(state["flags"]["port"], master.port().to_string());
}

#[test]
fn a_master_shows_how_long_allocations_and_writes_took() {
    let mut cluster = cluster();
    let master = cluster.master(&[]).expect("a master");
    let _agent = cluster.agent("agent", &master, &[]).expect("an agent");
    wait_for_agent(&master);
    running_task(&master);
    let answer = master.client().get("/metrics/snapshot").expect("an answer");
    let metrics = answer.json();
    for name in [
        "allocator/mesos/allocation_run_ms",
        "allocator/mesos/allocation_run_ms/p50",
        "allocator/mesos/allocation_run_ms/p9999",
        "allocator/mesos/allocation_run_ms/count",
        "registrar/state_fetch_ms",
        "registrar/state_store_ms",
        "registrar/state_store_ms/max",
        "registrar/registry_size_bytes",
    ] {
        assert!(metrics[name].as_f64() > Some(0.0), "{name}: {metrics}");
    }
    let latency = &metrics["allocator/mesos/allocation_run_latency_ms/p99"];
    assert!(latency.as_f64() >= Some(0.0), "{metrics}");
    assert!(
        metrics["registrar/queued_operations"].as_f64() >= Some(0.0),
        "{metrics}"
    );
}

/// The processes of a cluster that are wardens.
fn wardens(cluster: &TempCluster) -> Vec<u32> {
    let is_warden = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).nth(1) == Some(b"warden"))
    };
    cluster.processes().into_iter().filter(is_warden).collect()
}

#[test]
fn none_of_twenty_tasks_dies_or_is_lost_with_the_warden() {
    let mut cluster = cluster();
    let dev = cluster.dev(&[]).expect("a cluster");
    let go = cluster.folder().join("go");
    let command = format!(
        "while [ ! -e {} ]; do sleep 0.05; done; exit 4",
        go.display()
    );
    let run = [
        "run",
        "-d",
        "--cpus=0.01",
        "--mem=1",
        "--",
        "sh",
        "-c",
        &command,
    ];
    let tasks: Vec<String> = (0..20)
        .map(|_| mezz(&dev, &run).stdout.trim().to_owned())
        .collect();
    eventually("all run", || {
        let running = |id: &String| state(&dev, id) == "TASK_RUNNING";
        tasks.iter().all(running).then_some(())
    });
    let [warden] = wardens(&cluster)[..] else {
        panic!("one agent has one warden");
    };
    mezz_testkit::processes::signal(warden, Signal::KILL);
    eventually("there is another", || {
        wardens(&cluster)
            .iter()
            .any(|pid| *pid != warden)
            .then_some(())
    });
    let another = mezz(&dev, &["run", "--", "true"]);
    assert_eq!(another.code, 0, "{}", another.stderr);
    for id in &tasks {
        assert_eq!(state(&dev, id), "TASK_RUNNING");
    }
    std::fs::write(&go, "").expect("a file");
    for id in &tasks {
        eventually("it ends by itself", || {
            (state(&dev, id) == "TASK_FAILED").then_some(())
        });
        let answer = dev
            .client()
            .get(&format!("/v1/tasks/{id}"))
            .expect("an answer");
        let message = answer.json()["message"].to_string();
        assert!(message.contains("exited with status 4"), "{message}");
    }
}
