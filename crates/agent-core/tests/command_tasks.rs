//! Command tasks, from launch to the acknowledgement of their end.

#![allow(clippy::unwrap_used)]

mod support;

use TaskState::{
    TaskDropped, TaskFailed, TaskFinished, TaskKilled, TaskKilling, TaskRunning, TaskStarting,
};
use mezz_agent_core::{Command, Effect, Event, FetchOutcome, Survival};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{RunTask, RunTasks};
use mezz_proto::v1::command_info::Uri;
use mezz_proto::v1::framework_info::capability::Type as Capability;
use mezz_proto::v1::task_status::{Reason, Source};
use mezz_proto::v1::{
    CommandInfo, ContainerInfo, FrameworkId, KillPolicy, TaskInfo, TaskState, Volume,
    container_info, volume,
};
use support::*;

fn with_uris(task: TaskInfo) -> TaskInfo {
    let uri = Uri {
        value: "http://example/x.tgz".to_owned(),
        ..Uri::default()
    };
    TaskInfo {
        command: Some(CommandInfo {
            uris: vec![uri],
            ..command("true")
        }),
        ..task
    }
}

#[test]
fn a_command_task_starts_runs_and_finishes() {
    let mut bench = Bench::registered();
    bench.run(framework(true, &[]), [command_task("t")]);
    let launch = bench.take_launches().remove(0);
    assert_eq!(launch.command, Command::Shell("sleep 1000".to_owned()));
    assert_eq!(launch.survival, Survival::Keep);
    assert_eq!(launch.user.as_deref(), Some("nobody"));
    assert_eq!(
        launch.sandbox,
        format!("sandboxes/F/{}", launch.container_id)
    );
    let value = |name: &str| {
        launch
            .environment
            .iter()
            .rfind(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
            .unwrap()
    };
    assert_eq!(value("MESOS_SANDBOX"), format!("/agent/{}", launch.sandbox));
    assert_eq!(value("MESOS_AGENT_ENDPOINT"), "10.0.0.1:5051");
    assert_eq!(value("MESOS_EXECUTOR_ID"), "t");

    bench.event(Event::ContainerStarted {
        launch_id: launch.launch_id,
        pid: 5,
    });
    bench.exit(launch.launch_id, 0);
    let Some(Body::StatusUpdate(first)) = bench.take_to_master().pop() else {
        panic!("one update is in flight")
    };
    assert_eq!(first.latest_state, Some(TaskStarting.into()));
    assert_eq!(first.executor_id, None);
    let status = &first.status;
    assert_eq!(status.executor_id.as_ref().unwrap().value, "t");
    assert_eq!(status.agent_id.as_ref().unwrap().value, "A");
    let container = status.container_status.as_ref().unwrap();
    assert_eq!(
        container.container_id.as_ref().unwrap().value,
        launch.container_id.to_string()
    );
    assert_eq!(
        container.network_infos[0].ip_addresses[0]
            .ip_address
            .as_deref(),
        Some("10.0.0.1")
    );

    bench.acknowledge(&seen(first));
    let rest = bench.drain_updates();
    assert_eq!(states(&rest), [TaskRunning, TaskFinished]);
    assert_eq!(
        rest[1].message.as_deref(),
        Some("Command exited with status 0")
    );
    assert_eq!(rest[1].source, Source::Executor);
    assert!(bench.effects.contains(&Effect::AcknowledgeExit {
        launch_id: launch.launch_id
    }));
    let records = bench.core.records();
    assert!(records.frameworks.is_empty());
    let executor = &records.completed_frameworks[0].completed_executors[0];
    assert_eq!(
        executor.info().name.as_deref(),
        Some("Command Executor (Task: t) (Command: sh -c 'sleep 1000')")
    );
    assert_eq!(executor.completed[0].state, TaskFinished);
}

#[test]
fn a_task_that_exits_badly_fails_with_its_status_or_signal() {
    for (wait_status, message) in [
        (3 << 8, "Command exited with status 3"),
        (9, "Command terminated with signal Killed"),
    ] {
        let mut bench = Bench::registered();
        let launch_id = bench.running_task(framework(true, &[]), command_task("t"));
        bench.exit(launch_id, wait_status);
        let updates = bench.drain_updates();
        assert_eq!(states(&updates), [TaskFailed]);
        assert_eq!(updates[0].message.as_deref(), Some(message));
    }
}

#[test]
fn tasks_of_frameworks_without_checkpoint_end_with_the_agent_and_leave_no_journal() {
    let mut bench = Bench::registered();
    let before = bench.journal.len();
    bench.run(framework(false, &[]), [command_task("t")]);
    assert_eq!(bench.take_launches()[0].survival, Survival::EndWithAgent);
    assert_eq!(bench.journal.len(), before);
}

#[test]
fn what_a_launch_depends_on_is_in_the_journal_before_it() {
    let mut bench = Bench::registered();
    bench.run(framework(true, &[]), [command_task("t")]);
    let launch = bench
        .effects
        .iter()
        .position(|effect| matches!(effect, Effect::Launch(_)))
        .unwrap();
    let sent = bench
        .effects
        .iter()
        .position(|effect| matches!(effect, Effect::ToMaster(_)))
        .unwrap();
    let written = bench
        .effects
        .iter()
        .position(|effect| matches!(effect, Effect::Checkpoint { .. }))
        .unwrap();
    assert!(written < launch && written < sent);
}

#[test]
fn a_launch_delivered_twice_runs_once() {
    let mut bench = Bench::registered();
    let run = RunTasks {
        framework_id: FrameworkId {
            value: FRAMEWORK.to_owned(),
        },
        framework: Some(framework(true, &[])),
        tasks: vec![RunTask {
            launch_token: 9,
            task: command_task("t"),
            instance: None,
        }],
    };
    bench.master(Body::RunTasks(run.clone()));
    let launch_id = bench.launch_one();
    bench.event(Event::ContainerStarted { launch_id, pid: 1 });
    bench.exit(launch_id, 0);
    bench.drain_updates();
    bench.master(Body::RunTasks(run));
    assert!(bench.take_launches().is_empty());
}

#[test]
fn files_are_fetched_before_the_start() {
    let mut bench = Bench::registered();
    bench.run(framework(true, &[]), [with_uris(command_task("t"))]);
    assert!(bench.take_launches().is_empty());
    assert!(bench.take_updates().is_empty());
    let fetch = bench.take_fetches().remove(0);
    bench.event(Event::Fetched {
        launch_id: fetch.launch_id,
        outcome: FetchOutcome::Done,
    });
    assert_eq!(bench.launch_one(), fetch.launch_id);
}

#[test]
fn a_failed_fetch_or_launch_fails_the_task_with_the_reason() {
    let mut bench = Bench::registered();
    bench.run(
        framework(true, &[]),
        [with_uris(command_task("t")), command_task("u")],
    );
    let fetching = bench.take_fetches()[0].launch_id;
    let launching = bench.launch_one();
    bench.event(Event::Fetched {
        launch_id: fetching,
        outcome: FetchOutcome::Failed {
            message: "404".to_owned(),
        },
    });
    bench.event(Event::ContainerLaunchFailed {
        launch_id: launching,
        message: "no such user 'x'".to_owned(),
    });
    let updates = bench.drain_updates();
    let of = |task: &str| {
        updates
            .iter()
            .filter(|update| update.task == task)
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(states(&of("t")), [TaskFailed]);
    assert_eq!(states(&of("u")), [TaskStarting, TaskFailed]);
    let last = of("u").pop().unwrap();
    assert_eq!(
        last.message.as_deref(),
        Some("Failed to launch container: no such user 'x'")
    );
    assert_eq!(
        (last.reason, last.source),
        (Some(Reason::ContainerLaunchFailed), Source::Agent)
    );
}

#[test]
fn a_field_that_is_not_supported_is_named_in_the_refusal() {
    let mut bench = Bench::registered();
    bench.run(
        framework(true, &[]),
        [TaskInfo {
            container: Some(Box::new(ContainerInfo {
                r#type: container_info::Type::Mesos.into(),
                volumes: vec![Volume {
                    mode: volume::Mode::Rw.into(),
                    container_path: "data".to_owned(),
                    source: Some(volume::Source {
                        r#type: Some(volume::source::Type::CsiVolume.into()),
                        ..volume::Source::default()
                    }),
                    ..Volume::default()
                }],
                ..ContainerInfo::default()
            })),
            ..command_task("t")
        }],
    );
    assert!(bench.take_launches().is_empty());
    let updates = bench.drain_updates();
    assert_eq!(states(&updates), [TaskFailed]);
    assert!(
        updates[0]
            .message
            .as_ref()
            .unwrap()
            .contains("container.volumes[0].source.csi_volume")
    );
    assert_eq!(updates[0].reason, Some(Reason::ContainerLaunchFailed));
}

#[test]
fn a_killed_task_gets_sigterm_then_the_whole_tree_is_killed_after_its_grace() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_task(
        framework(true, &[Capability::TaskKillingState]),
        command_task("t"),
    );
    bench.kill("t", None);
    assert_eq!(bench.take_signals(), ["signal 15"]);
    assert_eq!(states(&bench.drain_updates()), [TaskKilling]);
    bench.advance(2);
    assert!(bench.take_signals().is_empty());
    bench.advance(2);
    assert_eq!(bench.take_signals(), ["kill tree"]);
    bench.exit(launch_id, 9);
    let updates = bench.drain_updates();
    assert_eq!(states(&updates), [TaskKilled]);
    assert_eq!(
        updates[0].message.as_deref(),
        Some("Command terminated with signal Killed")
    );
}

#[test]
fn a_framework_that_does_not_know_killing_is_not_told_of_it_and_a_clean_exit_still_counts_as_killed()
 {
    let mut bench = Bench::registered();
    let launch_id = bench.running_task(framework(true, &[]), command_task("t"));
    bench.kill("t", None);
    bench.exit(launch_id, 0);
    assert_eq!(states(&bench.drain_updates()), [TaskKilled]);
    bench.advance(10);
    assert!(
        !bench.take_signals().contains(&"kill tree".to_owned()),
        "the grace timer ends with the task"
    );
}

#[test]
fn the_grace_comes_from_the_kill_then_the_task_and_a_repeated_kill_only_shortens_it() {
    let mut bench = Bench::registered();
    bench.running_task(
        framework(true, &[]),
        TaskInfo {
            kill_policy: Some(grace(60)),
            ..command_task("t")
        },
    );
    bench.kill("t", None);
    bench.advance(30);
    bench.kill("t", Some(grace(100)));
    assert_eq!(bench.take_signals(), ["signal 15"]);
    bench.kill("t", Some(grace(40)));
    bench.advance(9);
    assert!(bench.take_signals().is_empty());
    bench.advance(2);
    assert_eq!(bench.take_signals(), ["kill tree"]);
}

#[test]
fn a_kill_without_grace_kills_at_once() {
    let mut bench = Bench::registered();
    bench.running_task(framework(true, &[]), command_task("t"));
    bench.kill("t", Some(grace(0)));
    assert_eq!(bench.take_signals(), ["signal 15", "kill tree"]);
}

#[test]
fn a_kill_before_the_start_leaves_nothing_behind() {
    let mut bench = Bench::registered();
    bench.run(
        framework(true, &[]),
        [
            with_uris(command_task("fetching")),
            command_task("launching"),
        ],
    );
    let fetching = bench.take_fetches()[0].launch_id;
    let launching = bench.launch_one();
    bench.kill("fetching", None);
    bench.kill("launching", Some(KillPolicy::default()));
    assert_eq!(bench.take_signals(), ["cancel fetch", "kill tree"]);
    bench.event(Event::Fetched {
        launch_id: fetching,
        outcome: FetchOutcome::Done,
    });
    assert!(bench.take_launches().is_empty());
    bench.event(Event::ContainerStarted {
        launch_id: launching,
        pid: 3,
    });
    bench.exit(launching, 9);
    let updates = bench.drain_updates();
    let of = |task: &str| {
        updates
            .iter()
            .filter(|update| update.task == task)
            .map(|update| update.state)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("fetching"), [TaskKilled]);
    assert_eq!(of("launching"), [TaskStarting, TaskKilled]);
    assert!(bench.core.records().frameworks.is_empty());
}

#[test]
fn a_kill_of_a_task_that_never_came_is_answered_but_one_of_a_finished_task_is_not() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_task(
        framework(true, &[Capability::PartitionAware]),
        command_task("t"),
    );
    bench.exit(launch_id, 0);
    bench.drain_updates();
    bench.kill("t", None);
    assert!(bench.take_updates().is_empty());
    bench.kill("never", None);
    let updates = bench.take_updates();
    assert_eq!(states(&updates), [TaskDropped]);
    assert_eq!(updates[0].message.as_deref(), Some("Cannot find executor"));
}

#[test]
fn a_container_that_nobody_knows_is_killed() {
    let mut bench = Bench::registered();
    bench.event(Event::ContainerStarted {
        launch_id: mezz_agent_core::LaunchId(123),
        pid: 3,
    });
    assert_eq!(bench.take_signals(), ["kill tree"]);
}

#[test]
fn what_runs_when_a_framework_is_shut_down_ends_without_updates() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_task(framework(true, &[]), command_task("t"));
    bench.master(Body::ShutdownFramework(
        mezz_proto::agent_protocol::ShutdownFramework {
            framework_id: FrameworkId {
                value: FRAMEWORK.to_owned(),
            },
        },
    ));
    assert_eq!(bench.take_signals(), ["signal 15"]);
    bench.exit(launch_id, 15);
    assert!(bench.take_updates().is_empty());
    assert!(bench.core.records().frameworks.is_empty());
    assert!(
        bench
            .restarted(Vec::new())
            .core
            .records()
            .frameworks
            .is_empty()
    );
}
