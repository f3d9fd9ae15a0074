//! Offers and tasks: accept, refusal, updates, kill, reconciliation.
#![allow(clippy::unwrap_used)]
mod world;

use mezz_core::config::Config;
use mezz_core::records::TaskList;
use mezz_core::time::{MILLISECOND_NS, SECOND_NS};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use v1::TaskState as S;
use v1::framework_info::capability::Type as Capability;
use v1::scheduler::call;
use v1::task_status::Reason;
use world::{Agent, Framework, World, framework_info, task};

fn cluster() -> (World, Agent, Framework, Vec<v1::Offer>) {
    let mut world = World::new();
    let agent = world.agent("cpus:4;mem:4096;ports:[31000-32000]");
    let framework = world.subscribe(framework_info("f", &["dev"], &[Capability::PartitionAware]));
    let offers = world.take_offers(&framework);
    (world, agent, framework, offers)
}

#[test]
fn an_offer_holds_the_whole_agent_under_the_role() {
    let (_, agent, framework, offers) = cluster();
    assert_eq!(offers.len(), 1);
    assert_eq!(offers[0].id.value, "m-O0");
    assert_eq!(offers[0].agent_id.value, agent.id);
    assert_eq!(offers[0].framework_id.value, framework.id);
    assert_eq!(offers[0].url.as_ref().unwrap().path(), "/slave(1)");
    assert!(
        offers[0]
            .resources
            .iter()
            .all(|r| r.allocation_info.as_ref().unwrap().role() == "dev")
    );
}

#[test]
fn a_task_runs_and_its_leftovers_are_offered_at_once() {
    let (mut world, agent, framework, offers) = cluster();
    world.accept(
        &framework,
        &offers,
        vec![task("t", &offers[0].agent_id, "cpus:1;mem:32")],
    );
    let bodies = world.take_bodies(&agent);
    let Some(Body::RunTasks(run)) = bodies.last() else {
        panic!("no launch: {bodies:?}")
    };
    assert!(run.framework.is_some());
    assert_eq!(run.tasks[0].task.task_id.value, "t");
    let leftovers = world.take_offers(&framework);
    let cpus = leftovers[0]
        .resources
        .iter()
        .find(|r| r.name == "cpus")
        .unwrap();
    assert!((cpus.scalar.as_ref().unwrap().value - 3.0).abs() < 1e-9);
}

#[test]
fn updates_are_forwarded_and_the_acknowledged_end_moves_the_task_to_the_completed_ones() {
    let (mut world, agent, framework, offers) = cluster();
    world.accept(
        &framework,
        &offers,
        vec![task("t", &offers[0].agent_id, "cpus:4;mem:4096")],
    );
    world.update(&agent, &framework, "t", S::TaskRunning, 1);
    world.update(&agent, &framework, "t", S::TaskFinished, 2);
    let states: Vec<_> = world
        .take_updates(&framework)
        .iter()
        .map(v1::TaskStatus::state)
        .collect();
    assert_eq!(states, [S::TaskRunning, S::TaskFinished]);
    assert_eq!(
        world.take_offers(&framework).len(),
        1,
        "a terminal update frees the resources before it is acknowledged"
    );
    assert_eq!(
        world.master.records().tasks.get(0).unwrap().list,
        TaskList::Live
    );
    world.acknowledge(&agent, &framework, "t", 2);
    assert_eq!(
        world.master.records().tasks.get(0).unwrap().list,
        TaskList::Completed
    );
    let forwarded = world
        .take_bodies(&agent)
        .into_iter()
        .filter(|body| matches!(body, Body::AcknowledgeUpdate(_)))
        .count();
    assert_eq!(forwarded, 1);
}

#[test]
fn a_declined_offer_comes_back_only_after_its_filter() {
    let (mut world, _, framework, offers) = cluster();
    world.decline(&framework, &offers, 3.0);
    world.pass(2 * SECOND_NS);
    assert!(world.take_offers(&framework).is_empty());
    world.pass(2 * SECOND_NS);
    assert_eq!(world.take_offers(&framework).len(), 1);
}

