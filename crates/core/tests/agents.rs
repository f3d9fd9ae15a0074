//! Agents: loss, return, restart of the master.
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
use v1::task_status::Reason;
use world::{Agent, Framework, World, framework_info, task};

const RESOURCES: &str = "cpus:4;mem:4096";

fn running(capabilities: &[Capability], checkpoint: bool) -> (World, Agent, Framework) {
    let mut world = World::new();
    let agent = world.agent(RESOURCES);
    let mut info = framework_info("f", &["dev"], capabilities);
    info.checkpoint = Some(checkpoint);
    let framework = world.subscribe(info);
    let offers = world.take_offers(&framework);
    world.accept(
        &framework,
        &offers,
        vec![task("t", &offers[0].agent_id, "cpus:1;mem:32")],
    );
    world.update(&agent, &framework, "t", S::TaskRunning, 1);
    world.take_events(&framework);
    (world, agent, framework)
}

fn wire_tasks(world: &World) -> Vec<v1::Task> {
    world
        .master
        .records()
        .tasks
        .iter()
        .map(|(_, task)| v1::Task::decode(task.wire.clone()).unwrap())
        .collect()
}

fn infos(world: &World) -> Vec<v1::FrameworkInfo> {
    world
        .master
        .records()
        .frameworks
        .iter()
        .map(|(_, framework)| (*framework.info).clone())
        .collect()
}

#[test]
fn a_silent_agent_becomes_unreachable_and_its_tasks_come_back_with_it() {
    let (mut world, agent, framework) = running(&[Capability::PartitionAware], true);
    let (tasks, frameworks) = (wire_tasks(&world), infos(&world));
    world.pass(100 * SECOND_NS);
    let updates = world.take_updates(&framework);
    assert_eq!(
        (updates[0].state(), updates[0].reason()),
        (S::TaskUnreachable, Reason::AgentRemoved)
    );
    assert!(updates[0].unreachable_time.is_some());
    world.reregister(&agent.id, RESOURCES, frameworks, tasks);
    let updates = world.take_updates(&framework);
    assert_eq!(
        (updates[0].state(), updates[0].reason()),
        (S::TaskRunning, Reason::AgentReregistered)
    );
    let offers = world.take_offers(&framework);
    let cpus = offers[0]
        .resources
        .iter()
        .find(|r| r.name == "cpus")
        .unwrap();
    assert!((cpus.scalar.as_ref().unwrap().value - 3.0).abs() < 1e-9);
}

#[test]
fn a_framework_that_knows_no_partitions_hears_lost_and_the_task_survives() {
    let (mut world, agent, framework) = running(&[], true);
    let (tasks, frameworks) = (wire_tasks(&world), infos(&world));
    world.pass(100 * SECOND_NS);
    assert_eq!(world.take_updates(&framework)[0].state(), S::TaskLost);
    let back = world.reregister(&agent.id, RESOURCES, frameworks, tasks);
    assert_eq!(world.take_updates(&framework)[0].state(), S::TaskRunning);
    assert!(
        !world
            .take_bodies(&back)
            .iter()
            .any(|body| matches!(body, Body::KillTask(_)))
    );
}

#[test]
fn an_agent_that_answers_pings_stays() {
    let (mut world, agent, _) = running(&[], true);
    for _ in 0..20 {
        world.pass(15 * SECOND_NS);
        world.feed(Event::Agent {
            session: agent.session,
            body: Box::new(Body::Pong(mezz_proto::agent_protocol::Pong {})),
        });
    }
    assert_eq!(
        world.master.records().agents.get(0).unwrap().state,
        AgentState::Connected
    );
}

#[test]
fn a_broken_connection_ends_only_what_does_not_checkpoint() {
    let (mut world, agent, framework) = running(&[Capability::PartitionAware], false);
    world.feed(Event::SessionClosed(agent.session));
    let updates = world.take_updates(&framework);
    assert_eq!(
        (updates[0].state(), updates[0].reason()),
        (S::TaskLost, Reason::AgentDisconnected)
    );
    let (mut world, agent, framework) = running(&[], true);
    world.feed(Event::SessionClosed(agent.session));
    assert!(world.take_updates(&framework).is_empty());
}

