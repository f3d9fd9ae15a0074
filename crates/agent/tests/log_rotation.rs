//! The rotation of tasks' output, as its readers see it.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::time::Duration;

use mezz_proto::v1::environment::Variable;
use mezz_proto::v1::{Environment, TaskInfo, TaskState};
use support::{Agent, FakeMaster, framework, shell};

/// Writes numbered lines in bursts: some 30 KB each.
const BURSTS: &str = "i=0; while [ $i -lt 24000 ]; do echo line-$i; i=$((i+1)); \
                      if [ $((i % 3000)) = 0 ]; then sleep 0.3; fi; done";

fn bursts() -> String {
    let lines: Vec<String> = (0..24_000).map(|index| format!("line-{index}\n")).collect();
    lines.concat()
}

fn limited(id: &str, command: &str, variables: &[(&str, &str)]) -> TaskInfo {
    let mut task = shell(id, command);
    let variables = variables
        .iter()
        .map(|(name, value)| Variable {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
            ..Variable::default()
        })
        .collect();
    task.command.as_mut().unwrap().environment = Some(Environment { variables });
    task
}

/// The output in records, and whether their offsets go on without a gap or a repetition.
fn output(body: &str, from: u64) -> String {
    let mut text = String::new();
    let mut offset = from;
    for line in body.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let Some(data) = record["data"].as_str() else {
            continue;
        };
        assert_eq!(record["offset"].as_u64(), Some(offset));
        offset += data.len() as u64;
        text.push_str(data);
    }
    text
}

async fn sandbox_entries(agent: &Agent, task: &str) -> Vec<(String, u64)> {
    let path = format!("/files/browse?path=/frameworks/fw-0000/executors/{task}/runs/latest");
    let entries = agent.json(&path).await;
    let entry = |entry: &serde_json::Value| {
        let name = entry["path"].as_str().unwrap().rsplit('/').next().unwrap();
        (name.to_owned(), entry["size"].as_u64().unwrap())
    };
    entries.as_array().unwrap().iter().map(entry).collect()
}

async fn until_rotated(agent: &Agent, task: &str) {
    for _ in 0..2000 {
        let entries = sandbox_entries(agent, task).await;
        if entries.iter().any(|(name, _)| name == "stdout.1") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the output is never rotated");
}

#[tokio::test]
async fn a_follower_gets_every_line_once_while_the_output_is_rotated() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    let variables = [
        ("CONTAINER_LOGGER_MAX_STDOUT_SIZE", "16KB"),
        ("CONTAINER_LOGGER_LOGROTATE_STDOUT_OPTIONS", "rotate 1"),
    ];
    link.run(&framework(true), vec![limited("talks", BURSTS, &variables)]);
    let path = "/v1/tasks/fw-0000/talks/logs?follow=true&stream=stdout";
    let (followed, seen) = tokio::join!(agent.get(path), link.finish(&["talks"]));
    assert_eq!(
        seen["talks"].last().unwrap().state(),
        TaskState::TaskFinished
    );
    let expected = bursts();
    assert!(output(&followed.1, 0) == expected, "lines are missing");
    let entries = sandbox_entries(&agent, "talks").await;
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["stderr", "stdout", "stdout.1"]);
    let size = entries[1].1;
    assert!(size < expected.len() as u64 / 2, "{size}");
    // What is left is read from its beginning, as Mesos's clients do it.
    let read = "/files/read?path=/frameworks/fw-0000/executors/talks/runs/latest/stdout&offset=0";
    let piece = agent.json(read).await;
    assert!(expected.contains(piece["data"].as_str().unwrap()));
    let end = format!("{}-1", read.trim_end_matches('0'));
    assert_eq!(agent.json(&end).await["offset"], size);
}

#[tokio::test]
async fn limits_of_the_agent_hold_for_all_tasks_and_go_on_after_its_restart() {
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let options = [("--max-log-bytes", "16384"), ("--max-log-files", "2")];
    let start = |address: &str, work_dir: &Path| Agent::start(address, Some(work_dir), &options);
    let mut agent = start(&master.address, work_dir.path());
    let mut link = master.accept().await;
    // It writes again when the sandbox says so.
    let command = format!("{BURSTS}; while [ ! -e again ]; do sleep 0.05; done; {BURSTS}");
    link.run(&framework(true), vec![shell("talks", &command)]);
    link.until("talks", TaskState::TaskRunning).await;
    until_rotated(&agent, "talks").await;
    let state = agent.json("/state").await;
    let executor = &state["frameworks"][0]["executors"][0];
    let virtual_path = executor["directory"].as_str().unwrap().to_owned();
    agent.crash();
    let agent = start(&master.address, work_dir.path());
    let mut link = master.accept().await;
    until_rotated(&agent, "talks").await;
    let container = virtual_path.rsplit('/').next().unwrap();
    let sandbox = work_dir.path().join("sandboxes/fw-0000").join(container);
    let path = "/v1/tasks/fw-0000/talks/logs?follow=true&stream=stdout&tail=0";
    let follow = agent.get(path);
    let go_on = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        std::fs::write(sandbox.join("again"), "").unwrap();
        link.finish(&["talks"]).await
    };
    let (followed, _) = tokio::join!(follow, go_on);
    let first: serde_json::Value =
        serde_json::from_str(followed.1.lines().next().unwrap()).unwrap();
    let text = output(&followed.1, first["offset"].as_u64().unwrap());
    let expected = bursts();
    assert!(text.ends_with(&expected), "lines are missing");
    let kept = sandbox_entries(&agent, "talks").await;
    let total: u64 = kept.iter().map(|(_, size)| size).sum();
    assert!(total < expected.len() as u64 * 2, "{kept:?}");
}

#[tokio::test]
async fn a_limit_that_is_no_size_fails_the_task_by_its_name() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    let variables = [("CONTAINER_LOGGER_MAX_STDERR_SIZE", "much")];
    link.run(&framework(true), vec![limited("bad", "true", &variables)]);
    let seen = link.finish(&["bad"]).await;
    let last = seen["bad"].last().unwrap();
    assert_eq!(last.state(), TaskState::TaskFailed);
    assert!(
        last.message()
            .contains("CONTAINER_LOGGER_MAX_STDERR_SIZE: 'much' is not a size"),
        "{}",
        last.message()
    );
    drop(agent);
}