#[test]
fn a_decline_of_nothing_is_held_for_the_floor_of_a_tenth_of_a_second() {
    let (mut world, _, framework, offers) = cluster();
    world.decline(&framework, &offers, 0.0);
    world.pass(50 * MILLISECOND_NS);
    assert!(world.take_offers(&framework).is_empty());
    world.pass(100 * MILLISECOND_NS);
    assert_eq!(world.take_offers(&framework).len(), 1);
}

#[test]
fn revive_overrides_a_very_long_filter_and_suppress_stops_offers() {
    let (mut world, _, framework, offers) = cluster();
    world.decline(&framework, &offers, 1e6);
    world.call(&framework, call::Type::Revive, |_| {});
    let offers = world.take_offers(&framework);
    assert_eq!(offers.len(), 1);
    world.call(&framework, call::Type::Suppress, |_| {});
    world.decline(&framework, &offers, 0.0);
    world.pass(10 * SECOND_NS);
    assert!(world.take_offers(&framework).is_empty());
    world.call(&framework, call::Type::Revive, |_| {});
    assert_eq!(world.take_offers(&framework).len(), 1);
}

#[test]
fn an_unanswered_offer_is_rescinded_and_offered_again() {
    let mut world = World::with(Config {
        offer_timeout_ns: 2 * SECOND_NS,
        ..Config::default()
    });
    world.agent("cpus:4;mem:4096");
    let framework = world.subscribe(framework_info("f", &["dev"], &[]));
    let offers = world.take_offers(&framework);
    world.pass(3 * SECOND_NS);
    let events = world.take_events(&framework);
    assert_eq!(events[0].rescind.as_ref().unwrap().offer_id, offers[0].id);
    assert!(events[1].offers.is_some());
}

#[test]
fn an_unknown_offer_drops_the_task_and_uses_up_the_good_ones() {
    let (mut world, _, framework, mut offers) = cluster();
    let mut bad = offers[0].clone();
    bad.id.value = "nope-O1".into();
    offers.push(bad);
    world.accept(
        &framework,
        &offers,
        vec![task("t", &offers[0].agent_id, "cpus:1;mem:32")],
    );
    let updates = world.take_updates(&framework);
    assert_eq!(updates[0].state(), S::TaskDropped);
    assert_eq!(updates[0].reason(), Reason::InvalidOffers);
    assert_eq!(
        updates[0].message(),
        "Task launched with invalid offers: Offer nope-O1 is no longer valid"
    );
    assert!(updates[0].uuid.is_none());
    assert_eq!(world.take_offers(&framework).len(), 1);
}

#[test]
fn a_framework_that_knows_no_partitions_hears_lost() {
    let mut world = World::new();
    world.agent("cpus:4;mem:4096");
    let framework = world.subscribe(framework_info("f", &["dev"], &[]));
    let offers = world.take_offers(&framework);
    let twice = vec![offers[0].clone(), offers[0].clone()];
    world.accept(
        &framework,
        &twice,
        vec![task("t", &offers[0].agent_id, "cpus:1;mem:32")],
    );
    let updates = world.take_updates(&framework);
    assert_eq!(updates[0].state(), S::TaskLost);
    assert_eq!(
        updates[0].message(),
        "Task launched with invalid offers: Duplicate offer m-O0 in offer list"
    );
}

