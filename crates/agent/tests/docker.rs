//! Tasks in containers of a real Docker Engine, under a master of words.
#![allow(clippy::unwrap_used)]

#[path = "support/docker.rs"]
mod engines;
mod support;

use std::path::Path;
use std::time::Duration;

use engines::{IMAGE, agent, docker, engine, info, nothing_is_left, scalar};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1::{self, TaskInfo, TaskState, TaskStatus};
use mezz_testkit::{Bridging, DockerEngine};
use support::{Agent, FakeMaster, Link, framework, states};

/// The image's own program, with these arguments.
fn plain(task: &mut TaskInfo, value: Option<&str>) {
    let command = task.command.as_mut().unwrap();
    command.shell = Some(false);
    command.value = value.map(str::to_owned);
}

async fn output(agent: &Agent, task: &str) -> String {
    let path = format!("/v1/tasks/{}/{task}/logs?follow=true", support::FRAMEWORK);
    let (status, body) = agent.get(&path).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn ended(link: &mut Link, tasks: Vec<TaskInfo>) -> Vec<Vec<TaskStatus>> {
    let ids: Vec<String> = tasks
        .iter()
        .map(|task| task.task_id.value.clone())
        .collect();
    link.run(&framework(true), tasks);
    let names: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut seen = link.finish(&names).await;
    ids.iter().map(|id| seen.remove(id).unwrap()).collect()
}

#[tokio::test]
async fn tasks_run_in_containers_of_the_engine() {
    let Some(engine) = engine(Bridging::None) else {
        return;
    };
    engine.make_image(
        "greeter:1",
        &["ENTRYPOINT [\"echo\"]", "CMD [\"by\", \"default\"]"],
    );
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let agent = agent(&master, work_dir.path(), &engine);
    let mut link = master.accept().await;
    statuses_and_outputs(&agent, &mut link).await;
    commands_of_images(&agent, &mut link).await;
    failures(&mut link).await;
    memory(&mut link).await;
    kills(&mut link, &engine).await;
    health(&mut link).await;
    nothing_is_left(&engine).await;
    let left = std::fs::read_dir(work_dir.path().join("docker")).unwrap();
    assert_eq!(left.count(), 0, "files of containers");
}

async fn statuses_and_outputs(agent: &Agent, link: &mut Link) {
    let command = "echo in $MESOS_SANDBOX as $MESOS_CONTAINER_NAME; echo $A >&2; \
                   echo kept > $MESOS_SANDBOX/file; env > $MESOS_SANDBOX/env; sleep 0.2; exit 3";
    let mut task = docker("three", command);
    task.command.as_mut().unwrap().environment = Some(v1::Environment {
        variables: vec![v1::environment::Variable {
            name: "A".to_owned(),
            value: Some("own".to_owned()),
            ..v1::environment::Variable::default()
        }],
    });
    let seen = ended(link, vec![task]).await.remove(0);
    assert_eq!(
        states(&seen),
        ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]
    );
    let last = seen.last().unwrap();
    assert_eq!(last.message(), "Container exited with status 3");
    let data = seen[1].data.clone().unwrap();
    let inspected: serde_json::Value = serde_json::from_slice(&data).unwrap();
    let name = inspected[0]["Name"].as_str().unwrap();
    assert!(name.starts_with("/mesos-"), "{name}");
    assert_eq!(inspected[0]["Config"]["Labels"]["MESOS_TASK_ID"], "three");
    let text = output(agent, "three").await;
    let line = format!("in /mnt/mesos/sandbox as {}", &name[1..]);
    assert!(text.contains(&line), "{text}");
    assert!(text.contains(r#""data":"own\n","offset":0,"stream":"stderr""#));
    let files =
        "/files/read?offset=0&length=10000&path=/frameworks/fw-0000/executors/three/runs/latest";
    let (_, kept) = agent.get(&format!("{files}/file")).await;
    assert!(kept.contains("kept"), "{kept}");
    let (_, variables) = agent.get(&format!("{files}/env")).await;
    assert!(!variables.contains("LIBPROCESS"), "{variables}");
}

async fn commands_of_images(agent: &Agent, link: &mut Link) {
    let mut of_image = docker("of-image", "");
    plain(&mut of_image, None);
    let mut given = docker("given", "");
    plain(&mut given, Some("hello"));
    given.command.as_mut().unwrap().arguments = vec!["world".to_owned()];
    for task in [&mut of_image, &mut given] {
        "greeter:1".clone_into(&mut info(task).image);
    }
    for seen in ended(link, vec![of_image, given]).await {
        assert_eq!(seen.last().unwrap().state(), TaskState::TaskFinished);
        assert!(seen[1].data.is_some(), "however short it was");
    }
    assert!(output(agent, "of-image").await.contains("by default\\n"));
    assert!(output(agent, "given").await.contains("hello world\\n"));
}

async fn failures(link: &mut Link) {
    let mut missing = docker("missing", "true");
    "localhost:1/no/such:image".clone_into(&mut info(&mut missing).image);
    let mut parameter = docker("parameter", "true");
    info(&mut parameter).parameters = vec![v1::Parameter {
        key: "restart".to_owned(),
        value: "always".to_owned(),
    }];
    let mut no_program = docker("no-program", "");
    plain(&mut no_program, Some("/no/such/program"));
    for (task, words) in [
        (
            missing,
            "Failed to pull the image 'localhost:1/no/such:image'",
        ),
        (
            parameter,
            "Failed to create docker run options: container.docker.parameters[0] 'restart': not for a task",
        ),
        (no_program, "/no/such/program"),
    ] {
        let seen = ended(link, vec![task]).await.remove(0);
        let last = seen.last().unwrap();
        assert_eq!(states(&seen), ["TASK_STARTING", "TASK_FAILED"]);
        let text = last.message();
        assert!(text.starts_with("Failed to launch container: "), "{text}");
        assert!(text.contains(words), "{text}");
        assert_eq!(
            last.reason(),
            v1::task_status::Reason::ContainerLaunchFailed
        );
    }
}

async fn memory(link: &mut Link) {
    let mut hog = docker("hog", "tail /dev/zero & wait $!");
    hog.resources = vec![scalar("cpus", 0.5), scalar("mem", 32.0)];
    info(&mut hog).parameters = vec![v1::Parameter {
        key: "memory-swap".to_owned(),
        value: "32m".to_owned(),
    }];
    let seen = ended(link, vec![hog]).await.remove(0);
    let last = seen.last().unwrap();
    assert_eq!(last.state(), TaskState::TaskFailed);
    assert_eq!(
        last.reason(),
        v1::task_status::Reason::ContainerLimitationMemory
    );
    let data = seen[1].data.clone().unwrap();
    let inspected: serde_json::Value = serde_json::from_slice(&data).unwrap();
    let host = &inspected[0]["HostConfig"];
    assert_eq!(host["Memory"], 32 << 20);
    assert_eq!(host["CpuShares"], 512);
}

async fn kills(link: &mut Link, engine: &DockerEngine) {
    let script = "trap 'exit 5' TERM; while :; do sleep 0.05; done";
    let polite = docker("polite", script);
    let mut stubborn = docker("stubborn", "trap '' TERM; while :; do sleep 0.05; done");
    stubborn.kill_policy = Some(v1::KillPolicy {
        grace_period: Some(v1::DurationInfo {
            nanoseconds: 300_000_000,
        }),
    });
    for (task, message) in [
        (polite, "Container exited with status 5"),
        (stubborn, "Container exited with status 137"),
    ] {
        let id = task.task_id.value.clone();
        link.run(&framework(true), vec![task]);
        link.until(&id, TaskState::TaskRunning).await;
        link.kill(&id);
        let status = link.until(&id, TaskState::TaskKilled).await;
        assert_eq!(status.message(), message);
    }
    assert_eq!(engine.says(&["ps", "-q"]), "", "told when it had ended");
}

async fn health(link: &mut Link) {
    let mut task = docker("healthy", "sleep 0.4; touch /tmp/up; sleep 1000");
    task.health_check = Some(Box::new(v1::HealthCheck {
        r#type: Some(v1::health_check::Type::Command.into()),
        command: Some(v1::CommandInfo {
            value: Some("test -e /tmp/up && test -n \"$MESOS_SANDBOX\"".to_owned()),
            ..v1::CommandInfo::default()
        }),
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.1),
        grace_period_seconds: Some(60.0),
        ..v1::HealthCheck::default()
    }));
    link.run(&framework(true), vec![task]);
    loop {
        let status = link.until("healthy", TaskState::TaskRunning).await;
        if status.healthy == Some(true) {
            break;
        }
    }
    link.kill("healthy");
    link.until("healthy", TaskState::TaskKilled).await;
}

#[tokio::test]
async fn containers_outlive_a_crash_of_the_agent_and_orphans_do_not() {
    let Some(engine) = engine(Bridging::None) else {
        return;
    };
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let mut first = agent(&master, work_dir.path(), &engine);
    let mut link = master.accept().await;
    let waits = "until [ -e $MESOS_SANDBOX/gate ]; do sleep 0.05; done; echo through; exit 7";
    link.run(&framework(true), vec![docker("long", waits)]);
    link.until("long", TaskState::TaskRunning).await;
    let own = engine.says(&["ps", "-q"]);
    let told = |format: &str| engine.says(&["inspect", "--format", format, &own]);
    let scope = told("{{index .Config.Labels \"mezzanine.agent\"}}");
    let sandbox = told("{{(index .Mounts 0).Source}}");
    first.crash();
    drop(link);
    let label = |scope: &str| format!("mezzanine.agent={scope}");
    let run = |label: &str| {
        let words = ["run", "-d", "--net", "none", "--label", label, IMAGE];
        engine.says(&[&words[..], &["sleep", "1000"]].concat())
    };
    let orphan = run(&label(&scope));
    let foreign = run(&label("another"));
    let second = agent(&master, work_dir.path(), &engine);
    let mut link = master.accept().await;
    assert!(matches!(link.registration, Body::Reregister(_)));
    let mut left = vec![own.clone(), foreign[..12].to_owned()];
    left.sort();
    for _ in 0..500 {
        let now = engine.says(&["ps", "-aq"]);
        let mut now: Vec<&str> = now.lines().collect();
        now.sort_unstable();
        if now == left {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!engine.says(&["ps", "-aq"]).contains(&orphan[..12]));
    std::fs::write(Path::new(&sandbox).join("gate"), "").unwrap();
    let seen = link.finish(&["long"]).await;
    let last = seen["long"].last().unwrap();
    assert_eq!(last.message(), "Container exited with status 7");
    assert!(output(&second, "long").await.contains("through"));
}
