//! `mezz dev` with everything in it: master, agents, warden, real tasks.

mod support;

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use support::dev::Dev;
use support::finish;

/// Whether a process with this argument runs.
fn runs(argument: &str) -> bool {
    std::process::Command::new("pgrep")
        .args(["-f", argument])
        .stdout(Stdio::null())
        .status()
        .expect("pgrep(1)")
        .success()
}

/// Waits until it does, or does not.
fn wait_until_runs(argument: &str, expected: bool) {
    for _ in 0..6000 {
        if runs(argument) == expected {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{argument} runs: {}", !expected);
}

/// A duration that no other sleep on this machine has.
fn rare_sleep(number: u32) -> String {
    format!("{}.{number:02}", 100_000 + std::process::id())
}

#[test]
fn a_command_given_to_dev_runs_and_the_cluster_stays() {
    let dev = Dev::start(&[
        "--agents",
        "2",
        "--",
        "sh",
        "-c",
        "echo said; echo moaned >&2",
    ]);
    // The two outputs are two pipes: what comes first through them is chance.
    let mut missing = vec!["said", "moaned", "task sh-", "The cluster runs at"];
    while !missing.is_empty() {
        let line = dev.line("");
        missing.retain(|beginning| !line.starts_with(beginning));
    }
    assert_eq!(
        dev.mezz(&["agents", "-o", "name"]).stdout.lines().count(),
        2
    );
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn the_first_example_shows_a_service_a_job_and_a_cron() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/hello.yaml");
    let dev = Dev::start(&[file]);
    // The two outputs are two pipes: what comes first through them is chance.
    let mut missing = vec![
        "service /hello/web created",
        "service /hello/web: http at ",
        "Hello, world, from ",
        "The clock says ",
        "The cluster runs at",
    ];
    while !missing.is_empty() {
        let line = dev.line("");
        missing.retain(|beginning| !line.starts_with(beginning));
    }
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_task_document_runs_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("task.yaml");
    std::fs::write(&file, "task:\n  command: echo said by a task\n").expect("a file");
    let dev = Dev::start(&[file.to_str().expect("a text")]);
    dev.line("said by a task");
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn commands_run_as_if_they_ran_here() {
    let dev = Dev::start(&[]);
    let run = |arguments: &[&str]| {
        let mut all = vec!["run", "-e", "GREETING=hi there", "--"];
        all.extend(arguments);
        dev.mezz(&all)
    };
    let outcome = run(&["sh", "-c", "echo $GREETING; echo oops >&2; exit 3"]);
    assert_eq!(
        (
            outcome.stdout.as_str(),
            outcome.stderr.as_str(),
            outcome.code
        ),
        ("hi there\n", "oops\n", 3)
    );
    assert_eq!(run(&["sh", "-c", "kill -9 $$"]).code, 137);
    assert_eq!(run(&["/no/such/program"]).code, 125);
    assert_eq!(dev.mezz(&["ps", "-o", "name"]).stdout, "");
    assert_eq!(
        dev.mezz(&["ps", "--all", "-o", "name"])
            .stdout
            .lines()
            .count(),
        3
    );
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn an_interrupted_run_kills_its_task() {
    let dev = Dev::start(&[]);
    let nap = rare_sleep(1);
    let child = dev.spawn(&["run", "--", "sleep", &nap]);
    wait_until_runs(&format!("^sleep {nap}"), true);
    assert_eq!(dev.mezz(&["ps", "-o", "name"]).stdout.lines().count(), 1);
    let status = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("kill(1)");
    assert!(status.success());
    assert_eq!(finish(child).code, 143);
    wait_until_runs(&format!("^sleep {nap}"), false);
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_killed_cluster_in_memory_takes_its_tasks_along() {
    let mut dev = Dev::start(&[]);
    let nap = rare_sleep(2);
    assert_eq!(dev.mezz(&["run", "-d", "--", "sleep", &nap]).code, 0);
    wait_until_runs(&format!("^sleep {nap}"), true);
    let _ = dev.child.kill();
    let _ = dev.child.wait();
    wait_until_runs(&format!("^sleep {nap}"), false);
}

#[test]
fn tasks_of_a_folder_outlive_a_killed_cluster_and_end_with_a_stopped_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let work_dir = format!("--work_dir={}", folder.path().display());
    let nap = rare_sleep(3);
    let mut dev = Dev::start(&[&work_dir]);
    let id = dev.mezz(&["run", "-d", "--", "sleep", &nap]).stdout;
    wait_until_runs(&format!("^sleep {nap}"), true);
    let _ = dev.child.kill();
    let _ = dev.child.wait();
    let dev = Dev::start(&[&work_dir]);
    assert!(runs(&format!("^sleep {nap}")));
    assert_eq!(dev.mezz(&["ps", "-o", "name"]).stdout, id);
    assert_eq!(dev.stop(), Some(0));
    wait_until_runs(&format!("^sleep {nap}"), false);
}

#[test]
fn clusters_on_one_host_hand_out_different_ports() {
    let clusters = [Dev::start(&["--agents", "2"]), Dev::start(&[])];
    let ports = |dev: &Dev| -> Vec<String> {
        let agents = dev.mezz(&["agents", "-o", "json"]).stdout;
        let agents: Vec<Value> = serde_json::from_str(&agents).expect("a list");
        let ports = agents
            .iter()
            .map(|agent| &agent["resources"]["total"]["ports"]);
        ports.map(ToString::to_string).collect()
    };
    let all: Vec<String> = clusters.iter().flat_map(ports).collect();
    let different: std::collections::BTreeSet<&String> = all.iter().collect();
    assert_eq!((all.len(), different.len()), (3, 3), "{all:?}");
}

#[test]
fn the_flags_in_effect_are_told() {
    let dev = Dev::start(&[
        "--weights=a=2",
        "--offer_timeout=7s",
        "--resources=cpus:3;mem:512",
        "--attributes=rack:r1",
    ]);
    let agents = dev.mezz(&["agents", "-o", "json"]).stdout;
    assert!(
        agents.contains(r#""rack":"r1""#) && agents.contains(r#""mem":512"#),
        "{agents}"
    );
    let flags = http_get(&dev.address, "/flags");
    assert!(
        flags.contains(r#""weights":"a=2""#) && flags.contains(r#""offer_timeout":"7secs""#),
        "{flags}"
    );
    assert!(flags.contains(r#""role_sorter":"drf""#), "{flags}");
    assert_eq!(dev.stop(), Some(0));
}

fn http_get(address: &str, target: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).expect("a connection");
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}
