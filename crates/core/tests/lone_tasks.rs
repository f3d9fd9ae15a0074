//! Tasks that are run without an object: they wait for their turn like all other work, by share and by priority.
#![allow(clippy::unwrap_used)]
mod world;

use std::collections::BTreeMap;

use mezz_core::config::Config;
use mezz_core::event::Event;
use mezz_core::key::RequestKey;
use mezz_core::native::{NativeCall, NativeTask};
use mezz_core::time::SECOND_NS;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_workload::call::{ApplyMode, Call, Conflict};
use v1::TaskState as S;
use world::{Agent, Framework, World};

fn run(world: &mut World, name: &str, (role, priority): (&str, i32), resources: &str) {
    let task = NativeTask {
        name: name.into(),
        id: Some(name.into()),
        role: role.into(),
        priority,
        resources: mezz_resource::parse_text(resources, "*")
            .unwrap()
            .to_proto(),
        port_count: 0,
        command: v1::CommandInfo {
            value: Some("sleep 9".into()),
            ..v1::CommandInfo::default()
        },
        container: None,
        labels: None,
        kill_policy: None,
    };
    world.feed(Event::Native {
        request: RequestKey(900),
        call: Box::new(NativeCall::Run(Box::new(task))),
    });
}

fn apply(world: &mut World, kind: Kind, name: &str, spec: serde_json::Value) {
    let object = Object {
        name: Name::new(name).unwrap(),
        labels: BTreeMap::new(),
        spec: Spec::from_json(kind, spec).unwrap(),
        generation: None,
    };
    world.feed(Event::Work {
        request: RequestKey(901),
        call: Box::new(Call::Apply {
            objects: vec![object],
            mode: ApplyMode::Commit,
            conflict: Conflict::Supersede,
        }),
        by: None,
    });
}

/// What an agent was told to start and to end since the last look.
fn sent(world: &mut World, agent: &Agent) -> (Vec<String>, Vec<String>) {
    let (mut started, mut killed) = (Vec::new(), Vec::new());
    for body in world.take_bodies(agent) {
        match body {
            Body::RunTasks(run) => {
                started.extend(run.tasks.into_iter().map(|run| run.task.task_id.value));
            }
            Body::KillTask(kill) => killed.push(kill.task_id.value),
            _ => {}
        }
    }
    (started, killed)
}

fn mezz(world: &World) -> Framework {
    let records = world.master.records();
    let mut frameworks = records.frameworks.iter();
    let (_, own) = frameworks.find(|(_, own)| own.built_in).unwrap();
    Framework {
        id: own.id.to_string(),
        stream: mezz_core::key::StreamKey(0),
        stream_id: String::new(),
    }
}

/// A task ends, and what starts in its place.
fn next_after(world: &mut World, agent: &Agent, ended: &str) -> Vec<String> {
    let own = mezz(world);
    world.update(agent, &own, ended, S::TaskRunning, 1);
    world.update(agent, &own, ended, S::TaskFinished, 2);
    world.settle();
    sent(world, agent).0
}

const JOB: &str = r#"{"priority":5,"template":{"containers":[{"command":"true","resources":{"cpus":1,"mem":"32Mi"}}]}}"#;

#[test]
fn the_highest_priority_goes_first_whether_it_is_a_task_or_a_job() {
    let mut world = World::new();
    let agent = world.agent("cpus:1;mem:1024");
    run(&mut world, "first", ("team", 0), "cpus:1;mem:32");
    world.settle();
    assert_eq!(sent(&mut world, &agent).0, ["first"]);
    run(&mut world, "low", ("team", -1), "cpus:1;mem:32");
    run(&mut world, "plain", ("team", 0), "cpus:1;mem:32");
    apply(
        &mut world,
        Kind::Job,
        "/team/job",
        serde_json::from_str(JOB).unwrap(),
    );
    run(&mut world, "high", ("team", 9), "cpus:1;mem:32");
    world.settle();
    let why = world.master.explain("low").unwrap().join("\n");
    assert_eq!(
        why,
        "it waits its turn behind work of priority 9\n1 agent lacks cpus:1"
    );
    let mut last = "first".to_owned();
    for expected in ["high", "team_job.", "plain", "low"] {
        let started = next_after(&mut world, &agent, &last);
        assert_eq!(started.len(), 1, "one at a time");
        assert!(started[0].starts_with(expected), "{started:?}");
        last.clone_from(&started[0]);
    }
}

