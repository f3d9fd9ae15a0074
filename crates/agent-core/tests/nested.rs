//! Containers that no executor stands for: who is told what, in which order they end, what outlives the agent.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use mezz_agent_core::{
    ContainerAnswer, ContainerCall, ContainerClass, ContainerLaunch, ContainerPath, Effect, Event,
    LaunchId, RequestId, Termination,
};
use mezz_proto::v1::ContainerId;
use mezz_proto::v1::agent::call::LaunchContainer;
use support::*;

fn call(bench: &mut Bench, request: u64, call: ContainerCall) {
    let request = RequestId(request);
    bench.event(Event::ContainerCall { request, call });
}

fn launch(bench: &mut Bench, request: u64, path: &ContainerPath, class: ContainerClass) {
    let wanted = LaunchContainer {
        container_id: path.to_id(),
        command: Some(command("sleep 1000")),
        ..LaunchContainer::default()
    };
    let launch = ContainerLaunch {
        path: path.clone(),
        class,
        wanted: Arc::new(wanted),
    };
    call(bench, request, ContainerCall::Launch(Box::new(launch)));
}

/// Answers given since the last look.
fn answers(bench: &mut Bench) -> Vec<(u64, ContainerAnswer)> {
    let answer = |effect| match effect {
        Effect::AnswerContainer { request, answer } => Some((request.0, answer)),
        _ => None,
    };
    std::mem::take(&mut bench.effects)
        .into_iter()
        .filter_map(answer)
        .collect()
}

fn killed(bench: &Bench) -> Vec<LaunchId> {
    let launch = |effect: &Effect| match effect {
        Effect::KillTree { launch_id } => Some(*launch_id),
        _ => None,
    };
    bench.effects.iter().filter_map(launch).collect()
}

/// Launches a container and starts it.
fn started(bench: &mut Bench, path: &ContainerPath, class: ContainerClass) -> LaunchId {
    bench.effects.clear();
    launch(bench, 1, path, class);
    let launch_id = bench.launch_one();
    bench.event(Event::ContainerStarted { launch_id, pid: 7 });
    assert_eq!(
        answers(bench),
        [(1, ContainerAnswer::Launched { launch_id })]
    );
    launch_id
}

/// A task that runs, and the name of its container.
fn root(bench: &mut Bench, checkpoint: bool) -> (LaunchId, ContainerPath) {
    let launch_id = bench.running_task(framework(checkpoint, &[]), command_task("t"));
    let records = bench.core.records();
    let container = records.frameworks[0].executors[0].container_id.to_string();
    (launch_id, ContainerPath::of_root(&container))
}

fn ended(wait_status: i32) -> ContainerAnswer {
    ContainerAnswer::Ended(Termination {
        wait_status: Some(wait_status),
        message: None,
    })
}

#[test]
fn a_container_has_ended_when_all_inside_of_it_has() {
    let mut bench = Bench::registered();
    let (_, root) = root(&mut bench, true);
    let (outer, inner) = (root.child("outer"), root.child("outer").child("inner"));
    let first = started(&mut bench, &outer, ContainerClass::Ordinary);
    let second = started(&mut bench, &inner, ContainerClass::Ordinary);
    call(
        &mut bench,
        2,
        ContainerCall::Wait {
            path: outer.clone(),
        },
    );
    bench.exit(first, 3 << 8);
    assert_eq!(killed(&bench), [second]);
    assert_eq!(answers(&mut bench), [], "something lives inside");
    launch(
        &mut bench,
        3,
        &outer.child("late"),
        ContainerClass::Ordinary,
    );
    let text = format!("Parent container {outer} is in 'DESTROYING' state");
    assert_eq!(answers(&mut bench), [(3, ContainerAnswer::Refused(text))]);
    bench.exit(second, 9);
    assert_eq!(answers(&mut bench), [(2, ended(3 << 8))]);
}

