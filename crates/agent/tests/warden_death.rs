//! What becomes of tasks when the warden itself dies, with the agent or without it.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::time::Duration;

use mezz_proto::v1::TaskState;
use rustix::process::{Pid, Signal, kill_process};
use support::{Agent, FakeMaster, framework, shell};

/// Whether the kernel tells exits of others' children through a pidfd.
fn tells_exits() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut parts = release
        .split(['.', '-'])
        .map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (6_u32, 15_u32)
}

fn kill_warden(agent: &Agent) -> i32 {
    let warden = agent.warden();
    kill_process(Pid::from_raw(warden).unwrap(), Signal::KILL).unwrap();
    warden
}

/// A task that ends with `code` when the sandbox is told so; it is told through a file beside the work directory.
fn waiting(id: &str, folder: &Path, code: u8) -> mezz_proto::v1::TaskInfo {
    let go = folder.join(id);
    let command = format!(
        "while [ ! -e {} ]; do sleep 0.02; done; exit {code}",
        go.display()
    );
    shell(id, &command)
}

#[tokio::test]
async fn tasks_go_on_after_the_death_of_the_warden_and_their_ends_are_known() {
    if !tells_exits() {
        return;
    }
    for durable in [true, false] {
        let mut master = FakeMaster::start().await;
        let folder = tempfile::tempdir().unwrap();
        let work_dir = folder.path().join("work");
        let agent = Agent::start(&master.address, durable.then_some(&*work_dir), &[]);
        let mut link = master.accept().await;
        link.run(
            &framework(true),
            vec![
                waiting("good", folder.path(), 0),
                waiting("bad", folder.path(), 3),
                shell("killed", "exec sleep 4747"),
            ],
        );
        for task in ["good", "bad", "killed"] {
            link.until(task, TaskState::TaskRunning).await;
        }
        let first = kill_warden(&agent);
        // The second one is asked to start something, so it is there.
        link.run(&framework(true), vec![shell("next", "true")]);
        link.finish(&["next"]).await;
        assert_ne!(agent.warden(), first);
        for task in ["good", "bad"] {
            std::fs::write(folder.path().join(task), "").unwrap();
        }
        link.kill("killed");
        let seen = link.finish(&["good", "bad", "killed"]).await;
        let last = |task: &str| seen[task].last().unwrap().clone();
        assert_eq!(last("good").state(), TaskState::TaskFinished);
        assert_eq!(last("bad").state(), TaskState::TaskFailed);
        assert_eq!(last("bad").message(), "Command exited with status 3");
        assert_eq!(last("killed").state(), TaskState::TaskKilled);
        assert!(!is_running("sleep 4747"), "durable: {durable}");
    }
}

#[tokio::test]
async fn tasks_go_on_after_the_death_of_the_warden_and_of_the_agent() {
    if !tells_exits() {
        return;
    }
    let mut master = FakeMaster::start().await;
    let folder = tempfile::tempdir().unwrap();
    let work_dir = folder.path().join("work");
    let mut agent = Agent::start(&master.address, Some(&work_dir), &[]);
    let mut link = master.accept().await;
    link.run(&framework(true), vec![waiting("kept", folder.path(), 7)]);
    link.until("kept", TaskState::TaskRunning).await;
    let warden = agent.warden();
    agent.crash();
    kill_process(Pid::from_raw(warden).unwrap(), Signal::KILL).unwrap();
    let agent = Agent::start(&master.address, Some(&work_dir), &[]);
    let mut link = master.accept().await;
    assert_ne!(agent.warden(), warden);
    std::fs::write(folder.path().join("kept"), "").unwrap();
    let seen = link.finish(&["kept"]).await;
    let last = seen["kept"].last().unwrap();
    assert_eq!(last.message(), "Command exited with status 7");
}

#[tokio::test]
async fn tasks_that_are_not_to_outlive_the_agent_do_not_even_if_the_warden_died_with_it() {
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&master.address, Some(work_dir.path()), &[]);
    let mut link = master.accept().await;
    link.run(
        &framework(false),
        vec![shell("fleeting", "exec sleep 4848")],
    );
    link.until("fleeting", TaskState::TaskRunning).await;
    let warden = agent.warden();
    // The warden first, so that it cannot notice that the agent has gone.
    kill_process(Pid::from_raw(warden).unwrap(), Signal::KILL).unwrap();
    agent.crash();
    let _agent = Agent::start(&master.address, Some(work_dir.path()), &[]);
    let _link = master.accept().await;
    for _ in 0..500 {
        if !is_running("sleep 4848") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the task goes on");
}

#[tokio::test]
async fn a_task_whose_end_nobody_saw_fails_with_that_reason() {
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&master.address, Some(work_dir.path()), &[]);
    let mut link = master.accept().await;
    link.run(&framework(true), vec![shell("unseen", "exec sleep 4949")]);
    link.until("unseen", TaskState::TaskRunning).await;
    let executor = agent.json("/containers").await[0].clone();
    let pid = executor["status"]["executor_pid"].as_i64().unwrap();
    let warden = agent.warden();
    agent.crash();
    kill_process(Pid::from_raw(warden).unwrap(), Signal::KILL).unwrap();
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    // As long as nobody has reaped it, the next warden sees how it ended.
    while rustix::process::test_kill_process(pid).is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _agent = Agent::start(&master.address, Some(work_dir.path()), &[]);
    let mut link = master.accept().await;
    let seen = link.finish(&["unseen"]).await;
    let last = seen["unseen"].last().unwrap();
    assert_eq!(last.state(), TaskState::TaskFailed);
    assert!(
        last.message().contains("unknown container"),
        "{}",
        last.message()
    );
}

fn is_running(command: &str) -> bool {
    let found = std::process::Command::new("pgrep")
        .args(["-f", &format!("^{command}")])
        .output()
        .unwrap();
    !found.stdout.is_empty()
}
