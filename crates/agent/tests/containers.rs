//! Command tasks with a container: what sets them apart holds, beside tasks without one.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_proto::v1::capability_info::Capability;
use mezz_proto::v1::{
    CapabilityInfo, CommandInfo, ContainerInfo, HealthCheck, LinuxInfo, RLimitInfo, SeccompInfo,
    TaskInfo, TaskState, Volume, container_info, health_check, linux_info, r_limit_info, volume,
};
use support::{Agent, FakeMaster, Link, framework, shell, states};

fn container() -> ContainerInfo {
    ContainerInfo {
        r#type: container_info::Type::Mesos.into(),
        ..ContainerInfo::default()
    }
}

fn linux(info: LinuxInfo) -> ContainerInfo {
    ContainerInfo {
        linux_info: Some(info),
        ..container()
    }
}

fn task(id: &str, command: &str, container: ContainerInfo) -> TaskInfo {
    TaskInfo {
        container: Some(Box::new(container)),
        ..shell(id, command)
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What tasks have written, by id.
async fn outputs(agent: &Agent, link: &mut Link, tasks: Vec<TaskInfo>) -> Vec<String> {
    let ids: Vec<String> = tasks
        .iter()
        .map(|task| task.task_id.value.clone())
        .collect();
    let names: Vec<&str> = ids.iter().map(String::as_str).collect();
    link.run(&framework(true), tasks);
    let seen = link.finish(&names).await;
    let mut outputs = Vec::new();
    for name in names {
        let last = seen[name].last().unwrap();
        let (_, body) = agent
            .get(&format!("/v1/tasks/fw-0000/{name}/logs?follow=true"))
            .await;
        let texts = body.lines().filter_map(|line| {
            let entry: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(entry.get("data")?.as_str()?.to_owned())
        });
        outputs.push(format!("{}[{}]", texts.collect::<String>(), last.message()));
    }
    outputs
}

#[tokio::test]
async fn a_task_with_process_numbers_and_capabilities_of_its_own_has_no_others() {
    if !is_root() {
        return;
    }
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    let command = format!(
        "kill -0 {} && echo reached; chown 1 . && echo changed; grep CapEff /proc/self/status",
        std::process::id()
    );
    let apart = linux(LinuxInfo {
        share_pid_namespace: Some(false),
        effective_capabilities: Some(CapabilityInfo {
            capabilities: vec![Capability::Kill.into()],
        }),
        ..LinuxInfo::default()
    });
    let tasks = vec![
        task("open", &command, container()),
        task("apart", &command, apart),
    ];
    let seen = outputs(&agent, &mut link, tasks).await;
    assert!(
        seen[0].contains("reached") && seen[0].contains("changed"),
        "{seen:?}"
    );
    assert!(
        !seen[1].contains("reached") && !seen[1].contains("changed"),
        "{seen:?}"
    );
    assert!(seen[1].contains("CapEff:\t0000000000000020"), "{seen:?}");
}

#[tokio::test]
async fn a_task_has_the_name_limits_and_memory_that_it_asks_for() {
    if !is_root() {
        return;
    }
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    let limit = |soft: Option<u64>, hard: Option<u64>| RLimitInfo {
        rlimits: vec![r_limit_info::RLimit {
            r#type: Some(r_limit_info::r_limit::Type::RlmtCore.into()),
            soft,
            hard,
        }],
    };
    let asks = ContainerInfo {
        hostname: Some("inside".into()),
        rlimit_info: Some(limit(Some(4096), Some(8192))),
        ..linux(LinuxInfo {
            ipc_mode: Some(linux_info::IpcMode::Private.into()),
            shm_size: Some(2),
            ..LinuxInfo::default()
        })
    };
    let half = ContainerInfo {
        rlimit_info: Some(limit(Some(4096), None)),
        ..container()
    };
    let command = "uname -n; ulimit -Sc; df --output=size /dev/shm | tail -n 1";
    let tasks = vec![task("asks", command, asks), task("half", command, half)];
    let seen = outputs(&agent, &mut link, tasks).await;
    assert!(seen[0].starts_with("inside\n8\n"), "{seen:?}");
    assert!(seen[0].contains("2048\n"), "{seen:?}");
    assert!(seen[1].contains("set both 'soft' and 'hard'"), "{seen:?}");
}

#[tokio::test]
async fn a_task_finds_its_volumes_and_cannot_change_those_that_are_read_only() {
    if !is_root() {
        return;
    }
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("file"), "of the host\n").unwrap();
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    let path = host.path().to_str().unwrap().to_owned();
    let source = volume::Source {
        r#type: Some(volume::source::Type::SandboxPath.into()),
        sandbox_path: Some(volume::source::SandboxPath {
            r#type: Some(volume::source::sandbox_path::Type::Self_.into()),
            path: "kept".into(),
        }),
        ..volume::Source::default()
    };
    let volumes = vec![
        Volume {
            mode: volume::Mode::Ro.into(),
            container_path: "data".into(),
            host_path: Some(path),
            ..Volume::default()
        },
        Volume {
            mode: volume::Mode::Rw.into(),
            container_path: "/mnt".into(),
            source: Some(source),
            ..Volume::default()
        },
    ];
    let asks = ContainerInfo {
        volumes,
        ..container()
    };
    let missing = ContainerInfo {
        volumes: vec![Volume {
            mode: volume::Mode::Rw.into(),
            container_path: "data".into(),
            host_path: Some("/no/such/path".into()),
            ..Volume::default()
        }],
        ..container()
    };
    let command = "cat data/file; touch data/new || echo refused; echo x > /mnt/x; cat kept/x";
    let tasks = vec![
        task("asks", command, asks),
        task("missing", command, missing),
    ];
    let seen = outputs(&agent, &mut link, tasks).await;
    assert!(
        seen[0].contains("of the host\n") && seen[0].contains("refused\n"),
        "{seen:?}"
    );
    assert!(seen[0].contains("x\n"), "{seen:?}");
    assert!(!host.path().join("new").exists());
    assert!(seen[1].contains("mounts: data: No such file"), "{seen:?}");
}

#[tokio::test]
async fn the_command_of_a_health_check_runs_within_the_container_of_its_task() {
    if !is_root() {
        return;
    }
    let mut master = FakeMaster::start().await;
    let _agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    let apart = ContainerInfo {
        hostname: Some("inside".into()),
        ..linux(LinuxInfo {
            share_pid_namespace: Some(false),
            ..LinuxInfo::default()
        })
    };
    let check = |id: &str, container: ContainerInfo| {
        let mut task = task(id, "sleep 1000", container);
        // Its own init is process 1, and its name is the container's.
        let command = CommandInfo {
            value: Some("test \"$(uname -n)\" = inside && ! test -d /proc/2000000 && test $(ls -d /proc/[0-9]* | wc -l) -lt 9".into()),
            shell: Some(true),
            ..CommandInfo::default()
        };
        task.health_check = Some(Box::new(HealthCheck {
            r#type: Some(health_check::Type::Command.into()),
            command: Some(command),
            delay_seconds: Some(0.0),
            interval_seconds: Some(0.1),
            grace_period_seconds: Some(0.0),
            consecutive_failures: Some(1000),
            ..HealthCheck::default()
        }));
        task
    };
    link.run(
        &framework(true),
        vec![check("apart", apart), check("open", container())],
    );
    let mut found = std::collections::BTreeMap::new();
    while found.len() < 2 {
        let status = link.update().await;
        link.acknowledge(&status);
        if let Some(healthy) = status.healthy {
            found.insert(status.task_id.value.clone(), healthy);
        }
    }
    assert!(found["apart"] && !found["open"], "{found:?}");
    link.kill("apart");
    link.kill("open");
    let seen = link.finish(&["apart", "open"]).await;
    assert_eq!(states(&seen["apart"]).last(), Some(&"TASK_KILLED"));
}

#[tokio::test]
async fn a_profile_that_is_not_there_fails_the_task_and_the_built_in_one_holds() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    let with = |name: &str| {
        linux(LinuxInfo {
            seccomp: Some(SeccompInfo {
                profile_name: Some(name.into()),
                ..SeccompInfo::default()
            }),
            ..LinuxInfo::default()
        })
    };
    let command = "grep Seccomp: /proc/self/status";
    let tasks = vec![
        task("built-in", command, with("default")),
        task("missing", command, with("strict.json")),
    ];
    let seen = outputs(&agent, &mut link, tasks).await;
    assert!(seen[0].contains("Seccomp:\t2"), "{seen:?}");
    assert!(
        seen[1].contains("\"strict.json\"") && seen[1].contains("--seccomp-config-dir"),
        "{seen:?}"
    );
}

