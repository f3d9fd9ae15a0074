//! Pods: tasks that come together, start together and end together, with the agent as their executor.

#![allow(clippy::unwrap_used)]

mod support;

use TaskState::{TaskDropped, TaskFailed, TaskFinished, TaskKilled, TaskKilling, TaskStarting};
use mezz_agent_core::{Effect, Event, Launch, LaunchId};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{RunGroup, RunTask, ShutdownExecutor};
use mezz_proto::v1::framework_info::capability::Type as Capability;
use mezz_proto::v1::task_status::{Reason, Source};
use mezz_proto::v1::{
    ContainerInfo, ExecutorId, ExecutorInfo, FrameworkId, TaskInfo, TaskState, TaskStatus, Volume,
    container_info, executor_info, volume,
};
use support::*;

fn pod(id: &str) -> ExecutorInfo {
    ExecutorInfo {
        executor_id: ExecutorId {
            value: id.to_owned(),
        },
        r#type: Some(executor_info::Type::Default.into()),
        ..ExecutorInfo::default()
    }
}

fn framework_id() -> FrameworkId {
    FrameworkId {
        value: FRAMEWORK.to_owned(),
    }
}

fn group(bench: &mut Bench, executor: &str, tasks: impl IntoIterator<Item = TaskInfo>) {
    group_of(bench, &[Capability::PartitionAware], executor, tasks);
}

fn group_of(
    bench: &mut Bench,
    capabilities: &[Capability],
    executor: &str,
    tasks: impl IntoIterator<Item = TaskInfo>,
) {
    let tasks = tasks.into_iter().map(|task| {
        bench.token += 1;
        RunTask {
            launch_token: bench.token,
            task,
            instance: None,
        }
    });
    let run = RunGroup {
        framework_id: framework_id(),
        framework: Some(framework(true, capabilities)),
        executor: pod(executor),
        tasks: tasks.collect(),
    };
    bench.master(Body::RunGroup(run));
}

/// A group whose tasks run, all their updates acknowledged; their launches in order.
fn running_group(bench: &mut Bench, executor: &str, tasks: &[&str]) -> Vec<LaunchId> {
    group(bench, executor, tasks.iter().map(|task| command_task(task)));
    let launches: Vec<LaunchId> = bench
        .take_launches()
        .iter()
        .map(|launch| launch.launch_id)
        .collect();
    for (pid, launch_id) in (70..).zip(&launches) {
        let launch_id = *launch_id;
        bench.event(Event::ContainerStarted { launch_id, pid });
    }
    bench.drain_updates();
    bench.effects.clear();
    launches
}

fn of(updates: &[Seen]) -> Vec<(&str, TaskState)> {
    updates
        .iter()
        .map(|update| (update.task.as_str(), update.state))
        .collect()
}

fn exits(bench: &mut Bench) -> usize {
    let exited = |effect: &Effect| match effect {
        Effect::ToMaster(body) => matches!(**body, Body::ExecutorExited(_)).then_some(()),
        _ => None,
    };
    bench.take(exited).len()
}

#[test]
fn tasks_of_a_group_all_start_before_any_of_them_is_launched() {
    let mut bench = Bench::registered();
    group(&mut bench, "pod", ["a", "b"].map(command_task));
    let launches: Vec<Launch> = bench.take_launches();
    assert_eq!(launches.len(), 2);
    let statuses: Vec<TaskStatus> = bench.take_statuses();
    assert_eq!(statuses.len(), 2);
    for (launch, status) in launches.iter().zip(&statuses) {
        assert_eq!(status.state(), TaskStarting);
        assert_eq!(status.source(), Source::Executor);
        assert_eq!(status.executor_id.as_ref().unwrap().value, "pod");
        let container = status.container_status.as_ref().unwrap();
        let container = container.container_id.as_ref().unwrap();
        assert_eq!(container.value, launch.container_id.to_string());
        let parent = container.parent.as_ref().unwrap();
        let above = format!("sandboxes/F/{}", parent.value);
        assert_eq!(
            launch.sandbox,
            format!("sandboxes/F/{}", launch.container_id)
        );
        assert_eq!(launch.surroundings.parent_sandbox, Some(above));
        let value = |name: &str| {
            let found = launch.environment.iter().rfind(|(key, _)| key == name);
            found.map(|(_, value)| value.clone()).unwrap()
        };
        assert_eq!(value("MESOS_EXECUTOR_ID"), "pod");
        assert_eq!(value("MESOS_CONTAINER_IP"), "10.0.0.1");
    }
    let records = bench.core.records();
    let [executor] = records.frameworks[0].executors.as_slice() else {
        panic!("the pod is shown, and nothing else")
    };
    assert_eq!(executor.id(), "pod");
    assert_eq!(executor.tasks.len(), 2);
}

