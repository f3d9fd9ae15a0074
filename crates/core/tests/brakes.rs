//! What may end for the sake of other work, and how fast: while everything is frozen, after a failover, and many at once.
#![allow(clippy::unwrap_used)]
mod world;

use std::collections::BTreeMap;

use mezz_core::config::Config;
use mezz_core::event::Event;
use mezz_core::key::{RequestKey, StreamKey};
use mezz_core::native::{NativeCall, NativeTask};
use mezz_core::time::SECOND_NS;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_workload::call::{ApplyMode, Call, Conflict, Lasting};
use serde_json::{Value, json};
use v1::TaskState as S;
use world::{Agent, Framework, World};

/// A task without an object, of a priority that lets it have other work of its role end.
fn urgent(world: &mut World, resources: &str) {
    let task = NativeTask {
        name: "urgent".into(),
        id: Some("urgent".into()),
        role: "team".into(),
        priority: 1,
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

fn call(world: &mut World, call: Call) {
    world.feed(Event::Work {
        request: RequestKey(901),
        call: Box::new(call),
        by: None,
    });
}

fn apply(world: &mut World, kind: Kind, name: &str, spec: Value) {
    let object = Object {
        name: Name::new(name).unwrap(),
        labels: BTreeMap::new(),
        spec: Spec::from_json(kind, spec).unwrap(),
        generation: None,
    };
    call(
        world,
        Call::Apply {
            objects: vec![object],
            mode: ApplyMode::Commit,
            conflict: Conflict::Supersede,
        },
    );
}

/// A job that may be ended for the sake of others.
fn batch(more: Value) -> Value {
    let mut spec = json!({
        "preemptible": true,
        "template": { "containers": [{ "command": "true", "resources": { "cpus": 1, "mem": "1Mi" } }] }
    });
    let own = spec.as_object_mut().unwrap();
    own.extend(more.as_object().unwrap().clone());
    spec
}

/// What an agent was told to start, and what to end.
fn sent(world: &mut World, agent: &Agent) -> (Vec<v1::TaskInfo>, Vec<String>) {
    let (mut started, mut killed) = (Vec::new(), Vec::new());
    for body in world.take_bodies(agent) {
        match body {
            Body::RunTasks(run) => started.extend(run.tasks.into_iter().map(|run| run.task)),
            Body::KillTask(kill) => killed.push(kill.task_id.value),
            _ => {}
        }
    }
    (started, killed)
}

fn built_in(world: &World) -> v1::FrameworkInfo {
    let records = world.master.records();
    let mut frameworks = records.frameworks.iter();
    let (_, own) = frameworks.find(|(_, own)| own.built_in).unwrap();
    (*own.info).clone()
}

fn running(world: &mut World, agent: &Agent, task: &str) {
    let own = Framework {
        id: built_in(world).id.unwrap().value,
        stream: StreamKey(0),
        stream_id: String::new(),
    };
    world.update(agent, &own, task, S::TaskRunning, 1);
}

#[test]
fn while_everything_is_frozen_nothing_is_marked_to_end_for_a_task_of_a_high_priority() {
    let mut world = World::new();
    let agent = world.agent("cpus:1;mem:1024");
    apply(&mut world, Kind::Job, "/team/batch", batch(json!({})));
    world.settle();
    let victim = sent(&mut world, &agent).0.remove(0).task_id.value;
    running(&mut world, &agent, &victim);
    let lasts = Lasting::For { ns: 60 * SECOND_NS };
    call(&mut world, Call::Freeze { lasts });
    urgent(&mut world, "cpus:1;mem:1");
    world.pass(40 * SECOND_NS);
    let work = &world.master.records().work;
    let (_, instance) = work.instances.iter().next().unwrap();
    assert_eq!(instance.ending, None);
    assert!(sent(&mut world, &agent).1.is_empty());
    let why = world.master.explain("urgent").unwrap().join("\n");
    assert!(why.contains("nothing ends to make room for it"), "{why}");
    world.pass(25 * SECOND_NS);
    assert_eq!(
        sent(&mut world, &agent).1,
        [victim],
        "it ends when all goes on by itself"
    );
}

#[test]
fn a_run_of_a_cron_or_dag_may_be_ended_for_others_after_a_failover_as_before_it() {
    let node = json!({ "nodes": { "only": { "run": { "job": batch(json!({})) } } } });
    let cron = json!({ "schedules": ["0 0 1 1 *"], "run": { "job": batch(json!({})) } });
    for (kind, spec) in [(Kind::Cron, cron), (Kind::Dag, node)] {
        let mut world = World::new();
        let agent = world.agent("cpus:1;mem:1024");
        apply(&mut world, kind, "/team/batch", spec);
        let name = Name::new("/team/batch").unwrap();
        let begin = match kind {
            Kind::Cron => Call::Fire {
                name,
                parameters: BTreeMap::new(),
                id: None,
            },
            _ => Call::Run {
                name,
                parameters: BTreeMap::new(),
                id: None,
                arguments: None,
            },
        };
        call(&mut world, begin);
        world.settle();
        let info = sent(&mut world, &agent).0.remove(0);
        running(&mut world, &agent, &info.task_id.value);
        let framework = built_in(&world);
        let task = v1::Task {
            name: info.name.clone(),
            task_id: info.task_id.clone(),
            framework_id: framework.id.clone().unwrap(),
            agent_id: v1::AgentId {
                value: agent.id.clone(),
            },
            state: S::TaskRunning as i32,
            resources: info.resources.clone(),
            ..v1::Task::default()
        };
        let mut world = World::restarted(Config::default(), "n", 2, world.store.clone());
        let agent = world.reregister(&agent.id, "cpus:1;mem:1024", vec![framework], vec![task]);
        urgent(&mut world, "cpus:1;mem:1");
        world.pass(10 * SECOND_NS);
        assert_eq!(
            sent(&mut world, &agent).1,
            [info.task_id.value],
            "of a {kind}"
        );
    }
}

#[test]
fn what_ends_for_others_is_told_so_many_at_a_time_like_all_that_ends() {
    let mut world = World::new();
    let agent = world.agent("cpus:250;mem:4096");
    let many = batch(json!({ "completions": 250, "parallelism": 250 }));
    apply(&mut world, Kind::Job, "/team/batch", many);
    world.settle();
    let started = sent(&mut world, &agent).0;
    assert_eq!(started.len(), 250);
    for info in &started {
        running(&mut world, &agent, &info.task_id.value);
    }
    urgent(&mut world, "cpus:250;mem:1");
    world.settle();
    let work = &world.master.records().work;
    let marked = work.instances.iter();
    let marked = marked.filter(|(_, one)| one.ending.is_some()).count();
    assert_eq!(marked, 250);
    let at_once = sent(&mut world, &agent).1.len();
    assert_eq!(at_once, 200, "the burst");
    world.pass(SECOND_NS / 4);
    let later = sent(&mut world, &agent).1.len();
    assert!(
        (20..=30).contains(&later),
        "{later} in a quarter of a second"
    );
    world.pass(SECOND_NS);
    assert_eq!(sent(&mut world, &agent).1.len(), 50 - later);
}
