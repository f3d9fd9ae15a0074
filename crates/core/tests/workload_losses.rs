//! Instances whose agent, or whose object, is lost: what is waited for, what is replaced, and what is ended.
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

const RESOURCES: &str = "cpus:1;mem:1024;ports:[31000-32000]";

fn apply(world: &mut World, kind: Kind, name: &str, spec: serde_json::Value) {
    let object = Object {
        name: Name::new(name).unwrap(),
        labels: BTreeMap::new(),
        spec: Spec::from_json(kind, spec).unwrap(),
        generation: None,
    };
    world.feed(Event::Work {
        request: RequestKey(900),
        call: Box::new(Call::Apply {
            objects: vec![object],
            mode: ApplyMode::Commit,
            conflict: Conflict::Supersede,
        }),
        by: None,
    });
    world.settle();
}

fn sleeper() -> serde_json::Value {
    serde_json::json!([{ "command": "sleep 100", "resources": { "cpus": 0.5 } }])
}

fn service(unreachable: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({ "unreachable": unreachable, "template": { "containers": sleeper() } })
}

fn launched(world: &mut World, agent: &Agent) -> Vec<v1::TaskInfo> {
    let bodies = world.take_bodies(agent);
    let launches = bodies.into_iter().filter_map(|body| match body {
        Body::RunTasks(run) => Some(run.tasks),
        _ => None,
    });
    launches.flatten().map(|task| task.task).collect()
}

fn killed(world: &mut World, agent: &Agent) -> Vec<String> {
    let bodies = world.take_bodies(agent);
    let kills = bodies.into_iter().filter_map(|body| match body {
        Body::KillTask(kill) => Some(kill.task_id.value),
        _ => None,
    });
    kills.collect()
}

fn built_in(world: &World) -> v1::FrameworkInfo {
    let records = world.master.records();
    let mut frameworks = records.frameworks.iter();
    let (_, own) = frameworks.find(|(_, own)| own.built_in).unwrap();
    (*own.info).clone()
}

fn run(world: &mut World, agent: &Agent, info: &v1::TaskInfo) {
    let own = Framework {
        id: built_in(world).id.unwrap().value,
        stream: mezz_core::key::StreamKey(0),
        stream_id: String::new(),
    };
    world.update(agent, &own, &info.task_id.value, S::TaskRunning, 1);
}

/// What an agent says of a task that runs there.
fn running(world: &World, agent: &str, info: &v1::TaskInfo) -> v1::Task {
    v1::Task {
        name: info.name.clone(),
        task_id: info.task_id.clone(),
        framework_id: built_in(world).id.unwrap(),
        agent_id: v1::AgentId {
            value: agent.to_owned(),
        },
        state: S::TaskRunning as i32,
        resources: info.resources.clone(),
        ..v1::Task::default()
    }
}

fn back(world: &mut World, agent: &Agent, tasks: Vec<v1::Task>) -> Agent {
    let frameworks = vec![built_in(world)];
    world.reregister(&agent.id, RESOURCES, frameworks, tasks)
}

/// Lets time pass in which an agent answers.
fn wait(world: &mut World, agent: &Agent, span_ns: u64) {
    for _ in 0..span_ns.div_ceil(10 * SECOND_NS) {
        world.feed(Event::Agent {
            session: agent.session,
            body: Box::new(Body::Pong(mezz_proto::agent_protocol::Pong {})),
        });
        world.pass(10 * SECOND_NS);
    }
}

const AWAY_NS: u64 = 610 * SECOND_NS;

/// One agent is lost while the other answers.
fn lose(world: &mut World, agent: &Agent, other: &Agent) {
    world.feed(Event::SessionClosed(agent.session));
    wait(world, other, AWAY_NS);
}

fn next_master(world: &World, epoch: u64) -> World {
    World::restarted(Config::default(), "n", epoch, world.store.clone())
}