#[test]
fn a_pod_ends_with_its_last_task() {
    let mut bench = Bench::registered();
    let launches = running_group(&mut bench, "pod", &["a", "b"]);
    bench.exit(launches[0], 0);
    assert_eq!(of(&bench.drain_updates()), [("a", TaskFinished)]);
    assert_eq!(exits(&mut bench), 0);
    bench.exit(launches[1], 0);
    assert_eq!(exits(&mut bench), 1);
    assert_eq!(of(&bench.drain_updates()), [("b", TaskFinished)]);
    let records = bench.core.records();
    assert!(records.frameworks.is_empty());
    let ended = &records.completed_frameworks[0].completed_executors;
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].id(), "pod");
    assert_eq!(ended[0].completed.len(), 2);
    let collected = |effect: &Effect| match effect {
        Effect::ScheduleSandboxRemoval { sandbox } => Some(sandbox.clone()),
        _ => None,
    };
    // Of both tasks, and what they shared.
    let collected = bench.take(collected);
    assert_eq!(collected.len(), 3);
    assert_eq!(collected[2], ended[0].sandbox);
}

#[test]
fn a_task_that_fails_takes_the_others_of_its_group_along_and_spares_other_groups() {
    let mut bench = Bench::registered();
    let first = running_group(&mut bench, "pod", &["a", "b", "c"]);
    let second = running_group(&mut bench, "pod", &["d"]);
    bench.exit(first[2], 0);
    bench.exit(first[0], 1 << 8);
    assert_eq!(bench.take_signals(), ["signal 15"]);
    bench.exit(first[1], 15);
    assert_eq!(
        of(&bench.drain_updates()),
        [("c", TaskFinished), ("a", TaskFailed), ("b", TaskKilled)]
    );
    assert_eq!(exits(&mut bench), 0);
    bench.exit(second[0], 0);
    assert_eq!(exits(&mut bench), 1);
    assert_eq!(of(&bench.drain_updates()), [("d", TaskFinished)]);
}

#[test]
fn a_killed_task_takes_its_group_along_each_task_with_its_own_grace() {
    let mut bench = Bench::registered();
    let slow = TaskInfo {
        kill_policy: Some(grace(20)),
        ..command_task("b")
    };
    group_of(
        &mut bench,
        &[Capability::TaskKillingState],
        "pod",
        [command_task("a"), slow],
    );
    let launches: Vec<LaunchId> = bench
        .take_launches()
        .iter()
        .map(|one| one.launch_id)
        .collect();
    for launch_id in &launches {
        let launch_id = *launch_id;
        bench.event(Event::ContainerStarted { launch_id, pid: 9 });
    }
    bench.drain_updates();
    bench.kill("a", None);
    assert_eq!(of(&bench.drain_updates()), [("a", TaskKilling)]);
    assert_eq!(bench.take_signals(), ["signal 15"]);
    bench.exit(launches[0], 15);
    assert_eq!(
        of(&bench.drain_updates()),
        [("a", TaskKilled), ("b", TaskKilling)]
    );
    assert_eq!(bench.take_signals(), ["signal 15"]);
    bench.advance(19);
    assert!(bench.take_signals().is_empty());
    bench.advance(1);
    assert_eq!(bench.take_signals(), ["kill tree"]);
    bench.exit(launches[1], 9);
    assert_eq!(exits(&mut bench), 1);
    assert_eq!(of(&bench.drain_updates()), [("b", TaskKilled)]);
}

#[test]
fn a_task_that_does_not_start_fails_and_its_group_with_it() {
    let mut bench = Bench::registered();
    group(&mut bench, "pod", ["a", "b"].map(command_task));
    let launches: Vec<LaunchId> = bench
        .take_launches()
        .iter()
        .map(|one| one.launch_id)
        .collect();
    bench.event(Event::ContainerLaunchFailed {
        launch_id: launches[0],
        message: "no".to_owned(),
    });
    // It may or may not have started yet.
    assert_eq!(bench.take_signals(), ["kill tree"]);
    bench.exit(launches[1], 9);
    assert_eq!(exits(&mut bench), 1);
    let updates = bench.drain_updates();
    assert_eq!(
        of(&updates),
        [
            ("a", TaskStarting),
            ("b", TaskStarting),
            ("a", TaskFailed),
            ("b", TaskKilled)
        ]
    );
    assert_eq!(updates[2].reason, Some(Reason::ContainerLaunchFailed));
}