#[test]
fn tasks_that_break_a_rule_get_an_error_that_names_it() {
    let (mut world, _, framework, offers) = cluster();
    let agent_id = offers[0].agent_id.clone();
    let mut no_command = task("no-command", &agent_id, "cpus:1");
    no_command.command = None;
    let mut nothing = task("nothing", &agent_id, "cpus:1");
    nothing.resources.clear();
    let mut elsewhere = task("elsewhere", &agent_id, "cpus:1");
    elsewhere.agent_id.value = "x".into();
    let mut checked = task("checked", &agent_id, "cpus:1");
    checked.health_check = Some(Box::new(v1::HealthCheck::default()));
    let tasks = vec![
        task("big", &agent_id, "cpus:10000;mem:1"),
        task("a/b", &agent_id, "cpus:1"),
        no_command,
        nothing,
        elsewhere,
        checked,
        task("ok", &agent_id, "cpus:0.001;mem:32"),
        task("ok", &agent_id, "cpus:1"),
    ];
    world.accept(&framework, &offers, tasks);
    let updates = world.take_updates(&framework);
    let told: Vec<(&str, &str)> = updates
        .iter()
        .map(|u| (u.task_id.value.as_str(), u.message()))
        .collect();
    assert!(
        updates
            .iter()
            .all(|u| u.state() == S::TaskError && u.reason() == Reason::TaskInvalid),
        "{told:?}"
    );
    assert!(told[0].1.starts_with("Total resources cpus(allocated: dev):10000; mem(allocated: dev):1 required by task and its executor is more than available"));
    assert_eq!(told[1], ("a/b", "'a/b' contains invalid characters"));
    assert_eq!(
        told[2].1,
        "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"
    );
    assert_eq!(told[3].1, "Task uses no resources");
    assert!(
        told[4]
            .1
            .starts_with("Task uses invalid agent x while agent m-S0 is expected")
    );
    assert_eq!(
        told[5].1,
        "Task uses invalid health check: HealthCheck must specify 'type'"
    );
    assert_eq!(told[6], ("ok", "Task has duplicate ID: ok"));
    assert_eq!(told.len(), 7);
    assert_eq!(
        world.take_offers(&framework).len(),
        1,
        "what the refused tasks asked for returns"
    );
}

#[test]
fn kill_reaches_the_agent_and_a_kill_of_an_unknown_task_is_answered_like_a_reconciliation() {
    let (mut world, agent, framework, offers) = cluster();
    world.accept(
        &framework,
        &offers,
        vec![task("t", &offers[0].agent_id, "cpus:1;mem:32")],
    );
    world.take_bodies(&agent);
    let kill = |id: &str| call::Kill {
        task_id: v1::TaskId { value: id.into() },
        ..call::Kill::default()
    };
    world.call(&framework, call::Type::Kill, |call| {
        call.kill = Some(kill("t"));
    });
    assert!(matches!(world.take_bodies(&agent)[..], [Body::KillTask(_)]));
    world.take_events(&framework);
    world.call(&framework, call::Type::Kill, |call| {
        call.kill = Some(kill("nobody"));
    });
    let updates = world.take_updates(&framework);
    assert_eq!(updates[0].state(), S::TaskUnknown);
    assert_eq!(updates[0].message(), "Reconciliation: Task is unknown");
    assert_eq!(updates[0].reason(), Reason::Reconciliation);
}

#[test]
fn reconciliation_tells_the_last_state_that_was_forwarded() {
    let (mut world, agent, framework, offers) = cluster();
    world.accept(
        &framework,
        &offers,
        vec![task("t", &offers[0].agent_id, "cpus:1;mem:32")],
    );
    world.update(&agent, &framework, "t", S::TaskRunning, 1);
    world.take_events(&framework);
    world.call(&framework, call::Type::Reconcile, |call| {
        call.reconcile = Some(call::Reconcile::default());
    });
    let updates = world.take_updates(&framework);
    assert_eq!(updates.len(), 1);
    assert_eq!(
        (updates[0].state(), updates[0].message()),
        (S::TaskRunning, "Reconciliation: Latest task state")
    );
    let known_agent = call::reconcile::Task {
        task_id: v1::TaskId { value: "x".into() },
        agent_id: Some(v1::AgentId {
            value: agent.id.clone(),
        }),
    };
    world.call(&framework, call::Type::Reconcile, |call| {
        call.reconcile = Some(call::Reconcile {
            tasks: vec![known_agent],
        });
    });
    assert_eq!(world.take_updates(&framework)[0].state(), S::TaskGone);
}

#[test]
fn who_declines_everything_over_and_over_is_asked_less_often() {
    let (mut world, _, framework, mut offers) = cluster();
    let mut asked = 0;
    for _ in 0..20 {
        world.decline(&framework, &offers, 0.0);
        world.pass(100 * MILLISECOND_NS);
        offers = world.take_offers(&framework);
        asked += offers.len();
    }
    assert!(
        (4..=8).contains(&asked),
        "asked {asked} times in two seconds"
    );
}
