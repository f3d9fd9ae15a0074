//! Containers that use more than they may, and what is told of those that may use other amounts than before.

#![allow(clippy::unwrap_used)]

mod support;

use TaskState::{TaskFailed, TaskKilled, TaskRunning, TaskStarting};
use mezz_agent_core::{Effect, Event, LaunchId, Limit, Limitation, LimitationCause};
use mezz_proto::v1::task_status::{Reason, Source};
use mezz_proto::v1::value::{self, Type};
use mezz_proto::v1::{Resource, TaskInfo, TaskState, TaskStatus};
use mezz_resource::Scalar;
use support::checks::statuses;
use support::*;

fn scalar(name: &str, value: f64) -> Resource {
    Resource {
        name: name.to_owned(),
        r#type: Type::Scalar.into(),
        scalar: Some(value::Scalar { value }),
        ..Resource::default()
    }
}

fn with_mem(task: TaskInfo, value: f64) -> TaskInfo {
    TaskInfo {
        resources: vec![scalar("mem", value)],
        ..task
    }
}

fn limited(launch_id: LaunchId, message: &str) -> Event {
    Event::ContainerLimited {
        launch_id,
        limitation: Box::new(Limitation {
            cause: LimitationCause::Memory,
            message: message.to_owned(),
            resources: vec![scalar("mem", 64.0)],
        }),
    }
}

fn kills(bench: &mut Bench) -> Vec<LaunchId> {
    bench.take(|effect| match effect {
        Effect::KillTree { launch_id } => Some(*launch_id),
        _ => None,
    })
}

fn started(bench: &mut Bench, task: TaskInfo) -> LaunchId {
    bench.run(framework(true, &[]), [task]);
    let launch_id = bench.launch_one();
    bench.event(Event::ContainerStarted { launch_id, pid: 5 });
    launch_id
}

#[test]
fn a_launch_says_what_its_task_may_use() {
    let mut bench = Bench::registered();
    let limits = [("mem".to_owned(), value::Scalar { value: 128.0 })];
    let task = TaskInfo {
        limits: limits.into(),
        ..with_mem(command_task("t"), 64.0)
    };
    bench.run(framework(true, &[]), [task]);
    let launch = bench.take_launches().remove(0);
    assert_eq!(launch.allotment.mem, Scalar::whole(64));
    assert_eq!(
        launch.allotment.mem_limit,
        Some(Limit::At(Scalar::whole(128)))
    );
}

#[test]
fn a_task_that_uses_too_much_is_ended_and_fails_for_that() {
    let mut bench = Bench::registered();
    let launch_id = started(&mut bench, command_task("t"));
    bench.event(limited(launch_id, "Memory limit exceeded: "));
    assert_eq!(kills(&mut bench), [launch_id]);
    bench.event(limited(launch_id, "once more"));
    assert_eq!(kills(&mut bench), []);
    bench.exit(launch_id, 9);
    let seen = statuses(&mut bench);
    let states: Vec<_> = seen.iter().map(TaskStatus::state).collect();
    assert_eq!(states, [TaskStarting, TaskRunning, TaskFailed]);
    let last = seen.last().unwrap();
    assert_eq!(last.source(), Source::Agent);
    assert_eq!(last.reason(), Reason::ContainerLimitationMemory);
    assert_eq!(last.message(), "Memory limit exceeded: ");
    let resources = &last.limitation.as_ref().unwrap().resources;
    assert_eq!(resources, &[scalar("mem", 64.0)]);
}

#[test]
fn what_ended_while_the_agent_was_away_fails_for_that_too() {
    let mut bench = Bench::registered();
    let launch_id = started(&mut bench, command_task("t"));
    let limitation = Limitation {
        cause: LimitationCause::Disk,
        message: "Disk usage (2MB) exceeds quota (1MB)".to_owned(),
        resources: vec![scalar("disk", 1.0)],
    };
    let mut later =
        bench.restarted_limited(vec![exited(launch_id, 9)], vec![(launch_id, limitation)]);
    later.register();
    let last = statuses(&mut later).pop().unwrap();
    assert_eq!(last.reason(), Reason::ContainerLimitationDisk);
}

#[test]
fn a_task_that_was_killed_before_is_not_said_to_have_used_too_much() {
    let mut bench = Bench::registered();
    let launch_id = started(&mut bench, command_task("t"));
    bench.kill("t", None);
    bench.exit(launch_id, 15);
    bench.event(limited(launch_id, "late"));
    let last = statuses(&mut bench).pop().unwrap();
    assert_eq!(last.state(), TaskKilled);
}

#[test]
fn tasks_of_a_custom_executor_fail_with_what_it_used() {
    let mut bench = Bench::registered();
    let task = executor_task("t", "E");
    bench.run(framework(true, &[]), [task]);
    let launch_id = bench.launch_one();
    bench.event(Event::ContainerStarted { launch_id, pid: 5 });
    bench.event(limited(launch_id, "too much"));
    assert_eq!(kills(&mut bench), [launch_id]);
    bench.exit(launch_id, 9);
    let last = statuses(&mut bench).pop().unwrap();
    assert_eq!(last.state(), TaskFailed);
    assert_eq!(last.reason(), Reason::ContainerLimitationMemory);
    assert!(last.limitation.is_some());
}

#[test]
fn a_custom_executor_may_use_more_with_each_task_that_comes() {
    let mut bench = Bench::registered();
    let task = |id: &str| with_mem(executor_task(id, "E"), 64.0);
    bench.run(framework(true, &[]), [task("a")]);
    let launch = bench.take_launches().remove(0);
    assert_eq!(launch.allotment.mem, Scalar::whole(64));
    bench.run(framework(true, &[]), [task("b")]);
    let resized = bench.take(|effect| match effect {
        Effect::Resize {
            launch_id,
            allotment,
        } => Some((*launch_id, allotment.mem)),
        _ => None,
    });
    assert_eq!(resized, [(launch.launch_id, Scalar::whole(128))]);
}