/// One instance that runs on an agent.
fn one_running(unreachable: &serde_json::Value) -> (World, Agent, v1::TaskInfo) {
    let mut world = World::new();
    let agent = world.agent(RESOURCES);
    // Ids of instances follow from the time of their start, and the next master begins at the same.
    world.pass(SECOND_NS);
    apply(&mut world, Kind::Service, "/team/web", service(unreachable));
    let info = launched(&mut world, &agent).remove(0);
    run(&mut world, &agent, &info);
    (world, agent, info)
}

#[test]
fn an_instance_that_is_never_replaced_waits_for_its_agent_under_the_next_master_too() {
    let never = serde_json::json!({ "replace_after": "never", "expunge_after": "never" });
    let (mut world, lost, info) = one_running(&never);
    let other = world.agent(RESOURCES);
    lose(&mut world, &lost, &other);
    assert_eq!(launched(&mut world, &other), []);
    let mut world = next_master(&world, 2);
    let other = back(&mut world, &other, Vec::new());
    wait(&mut world, &other, 3600 * SECOND_NS);
    assert_eq!(launched(&mut world, &other), []);
    let task = running(&world, &lost.id, &info);
    let returned = back(&mut world, &lost, vec![task]);
    world.pass(60 * SECOND_NS);
    assert_eq!(killed(&mut world, &returned), Vec::<String>::new());
    assert_eq!(launched(&mut world, &other), []);
    assert_eq!(world.master.records().work.instances.len(), 1);
}

#[test]
fn an_instance_is_replaced_after_its_time_and_ended_when_it_comes_back() {
    let rule = serde_json::json!({ "replace_after": 1000, "expunge_after": "never" });
    let (mut world, lost, info) = one_running(&rule);
    let other = world.agent(RESOURCES);
    lose(&mut world, &lost, &other);
    assert_eq!(launched(&mut world, &other), []);
    wait(&mut world, &other, AWAY_NS);
    let fresh = launched(&mut world, &other);
    assert_eq!(fresh.len(), 1);
    run(&mut world, &other, &fresh[0]);
    let task = running(&world, &lost.id, &info);
    let returned = back(&mut world, &lost, vec![task]);
    world.pass(SECOND_NS);
    assert_eq!(killed(&mut world, &returned), [info.task_id.value]);
}

#[test]
fn an_attempt_that_is_waited_for_is_not_started_again_by_the_next_master() {
    let mut world = World::new();
    let lost = world.agent(RESOURCES);
    let job = serde_json::json!({ "lost_after": "never", "template": { "containers": sleeper() } });
    apply(&mut world, Kind::Job, "/team/batch", job);
    let info = launched(&mut world, &lost).remove(0);
    run(&mut world, &lost, &info);
    let other = world.agent(RESOURCES);
    lose(&mut world, &lost, &other);
    let mut world = next_master(&world, 2);
    let other = back(&mut world, &other, Vec::new());
    wait(&mut world, &other, 3600 * SECOND_NS);
    assert_eq!(launched(&mut world, &other), []);
}

#[test]
fn an_attempt_whose_agent_stays_away_after_a_failover_is_given_up_after_its_time_only() {
    let mut world = World::new();
    let lost = world.agent(RESOURCES);
    let job = serde_json::json!({ "lost_after": 100, "template": { "containers": sleeper() } });
    apply(&mut world, Kind::Job, "/team/batch", job);
    let info = launched(&mut world, &lost).remove(0);
    run(&mut world, &lost, &info);
    let other = world.agent(RESOURCES);
    let mut world = next_master(&world, 2);
    let other = back(&mut world, &other, Vec::new());
    wait(&mut world, &other, AWAY_NS + 80 * SECOND_NS);
    assert_eq!(launched(&mut world, &other), []);
    wait(&mut world, &other, 20 * SECOND_NS);
    let again = launched(&mut world, &other);
    assert_eq!(again.len(), 1);
    assert_ne!(again[0].task_id, info.task_id);
}