#[test]
fn a_task_of_a_role_above_its_share_waits_for_a_service_of_one_below() {
    let mut world = World::new();
    let agent = world.agent("cpus:4;mem:4096");
    for name in ["a", "b", "c", "d", "e"] {
        run(&mut world, name, ("greedy", 0), "cpus:1;mem:32");
    }
    world.settle();
    assert_eq!(sent(&mut world, &agent).0, ["a", "b", "c", "d"]);
    let web = serde_json::json!({
        "template": { "containers": [{ "command": "serve", "resources": { "cpus": 1, "mem": "32Mi" } }] }
    });
    apply(&mut world, Kind::Service, "/modest/web", web);
    world.settle();
    let started = next_after(&mut world, &agent, "a");
    assert_eq!(started.len(), 1);
    assert!(started[0].starts_with("modest_web."), "{started:?}");
    assert_eq!(next_after(&mut world, &agent, "b"), ["e"]);
}

#[test]
fn a_task_of_a_high_priority_has_preemptible_work_of_its_role_end() {
    let mut world = World::new();
    let agent = world.agent("cpus:1;mem:1024");
    let batch = serde_json::json!({
        "preemptible": true,
        "template": { "containers": [{ "command": "true", "resources": { "cpus": 1, "mem": "32Mi" } }] }
    });
    apply(&mut world, Kind::Job, "/team/batch", batch);
    world.settle();
    let victim = sent(&mut world, &agent).0.remove(0);
    let own = mezz(&world);
    world.update(&agent, &own, &victim, S::TaskRunning, 1);
    run(&mut world, "urgent", ("team", 1), "cpus:1;mem:32");
    world.pass(5 * SECOND_NS);
    assert_eq!(sent(&mut world, &agent).1, [victim.as_str()]);
    let why = world.master.explain("urgent").unwrap().join("\n");
    assert_eq!(
        why,
        "1 instance of lower priority is ending to make room for it\n1 agent lacks cpus:1"
    );
    world.update(&agent, &own, &victim, S::TaskKilled, 2);
    world.settle();
    assert_eq!(sent(&mut world, &agent).0, ["urgent"]);
}

#[test]
fn small_tasks_do_not_starve_a_large_one() {
    let mut world = World::new();
    let agent = world.agent("cpus:4;mem:4096");
    for nth in 0..60 {
        run(
            &mut world,
            &format!("t{nth}"),
            ("small", 0),
            "cpus:1;mem:32",
        );
    }
    world.settle();
    let mut running = sent(&mut world, &agent).0;
    assert_eq!(running.len(), 4);
    run(&mut world, "large", ("large", 0), "cpus:4;mem:32");
    world.settle();
    let own = mezz(&world);
    for _ in 0..30 {
        if running.is_empty() {
            break;
        }
        let ended = running.remove(0);
        world.update(&agent, &own, &ended, S::TaskRunning, 1);
        world.update(&agent, &own, &ended, S::TaskFinished, 2);
        world.pass(SECOND_NS);
        running.extend(sent(&mut world, &agent).0);
        if running.contains(&"large".to_owned()) {
            return;
        }
    }
    panic!("the large one starves");
}

#[test]
fn a_waiting_task_keeps_its_priority_when_the_next_master_takes_over() {
    let mut world = World::new();
    run(&mut world, "low", ("team", 0), "cpus:1;mem:32");
    run(&mut world, "high", ("team", 7), "cpus:1;mem:32");
    let mut world = World::restarted(Config::default(), "n", 2, world.store.clone());
    let agent = world.agent("cpus:1;mem:1024");
    world.pass(60 * SECOND_NS);
    assert_eq!(sent(&mut world, &agent).0, ["high"]);
    assert_eq!(next_after(&mut world, &agent, "high"), ["low"]);
}

#[test]
fn a_task_that_waits_can_be_killed_and_its_turn_is_gone() {
    let mut world = World::new();
    let agent = world.agent("cpus:1;mem:1024");
    run(&mut world, "first", ("team", 0), "cpus:1;mem:32");
    run(&mut world, "second", ("team", 5), "cpus:1;mem:32");
    run(&mut world, "third", ("team", 0), "cpus:1;mem:32");
    world.settle();
    let started = sent(&mut world, &agent).0;
    assert_eq!(started, ["second"]);
    world.feed(Event::Native {
        request: RequestKey(902),
        call: Box::new(NativeCall::Kill {
            task_id: "first".into(),
            framework_id: None,
            grace_period_ns: None,
        }),
    });
    assert_eq!(next_after(&mut world, &agent, "second"), ["third"]);
}
