//! Tasks that are virtual machines, under a master of words: qemu with a kernel of a few lines.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use mezz_proto::v1::{self, CommandInfo, TaskInfo, TaskState, TaskStatus, command_info};
use support::{Agent, FakeMaster, Link, framework, shell, states};

/// Whatever the machines need, in a folder that goes with the test.
struct Lab {
    folder: tempfile::TempDir,
    master: FakeMaster,
}

impl Lab {
    /// `None`, and the reason told, without qemu or a compiler.
    async fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let build = Command::new("sh")
            .arg(own.join("../vm/tests/real/build-kernel.sh"))
            .arg(folder.path().join("kernel"))
            .status()
            .unwrap();
        let qemu = Path::new("/usr/bin/qemu-system-x86_64").exists();
        if !build.success() || !qemu {
            eprintln!("skipped: qemu or a C compiler is not here");
            return None;
        }
        let master = FakeMaster::start().await;
        Some(Self { folder, master })
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    async fn agent(&mut self) -> (Agent, Link) {
        let agent = Agent::start(&self.master.address, Some(&self.work()), &[]);
        (agent, self.master.accept().await)
    }

    /// A machine whose kernel is told these words.
    fn task(&self, id: &str, words: &str) -> TaskInfo {
        let mut arguments = vec!["kernel".to_owned()];
        arguments.extend(words.split(' ').map(str::to_owned));
        let mut task = TaskInfo {
            command: Some(CommandInfo {
                shell: Some(false),
                value: Some("kernel".to_owned()),
                arguments,
                uris: vec![command_info::Uri {
                    value: self.folder.path().join("kernel").display().to_string(),
                    ..command_info::Uri::default()
                }],
                ..CommandInfo::default()
            }),
            ..shell(id, "")
        };
        task.resources[1].scalar.as_mut().unwrap().value = 128.0;
        label(&mut task, "mezzanine.runtime", "vm");
        task
    }

    fn folders(&self) -> usize {
        std::fs::read_dir(self.work().join("vm")).map_or(0, Iterator::count)
    }