#[test]
fn what_nobody_knows_is_ended_once_all_agents_have_reported_and_not_before() {
    let (mut world, agent, info) = one_running(&serde_json::json!({}));
    let _silent = world.agent(RESOURCES);
    let mut store = world.store.clone();
    store.retain(|key, _| !key.starts_with("core/work/instance/"));
    let task = running(&world, &agent.id, &info);
    let frameworks = vec![built_in(&world)];
    let mut world = World::restarted(Config::default(), "n", 2, store);
    let returned = world.reregister(&agent.id, RESOURCES, frameworks, vec![task]);
    wait(&mut world, &returned, 60 * SECOND_NS);
    assert_eq!(killed(&mut world, &returned), Vec::<String>::new());
    wait(&mut world, &returned, AWAY_NS);
    assert_eq!(killed(&mut world, &returned), [info.task_id.value]);
}

#[test]
fn the_ports_of_a_native_task_are_not_given_again_by_the_next_master() {
    let mut world = World::new();
    let agent = world.agent(RESOURCES);
    let task = |name: &str| NativeTask {
        name: name.into(),
        id: None,
        role: "*".into(),
        resources: mezz_resource::parse_text("cpus:0.1;mem:32", "*")
            .unwrap()
            .to_proto(),
        priority: 0,
        port_count: 1,
        command: v1::CommandInfo {
            value: Some("serve".into()),
            ..v1::CommandInfo::default()
        },
        container: None,
        labels: None,
        kill_policy: None,
    };
    let native = |world: &mut World, name: &str| {
        world.feed(Event::Native {
            request: RequestKey(901),
            call: Box::new(NativeCall::Run(Box::new(task(name)))),
        });
        world.settle();
    };
    native(&mut world, "first");
    let first = launched(&mut world, &agent).remove(0);
    run(&mut world, &agent, &first);
    let mut world = next_master(&world, 2);
    let task = running(&world, &agent.id, &first);
    let agent = back(&mut world, &agent, vec![task]);
    native(&mut world, "second");
    let second = launched(&mut world, &agent).remove(0);
    let ports = |info: &v1::TaskInfo| {
        let found = info.resources.iter().find(|one| one.name == "ports");
        found.cloned().unwrap().ranges
    };
    assert_ne!(ports(&first), ports(&second));
}

#[test]
fn an_instance_that_was_to_end_when_its_agent_was_lost_ends_when_it_is_back() {
    let never = serde_json::json!({ "replace_after": "never", "expunge_after": "never" });
    let (world, lost, info) = one_running(&never);
    let mut world = next_master(&world, 2);
    // Nothing is told to end before all agents have reported; then this one is away.
    world.feed(Event::Work {
        request: RequestKey(902),
        call: Box::new(Call::KillInstances {
            ids: vec![info.task_id.value.clone()],
            scale_down: false,
        }),
        by: None,
    });
    world.pass(Config::default().agent_reregister_timeout_ns + SECOND_NS);
    let phase = |world: &World| {
        let work = &world.master.records().work;
        work.instances.iter().next().map(|(_, one)| one.phase)
    };
    let away = mezz_workload::records::Phase::Unreachable;
    assert_eq!(phase(&world), Some(away));
    let task = running(&world, &lost.id, &info);
    let returned = back(&mut world, &lost, vec![task]);
    world.pass(SECOND_NS);
    assert_eq!(killed(&mut world, &returned), [info.task_id.value]);
}

#[test]
fn an_agent_that_is_forgotten_frees_what_waited_for_it() {
    let never = serde_json::json!({ "replace_after": "never", "expunge_after": "never" });
    let config = Config {
        registry_max_agent_age_ns: 1000 * SECOND_NS,
        ..Config::default()
    };
    let mut world = World::with(config);
    let lost = world.agent(RESOURCES);
    apply(&mut world, Kind::Service, "/team/web", service(&never));
    let info = launched(&mut world, &lost).remove(0);
    run(&mut world, &lost, &info);
    let other = world.agent(RESOURCES);
    lose(&mut world, &lost, &other);
    assert_eq!(launched(&mut world, &other), []);
    wait(&mut world, &other, 2000 * SECOND_NS);
    assert_eq!(launched(&mut world, &other).len(), 1);
}
