//! The collection of sandboxes that nobody uses any more.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use support::{Agent, FakeMaster, framework, shell};

/// So long that only a disk without any room makes something old of what was just used.
const LONG_MS: &str = "3600000000";

/// Every sandbox in the work directory.
fn sandboxes(work_dir: &Path) -> Vec<PathBuf> {
    let folders = |path: PathBuf| {
        fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    folders(work_dir.join("sandboxes"))
        .flat_map(folders)
        .collect()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to this: {what}");
}

async fn metric(agent: &Agent, name: &str) -> f64 {
    agent.json("/metrics/snapshot").await[name]
        .as_f64()
        .unwrap()
}

/// What is gone from the disk is counted a moment later.
async fn metric_reaches(agent: &Agent, name: &str, wanted: f64) {
    for _ in 0..2000 {
        if metric(agent, name).await >= wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{name} never reached {wanted}");
}

fn make_old(sandbox: &Path) {
    let long_ago = SystemTime::now() - Duration::from_hours(2000);
    for path in [
        sandbox.join("stdout"),
        sandbox.join("stderr"),
        sandbox.to_owned(),
    ] {
        fs::File::open(path)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
    }
}

#[tokio::test]
async fn sandboxes_of_ended_tasks_are_collected_after_their_delay() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[("--gc-delay-ms", "400")]);
    let mut link = master.accept().await;
    link.run(
        &framework(true),
        vec![shell("gone", "true"), shell("stays", "exec sleep 60")],
    );
    link.finish(&["gone"]).await;
    let path = "/files/browse?path=/frameworks/fw-0000/executors/";
    assert_eq!(agent.get(&format!("{path}gone/runs/latest")).await.0, 200);
    for _ in 0..500 {
        if agent.get(&format!("{path}gone/runs/latest")).await.0 == 404 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(agent.get(&format!("{path}gone/runs/latest")).await.0, 404);
    assert_eq!(agent.get(&format!("{path}stays/runs/latest")).await.0, 200);
    metric_reaches(&agent, "gc/path_removals_succeeded", 1.0).await;
}

#[tokio::test]
async fn a_full_disk_is_cleared_before_the_delay_has_passed() {
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    // With everything as headroom the disk is always too full.
    let options = [
        ("--gc-delay-ms", LONG_MS),
        ("--gc-disk-headroom", "1"),
        ("--disk-watch-interval-ms", "50"),
    ];
    let agent = Agent::start(&master.address, Some(work_dir.path()), &options);
    let mut link = master.accept().await;
    link.run(
        &framework(true),
        vec![shell("gone", "true"), shell("stays", "exec sleep 60")],
    );
    link.finish(&["gone"]).await;
    until("one sandbox is left", || {
        sandboxes(work_dir.path()).len() == 1
    })
    .await;
    assert!(metric(&agent, "slave/executor_directory_max_allowed_age_secs").await < 0.1);
    metric_reaches(&agent, "gc/path_removals_succeeded", 1.0).await;
}

#[tokio::test]
async fn after_a_restart_sandboxes_are_collected_by_their_last_use() {
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let options = [
        ("--gc-delay-ms", LONG_MS),
        ("--gc-disk-headroom", "0"),
        ("--disk-watch-interval-ms", "50"),
    ];
    let mut agent = Agent::start(&master.address, Some(work_dir.path()), &options);
    let mut link = master.accept().await;
    let tasks = ["old", "wrote", "runs"];
    link.run(
        &framework(true),
        vec![
            shell("old", "true"),
            shell("wrote", "true"),
            shell("runs", "exec sleep 60"),
        ],
    );
    link.finish(&tasks[..2]).await;
    let mut executors = [Vec::new(), Vec::new()];
    // Their updates must have been acknowledged, or they are still used.
    while executors[0].len() < 2 {
        let state = agent.json("/state").await;
        executors = ["completed_executors", "executors"]
            .map(|kind| state["frameworks"][0][kind].as_array().unwrap().clone());
    }
    agent.crash();
    let sandbox = |task: &str| {
        let all = executors.iter().flatten();
        let mut ours = all.filter(|executor| executor["id"] == task);
        let container = ours.next().unwrap()["container"].as_str().unwrap();
        let mut found = sandboxes(work_dir.path()).into_iter();
        found.find(|path| path.ends_with(container)).unwrap()
    };
    let [old, wrote, runs] = tasks.map(sandbox);
    make_old(&old);
    make_old(&wrote);
    make_old(&runs);
    fs::write(wrote.join("stdout"), "still here a moment ago").unwrap();
    let _agent = Agent::start(&master.address, Some(work_dir.path()), &options);
    until("the oldest is gone", || !old.exists()).await;
    assert!(wrote.exists(), "it was written to a moment ago");
    assert!(runs.exists(), "its task runs");
}

#[tokio::test]
async fn tasks_go_on_while_many_sandboxes_are_collected() {
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let leftovers = work_dir.path().join("sandboxes").join("earlier");
    for index in 0..300 {
        let sandbox = leftovers.join(index.to_string());
        fs::create_dir_all(sandbox.join("deep/er")).unwrap();
        fs::write(sandbox.join("stdout"), "x").unwrap();
    }
    // What an agent finds at its start was made before it.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let options = [("--gc-delay-ms", "1"), ("--disk-watch-interval-ms", "50")];
    let agent = Agent::start(&master.address, Some(work_dir.path()), &options);
    let mut link = master.accept().await;
    let ids: Vec<String> = (0..20).map(|index| format!("t{index}")).collect();
    let tasks = ids.iter().map(|id| shell(id, "true")).collect();
    link.run(&framework(true), tasks);
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let seen = link.finish(&ids).await;
    for statuses in seen.values() {
        assert_eq!(
            statuses.last().unwrap().state().as_str_name(),
            "TASK_FINISHED"
        );
    }
    until("nothing is left", || {
        sandboxes(work_dir.path()).is_empty() && !leftovers.exists()
    })
    .await;
    metric_reaches(&agent, "gc/path_removals_succeeded", 320.0).await;
    assert!(metric(&agent, "gc/path_removals_failed").await < 0.1);
}
