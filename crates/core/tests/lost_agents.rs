//! Agents that stay away: the pace of their removal, its limit after a failover, and when they are forgotten.
#![allow(clippy::unwrap_used)]
mod world;

use mezz_core::config::Config;
use mezz_core::event::Event;
use mezz_core::records::AgentState;
use mezz_core::time::SECOND_NS;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use prost::Message;
use v1::TaskState as S;
use v1::framework_info::capability::Type as Capability;
use v1::scheduler::call;
use world::{Agent, Framework, World, framework_info, task};

const RESOURCES: &str = "cpus:4;mem:4096";

fn states(world: &World) -> Vec<AgentState> {
    let agents = world.master.records().agents.iter();
    agents.map(|(_, agent)| agent.state).collect()
}

fn lost(world: &World) -> usize {
    let states = states(world);
    let is_lost = |state: &&AgentState| **state == AgentState::Unreachable;
    states.iter().filter(is_lost).count()
}

fn counter(world: &World, name: &str) -> u64 {
    let mut values = world.master.records().metrics.iter();
    values.find(|(key, _)| key == name).unwrap().1
}

fn reconciled(world: &mut World, framework: &Framework, agent: &Agent) -> S {
    let asked = call::reconcile::Task {
        task_id: v1::TaskId { value: "t".into() },
        agent_id: Some(v1::AgentId {
            value: agent.id.clone(),
        }),
    };
    world.call(framework, call::Type::Reconcile, |call| {
        call.reconcile = Some(call::Reconcile { tasks: vec![asked] });
    });
    world.take_updates(framework)[0].state()
}

fn paced() -> Config {
    Config {
        agent_removal_interval_ns: Some(600 * SECOND_NS),
        ..Config::default()
    }
}

#[test]
fn removals_of_agents_keep_their_pace() {
    let mut world = World::with(paced());
    for _ in 0..3 {
        world.agent(RESOURCES);
    }
    world.pass(200 * SECOND_NS);
    assert_eq!(lost(&world), 1);
    world.pass(600 * SECOND_NS);
    assert_eq!(lost(&world), 2);
    world.pass(600 * SECOND_NS);
    assert_eq!(lost(&world), 3);
}

#[test]
fn an_agent_that_answers_before_its_turn_is_not_removed() {
    let mut world = World::with(paced());
    let agents = [world.agent(RESOURCES), world.agent(RESOURCES)];
    world.pass(200 * SECOND_NS);
    let waiting = usize::from(states(&world)[0] == AgentState::Unreachable);
    for _ in 0..60 {
        world.feed(Event::Agent {
            session: agents[waiting].session,
            body: Box::new(Body::Pong(mezz_proto::agent_protocol::Pong {})),
        });
        world.pass(15 * SECOND_NS);
    }
    assert_eq!(lost(&world), 1);
    assert_eq!(counter(&world, "master/slave_unreachable_scheduled"), 2);
    assert_eq!(counter(&world, "master/slave_unreachable_completed"), 1);
    assert_eq!(counter(&world, "master/slave_unreachable_canceled"), 1);
}

#[test]
#[should_panic(expected = "did not come back after the failover")]
fn a_leader_whose_agents_stay_away_steps_down_instead_of_removing_them() {
    let config = Config {
        recovery_agent_removal_limit: 4_000,
        ..Config::default()
    };
    let mut before = World::with(config.clone());
    let kept = before.agent(RESOURCES);
    before.agent(RESOURCES);
    let mut world = World::restarted(config, "m2", 2, before.store);
    let kept = world.reregister(&kept.id, RESOURCES, Vec::new(), Vec::new());
    for _ in 0..42 {
        world.feed(Event::Agent {
            session: kept.session,
            body: Box::new(Body::Pong(mezz_proto::agent_protocol::Pong {})),
        });
        world.pass(15 * SECOND_NS);
    }
}

fn with_lost_agent(config: Config) -> (World, Agent, Framework, Vec<v1::Task>) {
    let mut world = World::with(config);
    let agent = world.agent(RESOURCES);
    let mut info = framework_info("f", &["dev"], &[Capability::PartitionAware]);
    info.checkpoint = Some(true);
    let framework = world.subscribe(info);
    let offers = world.take_offers(&framework);
    let launched = task("t", &offers[0].agent_id, "cpus:1;mem:32");
    world.accept(&framework, &offers, vec![launched]);
    world.update(&agent, &framework, "t", S::TaskRunning, 1);
    let tasks = world.master.records().tasks.iter();
    let tasks = tasks.map(|(_, task)| v1::Task::decode(task.wire.clone()).unwrap());
    let tasks = tasks.collect();
    world.pass(100 * SECOND_NS);
    assert_eq!(lost(&world), 1);
    world.take_events(&framework);
    (world, agent, framework, tasks)
}

#[test]
fn forgotten_agents_are_answered_with_unknown_instead_of_unreachable() {
    let limits = [
        Config {
            registry_max_agent_age_ns: 400 * SECOND_NS,
            ..Config::default()
        },
        Config {
            registry_max_agent_count: 0,
            ..Config::default()
        },
    ];
    for config in limits {
        let (mut world, agent, framework, _) = with_lost_agent(config);
        assert_eq!(
            reconciled(&mut world, &framework, &agent),
            S::TaskUnreachable
        );
        world.pass(1000 * SECOND_NS);
        assert_eq!(states(&world), [AgentState::Removed]);
        assert_eq!(reconciled(&mut world, &framework, &agent), S::TaskUnknown);
        let again = World::restarted(Config::default(), "m2", 2, world.store);
        assert_eq!(states(&again), []);
    }
}

#[test]
fn a_forgotten_agent_comes_back_with_its_tasks() {
    let config = Config {
        registry_max_agent_count: 0,
        ..Config::default()
    };
    let (mut world, agent, framework, tasks) = with_lost_agent(config);
    let frameworks = world.master.records().frameworks.iter();
    let frameworks = frameworks.map(|(_, framework)| (*framework.info).clone());
    let frameworks = frameworks.collect();
    world.pass(1000 * SECOND_NS);
    let back = world.reregister(&agent.id, RESOURCES, frameworks, tasks);
    assert_eq!(world.take_updates(&framework)[0].state(), S::TaskRunning);
    let kills = world.take_bodies(&back);
    assert!(!kills.iter().any(|body| matches!(body, Body::KillTask(_))));
}
