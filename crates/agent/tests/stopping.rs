//! How an agent stops, and what becomes of its tasks and its folders.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1::TaskState;
use rustix::process::Signal;
use support::{Agent, FakeMaster, framework, shell};

fn is_running(command: &str) -> bool {
    !std::process::Command::new("pgrep")
        .args(["-f", command])
        .output()
        .unwrap()
        .stdout
        .is_empty()
}

#[tokio::test]
async fn a_terminated_agent_leaves_checkpointed_tasks_running() {
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&master.address, Some(work_dir.path()), &[]);
    let mut link = master.accept().await;
    link.run(&framework(true), vec![shell("stays", "exec sleep 4444")]);
    link.until("stays", TaskState::TaskRunning).await;
    agent.signal(Signal::TERM);
    assert!(agent.wait().await.success());
    assert!(is_running("sleep 4444"));
    let _again = Agent::start(&master.address, Some(work_dir.path()), &[]);
    let mut link = master.accept().await;
    link.kill("stays");
    let seen = link.finish(&["stays"]).await;
    assert_eq!(seen["stays"].last().unwrap().state(), TaskState::TaskKilled);
}

#[tokio::test]
async fn a_drained_agent_ends_its_tasks_and_says_goodbye() {
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&master.address, Some(work_dir.path()), &[]);
    let mut link = master.accept().await;
    link.run(&framework(true), vec![shell("ends", "exec sleep 4545")]);
    link.until("ends", TaskState::TaskRunning).await;
    agent.signal(Signal::USR1);
    let mut goodbye = false;
    while let Ok(Some((_, body))) = link.receiver.next().await {
        if let Body::StatusUpdate(update) = &body {
            link.acknowledge(&update.status);
        }
        goodbye |= matches!(body, Body::Unregister(_));
    }
    assert!(goodbye);
    assert!(agent.wait().await.success());
    assert!(!is_running("sleep 4545"));
}

#[tokio::test]
async fn without_a_work_directory_nothing_is_left() {
    let mut master = FakeMaster::start().await;
    let mut agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    link.run(&framework(true), vec![shell("ends", "exec sleep 4646")]);
    link.until("ends", TaskState::TaskRunning).await;
    let work_dir = agent.json("/flags").await["flags"]["work_dir"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(std::path::Path::new(&work_dir).exists());
    agent.signal(Signal::TERM);
    assert!(agent.wait().await.success());
    assert!(!is_running("sleep 4646"));
    assert!(!std::path::Path::new(&work_dir).exists());
}
