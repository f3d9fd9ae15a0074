//! Jobs whose instances start all at once: what makes way for them, and what is told of it.
#![allow(clippy::unwrap_used)]
mod world;

use std::collections::{BTreeMap, BTreeSet};

use mezz_core::effect::Reply;
use mezz_core::event::Event;
use mezz_core::key::RequestKey;
use mezz_core::time::SECOND_NS;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_workload::call::{ApplyMode, Call, Conflict};
use v1::TaskState as S;
use world::{Agent, Framework, World, framework_info};

const RESOURCES: &str = "cpus:2;mem:2048";

fn job(name: &str, spec: &serde_json::Value) -> Object {
    let mut whole = serde_json::json!({
        "template": { "containers": [{ "command": "sleep 100", "resources": { "cpus": 1, "mem": "64Mi" } }] }
    });
    let own = whole.as_object_mut().unwrap();
    own.extend(spec.as_object().unwrap().clone());
    Object {
        name: Name::new(name).unwrap(),
        labels: BTreeMap::new(),
        spec: Spec::from_json(Kind::Job, whole).unwrap(),
        generation: None,
    }
}

fn apply(world: &mut World, object: Object) {
    let request = RequestKey(900);
    world.feed(Event::Work {
        request,
        call: Box::new(Call::Apply {
            objects: vec![object],
            mode: ApplyMode::Commit,
            conflict: Conflict::Supersede,
        }),
        by: None,
    });
    assert!(matches!(
        world.replies.remove(&request),
        Some(Reply::Work(_))
    ));
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

/// What was sent to an agent: the ids of tasks to start, and of those to end.
fn sent(world: &mut World, agent: &Agent) -> (Vec<String>, Vec<String>) {
    let (mut started, mut killed) = (Vec::new(), Vec::new());
    for body in world.take_bodies(agent) {
        match body {
            Body::RunTasks(run) => {
                let ids = run.tasks.into_iter().map(|run| run.task.task_id.value);
                started.extend(ids);
            }
            Body::KillTask(kill) => killed.push(kill.task_id.value),
            _ => {}
        }
    }
    (started, killed)
}

/// Batch work that may be ended fills all agents.
fn filled(count: usize) -> (World, Vec<Agent>, BTreeMap<String, usize>) {
    let mut world = World::new();
    let agents: Vec<Agent> = (0..count).map(|_| world.agent(RESOURCES)).collect();
    let wanted = 2 * count;
    apply(
        &mut world,
        job(
            "/team/batch",
            &serde_json::json!({ "preemptible": true, "parallelism": wanted, "completions": wanted }),
        ),
    );
    world.settle();
    let mut running = BTreeMap::new();
    let own = mezz(&world);
    for (nth, agent) in agents.iter().enumerate() {
        for id in sent(&mut world, agent).0 {
            world.update(agent, &own, &id, S::TaskRunning, 1);
            running.insert(id, nth);
        }
    }
    assert_eq!(running.len(), wanted);
    (world, agents, running)
}

fn gang(count: u32, priority: i32) -> Object {
    let spec = serde_json::json!({
        "priority": priority, "gang": true, "parallelism": count, "completions": count
    });
    job("/team/large", &spec)
}

fn why(world: &World) -> String {
    world.master.explain("job/team/large").unwrap().join("\n")
}

#[test]
fn a_gang_of_higher_priority_has_as_much_batch_work_end_as_it_needs_and_starts_when_all_has_ended()
{
    let (mut world, agents, running) = filled(3);
    apply(&mut world, gang(3, 5));
    world.pass(5 * SECOND_NS);
    let killed: Vec<String> = agents
        .iter()
        .flat_map(|agent| sent(&mut world, agent).1)
        .collect();
    let distinct: BTreeSet<&String> = killed.iter().collect();
    assert_eq!((killed.len(), distinct.len()), (3, 3), "{killed:?}");
    assert!(
        why(&world).contains(
            "all 3 instances have to find room at once, and there is room for 0\n\
             3 instances of lower priority are ending to make room for it"
        ),
        "{}",
        why(&world)
    );
    let own = mezz(&world);
    for (nth, id) in killed.iter().enumerate() {
        for agent in &agents {
            assert!(sent(&mut world, agent).0.is_empty(), "{nth} have ended");
        }
        world.update(&agents[running[id]], &own, id, S::TaskKilled, 2);
        world.settle();
    }
    let started: Vec<String> = agents
        .iter()
        .flat_map(|agent| sent(&mut world, agent).0)
        .collect();
    assert_eq!(started.len(), 3);
    assert!(started.iter().all(|id| id.starts_with("team_large.")));
    assert!(!why(&world).contains("room"), "{}", why(&world));
    let runs = &world.master.records().work.runs;
    let mut runs = runs.iter().map(|(_, run)| run.counts.failed);
    assert!(runs.all(|failed| failed == 0), "nobody is to blame");
}

#[test]
fn nothing_ends_for_a_gang_that_would_still_not_fit() {
    let (mut world, agents, _) = filled(2);
    apply(&mut world, gang(5, 5));
    world.pass(30 * SECOND_NS);
    for agent in &agents {
        assert_eq!(sent(&mut world, agent), (Vec::new(), Vec::new()));
    }
    assert!(
        why(&world).contains(
            "all 5 instances have to find room at once, and there is room for 0; without the work of lower priority \
             that may be ended for them it would be 4, so none is ended"
        ),
        "{}",
        why(&world)
    );
    world.agent(RESOURCES);
    world.pass(5 * SECOND_NS);
    let killed = agents.iter().map(|agent| sent(&mut world, agent).1.len());
    assert_eq!(
        killed.sum::<usize>(),
        3,
        "once it helps, as few as it takes"
    );
}

#[test]
fn offers_that_a_framework_lets_lie_are_taken_back_for_a_gang_before_anything_ends() {
    let mut world = World::new();
    let agents = [(); 3].map(|()| world.agent(RESOURCES));
    apply(
        &mut world,
        job("/team/batch", &serde_json::json!({ "preemptible": true })),
    );
    world.settle();
    let idle = world.subscribe(framework_info("idle", &["idle"], &[]));
    assert_eq!(world.take_offers(&idle).len(), 3);
    let own = mezz(&world);
    let batch = agents.iter().find_map(|agent| {
        let id = sent(&mut world, agent).0.pop()?;
        world.update(agent, &own, &id, S::TaskRunning, 1);
        Some(id)
    });
    assert!(batch.is_some());
    apply(&mut world, gang(5, 5));
    world.pass(3 * SECOND_NS);
    let sent = agents.map(|agent| sent(&mut world, &agent));
    let started = sent.iter().map(|(started, _)| started.len());
    assert_eq!(started.sum::<usize>(), 5);
    assert!(sent.iter().all(|(_, killed)| killed.is_empty()), "{sent:?}");
}