#[test]
fn a_launch_lost_on_the_way_is_dropped_at_reregistration() {
    let (mut world, agent, framework) = running(&[Capability::PartitionAware], true);
    let frameworks = infos(&world);
    world.feed(Event::SessionClosed(agent.session));
    world.take_events(&framework);
    world.reregister(&agent.id, RESOURCES, frameworks, vec![]);
    let updates = world.take_updates(&framework);
    assert_eq!(
        (updates[0].state(), updates[0].message()),
        (
            S::TaskDropped,
            "Reconciliation: Task is unknown to the agent"
        )
    );
}

#[test]
fn a_kill_sent_while_the_agent_was_away_is_replayed() {
    let (mut world, agent, framework) = running(&[], true);
    let (tasks, frameworks) = (wire_tasks(&world), infos(&world));
    world.feed(Event::SessionClosed(agent.session));
    let kill = call::Kill {
        task_id: v1::TaskId { value: "t".into() },
        ..call::Kill::default()
    };
    world.call(&framework, call::Type::Kill, |call| call.kill = Some(kill));
    let back = world.reregister(&agent.id, RESOURCES, frameworks, tasks);
    assert!(
        world
            .take_bodies(&back)
            .iter()
            .any(|body| matches!(body, Body::KillTask(_)))
    );
}

#[test]
fn an_agent_marked_gone_never_comes_back() {
    let (mut world, agent, framework) = running(&[Capability::PartitionAware], true);
    let request = mezz_core::key::RequestKey(900);
    world.feed(Event::Operator(Box::new(mezz_core::event::OperatorCall {
        request,
        principal: None,
        action: mezz_core::event::OperatorAction::MarkAgentGone {
            agent_id: agent.id.clone(),
        },
    })));
    assert_eq!(world.replies[&request], mezz_core::effect::Reply::Ok);
    let updates = world.take_updates(&framework);
    assert_eq!(
        (updates[0].state(), updates[0].reason()),
        (S::TaskGoneByOperator, Reason::AgentRemovedByOperator)
    );
    let session = mezz_core::key::SessionKey(901);
    world.hello(session, Some(&agent.id));
    assert!(
        matches!(&world.to_agents[&session][..], [Body::Refused(refused)] if refused.message == "Agent has been marked gone")
    );
}

#[test]
fn a_new_master_knows_agents_and_frameworks_and_learns_tasks_from_the_agents() {
    let (world, agent, framework) = running(&[Capability::PartitionAware], true);
    let (tasks, frameworks) = (wire_tasks(&world), infos(&world));
    let mut world = World::restarted(Config::default(), "m2", 2, world.store);
    let ask = call::reconcile::Task {
        task_id: v1::TaskId { value: "t".into() },
        agent_id: Some(v1::AgentId {
            value: agent.id.clone(),
        }),
    };
    let mut info = frameworks[0].clone();
    info.id = Some(v1::FrameworkId {
        value: framework.id.clone(),
    });
    let again = world.subscribe(info);
    assert_eq!(again.id, framework.id);
    world.take_events(&again);
    world.call(&again, call::Type::Reconcile, |call| {
        call.reconcile = Some(call::Reconcile {
            tasks: vec![ask.clone()],
        });
    });
    assert!(
        world.take_updates(&again).is_empty(),
        "the agent may still come back with the answer"
    );
    world.reregister(&agent.id, RESOURCES, frameworks, tasks);
    world.take_events(&again);
    world.call(&again, call::Type::Reconcile, |call| {
        call.reconcile = Some(call::Reconcile { tasks: vec![ask] });
    });
    assert_eq!(world.take_updates(&again)[0].state(), S::TaskRunning);
}

#[test]
fn agents_missing_after_a_failover_become_unreachable_without_updates() {
    let (world, agent, framework) = running(&[Capability::PartitionAware], true);
    let info = infos(&world)[0].clone();
    let mut world = World::restarted(Config::default(), "m2", 2, world.store);
    let again = world.subscribe(info);
    world.take_events(&again);
    world.pass(601 * SECOND_NS);
    assert!(world.take_updates(&again).is_empty());
    let ask = call::reconcile::Task {
        task_id: v1::TaskId { value: "t".into() },
        agent_id: Some(v1::AgentId { value: agent.id }),
    };
    world.call(&again, call::Type::Reconcile, |call| {
        call.reconcile = Some(call::Reconcile { tasks: vec![ask] });
    });
    assert_eq!(world.take_updates(&again)[0].state(), S::TaskUnreachable);
    assert_eq!(again.id, framework.id);
}
