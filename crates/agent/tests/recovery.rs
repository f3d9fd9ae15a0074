//! The agent dies and comes back on the same work directory.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1::TaskState;
use support::{Agent, FakeMaster, framework, shell, states};

/// The tasks that a registration carries.
fn reported(registration: &mezz_proto::agent_protocol::Reregister) -> Vec<mezz_proto::v1::Task> {
    let tasks = registration.tasks.iter();
    tasks
        .map(|task| prost::Message::decode(&**task).unwrap())
        .collect()
}

#[tokio::test]
async fn tasks_outlive_a_crash_and_their_ends_are_reported() {
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&master.address, Some(work_dir.path()), &[]);
    let mut link = master.accept().await;
    let gate = work_dir.path().join("gate");
    let waits = format!("while [ ! -e {} ]; do sleep 0.02; done", gate.display());
    link.run(
        &framework(true),
        vec![shell("long", &waits), shell("short", "sleep 0.3; exit 7")],
    );
    for _ in 0..4 {
        let status = link.update().await;
        link.acknowledge(&status);
    }
    agent.crash();
    drop(link);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let again = Agent::start(&master.address, Some(work_dir.path()), &[]);
    let mut link = master.accept().await;
    let Body::Reregister(registration) = &link.registration else {
        panic!("{:?}", link.registration)
    };
    assert_eq!(
        registration.agent.id.as_ref().unwrap().value,
        support::AGENT
    );
    assert!(
        reported(registration)
            .iter()
            .any(|task| task.task_id.value == "long" && task.state() == TaskState::TaskRunning)
    );
    std::fs::write(gate, "").unwrap();
    let seen = link.finish(&["long", "short"]).await;
    assert_eq!(
        seen["long"].last().unwrap().state(),
        TaskState::TaskFinished
    );
    assert_eq!(
        seen["short"].last().unwrap().message(),
        "Command exited with status 7"
    );
    drop(again);
}

#[tokio::test]
async fn an_unacknowledged_update_is_sent_again_after_a_crash() {
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&master.address, Some(work_dir.path()), &[]);
    let mut link = master.accept().await;
    link.run(&framework(true), vec![shell("once", "true")]);
    let first = link.update().await;
    agent.crash();
    drop(link);
    let _again = Agent::start(&master.address, Some(work_dir.path()), &[]);
    let mut link = master.accept().await;
    let seen = link.finish(&["once"]).await;
    assert_eq!(seen["once"][0].uuid, first.uuid);
    // Whether it was seen running depends on when the crash came.
    let states = states(&seen["once"]);
    assert_eq!(
        (states[0], *states.last().unwrap()),
        ("TASK_STARTING", "TASK_FINISHED")
    );
}

#[tokio::test]
async fn tasks_of_frameworks_that_do_not_checkpoint_end_with_the_agent() {
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&master.address, Some(work_dir.path()), &[]);
    let mut link = master.accept().await;
    link.run(
        &framework(false),
        vec![shell("fleeting", "exec sleep 4343")],
    );
    link.until("fleeting", TaskState::TaskRunning).await;
    agent.crash();
    let mut gone = false;
    for _ in 0..200 {
        let left = std::process::Command::new("pgrep")
            .args(["-f", "sleep 4343"])
            .output()
            .unwrap();
        gone = left.stdout.is_empty();
        if gone {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(gone, "the task goes on");
}

#[tokio::test]
async fn tasks_end_properly_whichever_step_of_a_launch_the_agent_dies_at() {
    for point in LAUNCH_POINTS {
        eprintln!("-- {point}");
        let mut master = FakeMaster::start().await;
        let work_dir = tempfile::tempdir().unwrap();
        // Only so often is each passed for certain, however much one turn takes in.
        let visits: &[&str] = match *point {
            "agent.before_warden" | "agent.after_warden" => &["1", "2"],
            "agent.before_sandbox" | "agent.before_acknowledge_exit" => &["1", "2", "3"],
            _ => &["2", "3", "4"],
        };
        for visit in visits {
            crash_once(&mut master, work_dir.path(), point, visit).await;
        }
    }
}

/// The points that every launch passes.
const LAUNCH_POINTS: &[&str] = &[
    "agent.before_sandbox",
    "agent.before_journal",
    "agent.after_journal",
    "agent.before_warden",
    "agent.after_warden",
    "agent.before_acknowledge_exit",
    "agent.before_send",
    "agent.after_send",
];

/// Runs tasks until the agent dies at the point, starts it again, and wants every task to end properly.
async fn crash_once(master: &mut FakeMaster, work_dir: &std::path::Path, point: &str, visit: &str) {
    let where_to_die = format!("{point}:{visit}");
    let ids: Vec<String> = (0..3)
        .map(|index| format!("t-{point}-{visit}-{index}"))
        .collect();
    let mut agent = Agent::start(
        &master.address,
        Some(work_dir),
        &[("$MEZZ_CRASH_POINT", &where_to_die)],
    );
    let mut open: std::collections::BTreeSet<String> = ids.iter().cloned().collect();
    if !agent.url.is_empty() {
        let mut link = tokio::select! {
            link = master.accept() => Some(link),
            _ = agent.wait() => None,
        };
        if let Some(link) = &mut link {
            for id in &ids {
                link.run(&framework(true), vec![shell(id, "exit 0")]);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            drain(link, &mut open).await;
        }
    }
    let status = agent.wait().await;
    assert!(!status.success(), "{point}:{visit} was never reached");
    let _again = Agent::start(&master.address, Some(work_dir), &[]);
    let mut link = master.accept().await;
    let known: Vec<String> = match &link.registration {
        Body::Reregister(registration) => reported(registration)
            .iter()
            .map(|task| task.task_id.value.clone())
            .collect(),
        _ => Vec::new(),
    };
    // What the agent never took note of is for the master to report; it is launched again here under the same token.
    let missing: Vec<_> = open
        .iter()
        .filter(|id| !known.contains(id))
        .map(|id| shell(id, "exit 0"))
        .collect();
    link.run(&framework(true), missing);
    let ids: Vec<&str> = open.iter().map(String::as_str).collect();
    let seen = link.finish(&ids).await;
    for id in ids {
        let last = seen[id].last().unwrap();
        assert!(
            matches!(
                last.state(),
                TaskState::TaskFinished | TaskState::TaskFailed | TaskState::TaskLost
            ),
            "{point}:{visit} {last:?}"
        );
    }
}

/// Acknowledges what comes until the session breaks; terminal tasks leave `open`.
async fn drain(link: &mut support::Link, open: &mut std::collections::BTreeSet<String>) {
    while let Ok(Ok(Some((_, body)))) =
        tokio::time::timeout(Duration::from_secs(2), link.receiver.next()).await
    {
        let Body::StatusUpdate(update) = body else {
            continue;
        };
        if let Some(uuid) = update.status.uuid.clone() {
            let terminal = support::is_terminal(update.status.state());
            let id = update.status.task_id.value.clone();
            let acknowledgement = mezz_proto::agent_protocol::AcknowledgeUpdate {
                framework_id: mezz_proto::v1::FrameworkId {
                    value: support::FRAMEWORK.into(),
                },
                task_id: update.status.task_id.clone(),
                uuid,
            };
            if link
                .sender
                .send(link.channel, Body::AcknowledgeUpdate(acknowledgement))
                .is_ok()
                && terminal
            {
                open.remove(&id);
            }
        }
    }
}
