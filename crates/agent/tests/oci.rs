//! Tasks in images that a real runc runs, under a master of words.
#![allow(clippy::unwrap_used)]

#[path = "support/images.rs"]
#[allow(dead_code, reason = "shared with the tests of images")]
mod images;
mod support;

use std::path::{Path, PathBuf};

use images::{busybox, save};
use mezz_proto::v1::{
    self, ContainerInfo, Image, TaskInfo, TaskState, TaskStatus, container_info, image,
};
use serde_json::json;
use support::{Agent, FakeMaster, Link, framework, shell, states};

const RUNC: &str = "/usr/sbin/runc";

struct Lab {
    folder: tempfile::TempDir,
    master: FakeMaster,
}

impl Lab {
    /// `None`, and the reason told, without root, runc or busybox.
    async fn new() -> Option<Self> {
        let root = rustix::process::geteuid().is_root();
        let there = [RUNC, "/bin/busybox"].map(Path::new);
        if !root || there.iter().any(|path| !path.exists()) {
            eprintln!("skipped: this needs root, runc and busybox");
            return None;
        }
        let lab = Self {
            folder: tempfile::tempdir().unwrap(),
            master: FakeMaster::start().await,
        };
        let config = json!({"Env": ["GREETING=of the image"]});
        save(&lab.archives(), "box:latest", &config, vec![busybox()]);
        Some(lab)
    }

    fn archives(&self) -> PathBuf {
        self.folder.path().join("archives")
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    async fn agent(&mut self) -> (Agent, Link) {
        let archives = self.archives().display().to_string();
        let runtimes = format!("runc={RUNC}");
        let flags = [
            ("--docker-registry", archives.as_str()),
            ("--oci-runtimes", runtimes.as_str()),
        ];
        let agent = Agent::start(&self.master.address, Some(&self.work()), &flags);
        (agent, self.master.accept().await)
    }

    /// What is left of containers: bundles, what runc knows, roots.
    fn left(&self) -> usize {
        let count =
            |path: &str| std::fs::read_dir(self.work().join(path)).map_or(0, Iterator::count);
        count("oci/runc/bundles") + count("oci/runc/state") + count("images/containers")
    }

    async fn until_clean(&self) {
        for _ in 0..500 {
            if self.left() == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("{} things are left", self.left());
    }
}

fn task(id: &str, command: &str) -> TaskInfo {
    let mut task = shell(id, command);
    let image = Image {
        r#type: image::Type::Docker.into(),
        docker: Some(image::Docker {
            name: "box".to_owned(),
            ..image::Docker::default()
        }),
        ..Image::default()
    };
    task.container = Some(Box::new(ContainerInfo {
        r#type: container_info::Type::Mesos.into(),
        mesos: Some(container_info::MesosInfo { image: Some(image) }),
        ..ContainerInfo::default()
    }));
    label(&mut task, "mezzanine.runtime", "runc");
    task
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

#[tokio::test]
async fn a_task_runs_in_its_image_by_runc_and_ends_with_its_exit_code() {
    let Some(mut lab) = Lab::new().await else {
        return;
    };
    let (agent, mut link) = lab.agent().await;
    let command = "echo first is $$, $GREETING, in $(pwd); grep CapBnd /proc/self/status; exit 3";
    let seen = ended(&mut link, task("three", command)).await;
    let last = seen.last().unwrap();
    assert_eq!(last.message(), "Command exited with status 3");
    assert_eq!(
        states(&seen),
        ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]
    );
    let text = output(&agent, "three").await;
    assert!(
        text.contains("first is 1, of the image, in /mnt/mesos/sandbox"),
        "{text}"
    );
    assert!(text.contains("00000000a80425fb"), "{text}");
    lab.until_clean().await;
}

#[tokio::test]
async fn a_container_that_runc_cannot_start_fails_with_its_reason() {
    let Some(mut lab) = Lab::new().await else {
        return;
    };
    let (_agent, mut link) = lab.agent().await;
    let mut absent = task("absent", "no-such-program");
    absent.command.as_mut().unwrap().shell = Some(false);
    let seen = ended(&mut link, absent).await;
    let last = seen.last().unwrap();
    assert_eq!(last.state(), TaskState::TaskFailed);
    assert!(
        last.message().contains("runc run failed"),
        "{}",
        last.message()
    );
    let mut bare = task("bare", "true");
    bare.container = None;
    let seen = ended(&mut link, bare).await;
    let message = seen.last().unwrap().message();
    assert!(
        message.contains("an OCI runtime needs an image"),
        "{message}"
    );
    let mut labelled = task("labelled", "true");
    label(&mut labelled, "mezzanine.vm.share", "sandbox");
    let seen = ended(&mut link, labelled).await;
    let message = seen.last().unwrap().message();
    assert!(message.contains("no label mezzanine.vm.share"), "{message}");
    let mut unknown = task("unknown", "true");
    unknown.labels = None;
    label(&mut unknown, "mezzanine.runtime", "crun");
    let seen = ended(&mut link, unknown).await;
    let message = seen.last().unwrap().message();
    assert!(message.contains("no runtime named 'crun'"), "{message}");
    lab.until_clean().await;
}

#[tokio::test]
async fn a_container_of_runc_is_killed_also_under_the_next_agent() {
    let Some(mut lab) = Lab::new().await else {
        return;
    };
    let (mut agent, mut link) = lab.agent().await;
    let stubborn = "trap '' TERM; while :; do sleep 0.1; done";
    link.run(
        &framework(true),
        vec![task("first", stubborn), task("second", "sleep 1000")],
    );
    for _ in 0..4 {
        let status = link.update().await;
        link.acknowledge(&status);
    }
    agent.crash();
    drop(link);
    let (agent, mut link) = lab.agent().await;
    assert!(lab.left() >= 4, "they live");
    link.kill("first");
    link.kill("second");
    let seen = link.finish(&["first", "second"]).await;
    for id in ["first", "second"] {
        assert_eq!(seen[id].last().unwrap().state(), TaskState::TaskKilled);
    }
    lab.until_clean().await;
    drop(agent);
}