#[tokio::test]
async fn what_no_agent_does_is_refused_by_name() {
    let mut master = FakeMaster::start().await;
    let _agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    let image = ContainerInfo {
        volumes: vec![Volume {
            mode: volume::Mode::Rw.into(),
            container_path: "data".into(),
            source: Some(volume::Source {
                r#type: Some(volume::source::Type::CsiVolume.into()),
                ..volume::Source::default()
            }),
            ..Volume::default()
        }],
        ..container()
    };
    link.run(&framework(true), vec![task("csi", "true", image)]);
    let seen = link.finish(&["csi"]).await;
    let last = seen["csi"].last().unwrap();
    assert_eq!(last.state(), TaskState::TaskFailed);
    assert!(
        last.message()
            .contains("container.volumes[0].source.csi_volume"),
        "{}",
        last.message()
    );
}

#[tokio::test]
async fn what_the_operator_gives_every_container_holds_for_plain_tasks_and_bounds_the_others() {
    if !is_root() {
        return;
    }
    let profiles = tempfile::tempdir().unwrap();
    let text = r#"{"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}"#;
    std::fs::write(profiles.path().join("ours.json"), text).unwrap();
    let mut master = FakeMaster::start().await;
    let flags = [
        (
            "--isolation",
            "filesystem/linux,namespaces/pid,namespaces/ipc,linux/nnp",
        ),
        ("--seccomp-config-dir", profiles.path().to_str().unwrap()),
        ("--seccomp-profile-name", "ours.json"),
        ("--bounding-capability", "CHOWN"),
    ];
    let agent = Agent::start(&master.address, None, &flags);
    let mut link = master.accept().await;
    let command = format!(
        "kill -0 {} && echo reached; grep -E '^(NoNewPrivs|CapBnd)' /proc/self/status; mkdir new",
        std::process::id()
    );
    let more = linux(LinuxInfo {
        bounding_capabilities: Some(CapabilityInfo {
            capabilities: vec![Capability::Chown.into(), Capability::Kill.into()],
        }),
        ..LinuxInfo::default()
    });
    let free = linux(LinuxInfo {
        seccomp: Some(SeccompInfo {
            unconfined: Some(true),
            ..SeccompInfo::default()
        }),
        share_pid_namespace: Some(true),
        ..LinuxInfo::default()
    });
    let tasks = vec![
        shell("plain", &command),
        task("more", &command, more),
        task(
            "free",
            "mkdir new && echo made; ls -d /proc/[0-9]* | wc -l",
            free,
        ),
    ];
    let seen = outputs(&agent, &mut link, tasks).await;
    assert!(!seen[0].contains("reached"), "{seen:?}");
    assert!(
        seen[0].contains("NoNewPrivs:\t1") && seen[0].contains("CapBnd:\t0000000000000001"),
        "{seen:?}"
    );
    assert!(seen[0].contains("No space left"), "{seen:?}");
    assert!(
        seen[1].contains("Bounding capabilities 'CHOWN, KILL', but only 'CHOWN' are allowed"),
        "{seen:?}"
    );
    assert!(seen[2].contains("made\n"), "{seen:?}");
}
