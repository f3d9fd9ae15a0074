//! Command tasks on a real agent with a real warden, under a master of words.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_proto::v1::TaskState;
use support::{Agent, FakeMaster, framework, shell, states};

#[tokio::test]
async fn a_command_task_starts_runs_and_finishes() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    link.run(
        &framework(true),
        vec![shell("hello", "echo out; echo err >&2")],
    );
    let seen = link.finish(&["hello"]).await;
    assert_eq!(
        states(&seen["hello"]),
        ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]
    );
    let (status, body) = agent.get("/v1/tasks/fw-0000/hello/logs?follow=true").await;
    assert_eq!(status, 200);
    assert!(
        body.contains(r#""data":"out\n","offset":0,"stream":"stdout""#),
        "{body}"
    );
    assert!(
        body.contains(r#""data":"err\n","offset":0,"stream":"stderr""#),
        "{body}"
    );
    assert!(
        body.lines().last().unwrap().contains("TASK_FINISHED"),
        "{body}"
    );
}

#[tokio::test]
async fn a_failing_task_says_how_it_ended() {
    let mut master = FakeMaster::start().await;
    let _agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    link.run(
        &framework(true),
        vec![shell("three", "exit 3"), shell("signal", "kill -9 $$")],
    );
    let seen = link.finish(&["three", "signal"]).await;
    let last = seen["three"].last().unwrap();
    assert_eq!(
        (last.state(), last.message()),
        (TaskState::TaskFailed, "Command exited with status 3")
    );
    let last = seen["signal"].last().unwrap();
    assert_eq!(
        (last.state(), last.message()),
        (
            TaskState::TaskFailed,
            "Command terminated with signal Killed"
        )
    );
}

#[tokio::test]
async fn an_unknown_user_fails_the_task_and_not_the_agent() {
    let mut master = FakeMaster::start().await;
    let _agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    let mut task = shell("nobody-knows", "true");
    task.command.as_mut().unwrap().user = Some("no-such-user".into());
    link.run(&framework(true), vec![task, shell("fine", "true")]);
    let seen = link.finish(&["nobody-knows", "fine"]).await;
    let last = seen["nobody-knows"].last().unwrap();
    assert_eq!(last.state(), TaskState::TaskFailed);
    assert!(
        last.message().contains("\"no-such-user\" does not exist"),
        "{}",
        last.message()
    );
    assert_eq!(
        seen["fine"].last().unwrap().state(),
        TaskState::TaskFinished
    );
}

#[tokio::test]
async fn a_killed_task_takes_its_whole_tree_with_it() {
    let mut master = FakeMaster::start().await;
    let _agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    link.run(
        &framework(true),
        vec![shell("tree", "setsid sleep 4242 & sleep 4242")],
    );
    link.until("tree", TaskState::TaskRunning).await;
    link.kill("tree");
    let seen = link.finish(&["tree"]).await;
    assert_eq!(seen["tree"].last().unwrap().state(), TaskState::TaskKilled);
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let left = std::process::Command::new("pgrep")
        .args(["-f", "sleep 4242"])
        .output()
        .unwrap();
    assert!(
        left.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&left.stdout)
    );
}