#[test]
fn what_waits_for_the_end_of_a_task_s_container_is_told_with_it() {
    let mut bench = Bench::registered();
    let (task, root) = root(&mut bench, true);
    let inner = root.child("inner");
    let launch_id = started(&mut bench, &inner, ContainerClass::Ordinary);
    for (request, path) in [(2, &root), (3, &inner), (4, &inner)] {
        let path = path.clone();
        call(&mut bench, request, ContainerCall::Wait { path });
    }
    bench.event(Event::ContainerCallerGone {
        request: RequestId(4),
    });
    bench.exit(task, 0);
    assert_eq!(killed(&bench), [launch_id]);
    assert_eq!(answers(&mut bench), [(2, ended(0))]);
    bench.exit(launch_id, 9);
    assert_eq!(answers(&mut bench), [(3, ended(9))]);
    assert_eq!(bench.core.records().containers, []);
}

#[test]
fn a_later_agent_knows_what_ran_and_how_it_ended_and_forgets_sessions() {
    let mut bench = Bench::registered();
    let (task, root) = root(&mut bench, true);
    let (kept, over, session) = (root.child("kept"), root.child("over"), root.child("s"));
    let runs = started(&mut bench, &kept, ContainerClass::Ordinary);
    let ends = started(&mut bench, &over, ContainerClass::Ordinary);
    let watches = started(&mut bench, &session, ContainerClass::Session);
    let known = vec![
        running(task),
        running(runs),
        exited(ends, 5 << 8),
        running(watches),
    ];
    let mut next = bench.restarted(known);
    assert_eq!(killed(&next), [watches]);
    next.effects.clear();
    let records = next.core.records();
    let shown: Vec<_> = records
        .containers
        .iter()
        .map(|one| (&one.path, one.pid.is_some()))
        .collect();
    assert_eq!(shown, [(&kept, true), (&over, false)]);
    call(&mut next, 2, ContainerCall::Wait { path: over.clone() });
    assert_eq!(answers(&mut next), [(2, ended(5 << 8))]);
    // What is forgotten stays so, also for the one after.
    call(&mut next, 3, ContainerCall::Remove { path: over.clone() });
    let mut last = next.restarted(vec![running(task), running(runs)]);
    last.effects.clear();
    call(&mut last, 4, ContainerCall::Wait { path: over });
    assert!(matches!(
        answers(&mut last)[..],
        [(4, ContainerAnswer::NotFound(_))]
    ));
}

#[test]
fn what_was_in_a_task_that_has_ended_meanwhile_is_ended() {
    let mut bench = Bench::registered();
    let (task, root) = root(&mut bench, true);
    let launch_id = started(&mut bench, &root.child("inner"), ContainerClass::Ordinary);
    let mut next = bench.restarted(vec![exited(task, 0), running(launch_id)]);
    assert!(killed(&next).contains(&launch_id));
    next.exit(launch_id, 9);
    assert_eq!(next.core.records().containers, []);
    // Without a checkpoint nothing of it is written: the warden ends it with the agent.
    let mut bench = Bench::registered();
    let (_, root) = self::root(&mut bench, false);
    started(&mut bench, &root.child("inner"), ContainerClass::Ordinary);
    let next = bench.restarted(Vec::new());
    assert_eq!(next.core.clone().records().containers, []);
}

#[test]
fn names_of_containers_are_checked_with_those_around_them() {
    let id = |value: &str, parent: Option<ContainerId>| ContainerId {
        value: value.to_owned(),
        parent: parent.map(Box::new),
    };
    let path = ContainerPath::read(&id("b", Some(id("a", None)))).unwrap();
    assert_eq!((path.to_string().as_str(), path.depth()), ("a.b", 1));
    assert_eq!(path.to_id(), id("b", Some(id("a", None))));
    for wrong in ["", ".", "..", "a/b", "a.b", "a b", "a\n", &"a".repeat(243)] {
        ContainerPath::read(&id(wrong, None)).unwrap_err();
        ContainerPath::read(&id("b", Some(id(wrong, None)))).unwrap_err();
    }
    let deep = (0..32).fold(id("a", None), |parent, _| id("a", Some(parent)));
    ContainerPath::read(&deep).unwrap_err();
}