#[test]
fn a_group_with_something_unsupported_is_refused_whole() {
    let mut bench = Bench::registered();
    let source = volume::Source {
        r#type: Some(volume::source::Type::CsiVolume.into()),
        ..volume::Source::default()
    };
    let volume = Volume {
        source: Some(source),
        container_path: "data".to_owned(),
        ..Volume::default()
    };
    let container = ContainerInfo {
        r#type: container_info::Type::Mesos.into(),
        volumes: vec![volume],
        ..ContainerInfo::default()
    };
    let with_volume = TaskInfo {
        container: Some(Box::new(container)),
        ..command_task("b")
    };
    group(&mut bench, "pod", [command_task("a"), with_volume]);
    assert!(bench.take_launches().is_empty());
    let updates = bench.drain_updates();
    assert_eq!(of(&updates), [("a", TaskFailed), ("b", TaskFailed)]);
    let message = updates[0].message.as_ref().unwrap();
    assert!(
        message.contains("container.volumes[0].source.csi_volume"),
        "{message}"
    );
    assert!(bench.core.records().frameworks.is_empty());
}

#[test]
fn a_pod_that_is_shut_down_has_no_more_time_than_its_own() {
    let mut bench = Bench::registered();
    let slow = TaskInfo {
        kill_policy: Some(grace(60)),
        ..command_task("a")
    };
    group(&mut bench, "pod", [slow]);
    let launch_id = bench.launch_one();
    bench.event(Event::ContainerStarted { launch_id, pid: 9 });
    bench.drain_updates();
    bench.effects.clear();
    bench.master(Body::ShutdownExecutor(ShutdownExecutor {
        framework_id: framework_id(),
        executor_id: pod("pod").executor_id,
    }));
    assert_eq!(bench.take_signals(), ["signal 15"]);
    group(&mut bench, "pod", [command_task("late")]);
    assert_eq!(of(&bench.drain_updates()), [("late", TaskDropped)]);
    bench.advance(5);
    assert_eq!(bench.take_signals(), ["kill tree"]);
    bench.exit(launch_id, 9);
    assert_eq!(exits(&mut bench), 1);
    assert_eq!(of(&bench.drain_updates()), [("a", TaskKilled)]);
}

#[test]
fn a_pod_goes_on_through_the_death_of_its_agent() {
    let mut bench = Bench::registered();
    let launches = running_group(&mut bench, "pod", &["a", "b", "c"]);
    bench.exit(launches[0], 0);
    bench.drain_updates();
    let mut again = bench.restarted(vec![running(launches[1]), running(launches[2])]);
    again.event(Event::MasterConnected);
    again.admit(1);
    let Some(Body::Reregister(message)) = again.take_to_master().pop() else {
        panic!("it comes back under its id")
    };
    assert_eq!(message.executors.len(), 1);
    assert_eq!(message.executors[0].executor_id.value, "pod");
    assert_eq!(message.tasks.len(), 2);
    again.confirm();
    again.exit(launches[1], 1 << 8);
    assert_eq!(again.take_signals(), ["signal 15"]);
    again.exit(launches[2], 15);
    assert_eq!(exits(&mut again), 1);
    let updates = again.drain_updates();
    assert_eq!(of(&updates), [("b", TaskFailed), ("c", TaskKilled)]);
    let mut last = again.restarted(Vec::new());
    assert!(last.core.records().frameworks.is_empty());
}

#[test]
fn what_ended_while_the_agent_was_dead_ends_its_group() {
    let mut bench = Bench::registered();
    let launches = running_group(&mut bench, "pod", &["a", "b"]);
    let mut again = bench.restarted(vec![exited(launches[0], 256), running(launches[1])]);
    assert_eq!(again.take_signals(), ["signal 15"]);
    again.register();
    again.exit(launches[1], 15);
    assert_eq!(
        of(&again.drain_updates()),
        [("a", TaskFailed), ("b", TaskKilled)]
    );
    // Nothing of it is left, whatever was acknowledged.
    let mut vanished = bench.restarted(Vec::new());
    vanished.register();
    assert_eq!(
        of(&vanished.drain_updates()),
        [("a", TaskFailed), ("b", TaskFailed)]
    );
    assert!(vanished.core.records().frameworks.is_empty());
}

#[test]
fn the_snapshot_of_a_pod_leads_to_the_same_pod() {
    let mut bench = Bench::registered();
    let launches = running_group(&mut bench, "pod", &["a", "b"]);
    bench.exit(launches[0], 0);
    bench.journal = bench.core.snapshot();
    let mut again = bench.restarted(vec![running(launches[1])]);
    again.register();
    again.exit(launches[1], 0);
    assert_eq!(
        of(&again.drain_updates()),
        [("a", TaskFinished), ("b", TaskFinished)]
    );
    assert!(again.core.records().frameworks.is_empty());
}