    async fn until_clean(&self) {
        for _ in 0..500 {
            if self.folders() == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("folders of machines are left");
    }
}

fn label(task: &mut TaskInfo, key: &str, value: &str) {
    let labels = task.labels.get_or_insert_default();
    labels.labels.push(v1::Label {
        key: key.to_owned(),
        value: Some(value.to_owned()),
    });
}

async fn ended(link: &mut Link, task: TaskInfo) -> Vec<TaskStatus> {
    let id = task.task_id.value.clone();
    link.run(&framework(true), vec![task]);
    link.finish(&[&id]).await.remove(&id).unwrap()
}

async fn output(agent: &Agent, task: &str) -> String {
    let path = format!("/v1/tasks/{}/{task}/logs?follow=true", support::FRAMEWORK);
    agent.get(&path).await.1
}

/// Runs a task and hands its statuses on until it is up.
async fn until_running(link: &mut Link, task: TaskInfo) {
    link.run(&framework(true), vec![task]);
    loop {
        let status = link.update().await;
        link.acknowledge(&status);
        if status.state() == TaskState::TaskRunning {
            return;
        }
    }
}

async fn until_written(agent: &Agent, task: &str, text: &str) {
    let path = format!("/v1/tasks/{}/{task}/logs", support::FRAMEWORK);
    for _ in 0..1000 {
        if agent.get(&path).await.1.contains(text) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{task} never wrote {text}");
}

#[tokio::test]
async fn a_kernel_is_a_task_with_its_console_as_output_and_an_exit_code() {
    let Some(mut lab) = Lab::new().await else {
        return;
    };
    let (agent, mut link) = lab.agent().await;
    let seen = ended(&mut link, lab.task("seven", "exit=7 said")).await;
    assert_eq!(
        states(&seen),
        ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]
    );
    assert_eq!(
        seen.last().unwrap().message(),
        "Command exited with status 7"
    );
    let text = output(&agent, "seven").await;
    assert!(text.contains("told: exit=7 said"), "{text}");
    let seen = ended(&mut link, lab.task("off", "off")).await;
    assert_eq!(seen.last().unwrap().state(), TaskState::TaskFinished);
    lab.until_clean().await;
}

#[tokio::test]
async fn a_machine_is_killed_by_its_power_button_and_its_ports_lead_into_it() {
    let Some(mut lab) = Lab::new().await else {
        return;
    };
    let (agent, mut link) = lab.agent().await;
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut task = lab.task("button", "button");
    let range = v1::value::Range {
        begin: u64::from(port),
        end: u64::from(port),
    };
    task.resources.push(v1::Resource {
        name: "ports".to_owned(),
        r#type: v1::value::Type::Ranges.into(),
        scalar: None,
        ranges: Some(v1::value::Ranges { range: vec![range] }),
        ..task.resources[0].clone()
    });
    until_running(&mut link, task).await;
    until_written(&agent, "button", "told: button").await;
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    link.kill("button");
    let seen = link.finish(&["button"]).await.remove("button").unwrap();
    assert_eq!(seen.last().unwrap().state(), TaskState::TaskKilled);
    let text = output(&agent, "button").await;
    assert!(text.contains("pressed"), "{text}");
    lab.until_clean().await;
}

#[tokio::test]
async fn a_machine_outlives_its_agent_and_ends_under_the_next_one() {
    let Some(mut lab) = Lab::new().await else {
        return;
    };
    let (mut agent, mut link) = lab.agent().await;
    until_running(&mut link, lab.task("button", "button")).await;
    until_written(&agent, "button", "told: button").await;
    agent.crash();
    drop(link);
    let (agent, mut link) = lab.agent().await;
    assert_eq!(lab.folders(), 1, "it lives");
    link.kill("button");
    let seen = link.finish(&["button"]).await.remove("button").unwrap();
    assert_eq!(seen.last().unwrap().state(), TaskState::TaskKilled);
    lab.until_clean().await;
    drop(agent);
}

#[tokio::test]
async fn what_cannot_be_a_machine_says_why() {
    let Some(mut lab) = Lab::new().await else {
        return;
    };
    let (_agent, mut link) = lab.agent().await;
    std::os::unix::fs::symlink("/etc/passwd", lab.folder.path().join("outside")).unwrap();
    let changed = |id: &str, change: &dyn Fn(&mut TaskInfo)| {
        let mut task = lab.task(id, "off");
        change(&mut task);
        task
    };
    let cases: [(TaskInfo, &str); 6] = [
        (
            changed("shell", &|task| {
                task.command.as_mut().unwrap().shell = Some(true);
            }),
            "a virtual machine has no shell",
        ),
        (
            changed("small", &|task| {
                task.resources[1].scalar.as_mut().unwrap().value = 32.0;
            }),
            "needs at least 80 MiB",
        ),
        (
            changed("absent", &|task| {
                task.command.as_mut().unwrap().value = Some("other".to_owned());
            }),
            "command.value 'other' is no regular file within the sandbox",
        ),
        (
            changed("outside", &|task| {
                task.command.as_mut().unwrap().value = Some("../../../etc/passwd".to_owned());
            }),
            "is no regular file within the sandbox",
        ),
        (
            changed("label", &|task| label(task, "mezzanine.vm.disk", "x")),
            "there is no label mezzanine.vm.disk",
        ),
        (
            changed("monitor", &|task| {
                label(task, "mezzanine.vm.monitor", "cloud-hypervisor");
            }),
            "cloud-hypervisor",
        ),
    ];
    for (task, why) in cases {
        let id = task.task_id.value.clone();
        let seen = ended(&mut link, task).await;
        let last = seen.last().unwrap();
        assert_eq!(last.state(), TaskState::TaskFailed, "{id}");
        assert!(last.message().contains(why), "{id}: {}", last.message());
    }
    lab.until_clean().await;
}
