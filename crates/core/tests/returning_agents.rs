//! Agents that come back: what the simulation found to go wrong once, told as scenarios.
#![allow(clippy::unwrap_used)]
mod world;

use mezz_core::config::Config;
use mezz_core::effect::Reply;
use mezz_core::event::{Event, OperatorAction, OperatorCall};
use mezz_core::key::{RequestKey, SessionKey};
use mezz_core::native::{NativeCall, NativeTask};
use mezz_core::records::TaskList;
use mezz_core::time::SECOND_NS;
use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use prost::Message;
use v1::TaskState as S;
use v1::framework_info::capability::Type as Capability;
use v1::scheduler::call;
use world::{Agent, Framework, World, agent_info, framework_info, task};

const RESOURCES: &str = "cpus:4;mem:4096;ports:[31000-31009]";

fn running(config: Config) -> (World, Agent, Framework) {
    let mut world = World::with(config);
    let agent = world.agent(RESOURCES);
    let info = framework_info("f", &["dev"], &[Capability::PartitionAware]);
    let framework = world.subscribe(info);
    launch(&mut world, &framework, "t");
    world.update(&agent, &framework, "t", S::TaskRunning, 1);
    world.take_events(&framework);
    (world, agent, framework)
}

fn launch(world: &mut World, framework: &Framework, id: &str) {
    let offers = world.take_offers(framework);
    let wanted = task(id, &offers[0].agent_id, "cpus:1;mem:32");
    world.accept(framework, &offers[..1], vec![wanted]);
}

fn wire_tasks(world: &World) -> Vec<v1::Task> {
    let tasks = world.master.records().tasks.iter();
    tasks
        .map(|(_, task)| v1::Task::decode(task.wire.clone()).unwrap())
        .collect()
}

fn infos(world: &World) -> Vec<v1::FrameworkInfo> {
    let frameworks = world.master.records().frameworks.iter();
    frameworks
        .map(|(_, framework)| (*framework.info).clone())
        .collect()
}

fn operator(world: &mut World, action: OperatorAction) -> Reply {
    let request = RequestKey(900);
    world.feed(Event::Operator(Box::new(OperatorCall {
        request,
        principal: None,
        action,
    })));
    world.replies[&request].clone()
}

fn run_native(world: &mut World, resources: &str) -> String {
    let request = RequestKey(901);
    let task = NativeTask {
        name: "n".into(),
        id: None,
        role: "*".into(),
        resources: mezz_resource::parse_text(resources, "*")
            .unwrap()
            .to_proto(),
        priority: 0,
        port_count: 0,
        command: v1::CommandInfo {
            value: Some("true".into()),
            ..v1::CommandInfo::default()
        },
        container: None,
        labels: None,
        kill_policy: None,
    };
    let call = Box::new(NativeCall::Run(Box::new(task)));
    world.feed(Event::Native { request, call });
    match &world.replies[&request] {
        Reply::TaskAccepted { task_id } => task_id.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unreachable_task_whose_agent_is_declared_gone_ends() {
    let (mut world, agent, framework) = running(Config::default());
    world.pass(100 * SECOND_NS);
    world.take_events(&framework);
    let agent_id = agent.id;
    let reply = operator(&mut world, OperatorAction::MarkAgentGone { agent_id });
    assert_eq!(reply, Reply::Ok);
    let updates = world.take_updates(&framework);
    assert_eq!(updates[0].state(), S::TaskGoneByOperator);
}

#[test]
fn an_unreachable_task_that_its_agent_does_not_bring_back_is_dropped() {
    let (mut world, agent, framework) = running(Config::default());
    let frameworks = infos(&world);
    world.pass(100 * SECOND_NS);
    world.take_events(&framework);
    world.reregister(&agent.id, RESOURCES, frameworks, vec![]);
    assert_eq!(world.take_updates(&framework)[0].state(), S::TaskDropped);
    let offers = world.take_offers(&framework);
    let cpus = offers[0].resources.iter().find(|r| r.name == "cpus");
    assert!((cpus.unwrap().scalar.as_ref().unwrap().value - 4.0).abs() < 1e-9);
}

#[test]
fn an_agent_hears_that_it_is_registered_before_it_is_told_anything_else() {
    let (mut world, agent, framework) = running(Config::default());
    let (frameworks, tasks) = (infos(&world), wire_tasks(&world));
    world.feed(Event::SessionClosed(agent.session));
    world.call(&framework, call::Type::Teardown, |_| {});
    let back = world.reregister(&agent.id, RESOURCES, frameworks, tasks);
    let bodies = world.take_bodies(&back);
    let registered = bodies.iter().position(|b| matches!(b, Body::Registered(_)));
    let shutdown = bodies
        .iter()
        .position(|b| matches!(b, Body::ShutdownFramework(_)));
    assert!(registered.is_some() && registered < shutdown, "{bodies:?}");
}

#[test]
fn a_framework_that_was_forgotten_while_its_agent_was_away_is_met_anew() {
    let config = Config {
        max_completed_frameworks: 0,
        ..Config::default()
    };
    let (mut world, agent, framework) = running(config);
    let (frameworks, tasks) = (infos(&world), wire_tasks(&world));
    world.pass(100 * SECOND_NS);
    world.call(&framework, call::Type::Teardown, |_| {});
    assert!(world.master.records().tasks.is_empty());
    // Its place goes to another framework, of which the agent must be told.
    let other = world.subscribe(framework_info("g", &["dev"], &[]));
    let back = world.reregister(&agent.id, RESOURCES, frameworks, tasks);
    launch(&mut world, &other, "u");
    let told = world.take_bodies(&back).into_iter().any(|body| {
        matches!(body, Body::RunTasks(run) if run.framework.as_ref().is_some_and(|info| info.name == "g"))
    });
    assert!(told);
}

#[test]
fn a_task_tells_the_next_master_for_which_role_it_runs() {
    let (mut world, agent, _) = running(Config::default());
    let bodies = world.take_bodies(&agent);
    let run = bodies.iter().find_map(|body| match body {
        Body::RunTasks(run) => Some(&run.tasks[0].task),
        _ => None,
    });
    let roles = run.unwrap().resources.iter().map(|resource| {
        let allocation = resource.allocation_info.as_ref().unwrap();
        allocation.role.clone().unwrap()
    });
    assert_eq!(roles.collect::<Vec<_>>(), ["dev", "dev"]);
}

#[test]
fn a_task_id_launched_twice_over_a_failover_is_ended_where_it_is_found_last() {
    let (world, agent, framework) = running(Config::default());
    let (frameworks, tasks) = (infos(&world), wire_tasks(&world));
    let mut world = World::restarted(Config::default(), "m2", 2, world.store);
    let second = world.agent(RESOURCES);
    let again = world.subscribe(frameworks[0].clone());
    launch(&mut world, &again, "t");
    world.update(&second, &again, "t", S::TaskRunning, 7);
    world.take_events(&again);
    let back = world.reregister(&agent.id, RESOURCES, frameworks, tasks);
    let bodies = world.take_bodies(&back);
    assert!(bodies.iter().any(|body| matches!(body, Body::KillTask(_))));
    // Nobody hears of its end, and the agent may forget it.
    world.update(&back, &again, "t", S::TaskKilled, 8);
    assert!(world.take_updates(&again).is_empty());
    let bodies = world.take_bodies(&back);
    assert!(
        bodies
            .iter()
            .any(|body| matches!(body, Body::AcknowledgeUpdate(_)))
    );
    let record = world.master.records().tasks.iter().next().unwrap().1;
    assert_eq!(
        (record.list, record.state),
        (TaskList::Live, S::TaskRunning)
    );
    assert_eq!(again.id, framework.id);
}

#[test]
fn a_kill_of_a_task_that_became_unreachable_waits_for_its_agent() {
    let (mut world, agent, framework) = running(Config::default());
    launch(&mut world, &framework, "u");
    world.update(&agent, &framework, "u", S::TaskRunning, 2);
    let (frameworks, mut tasks) = (infos(&world), wire_tasks(&world));
    world.feed(Event::SessionClosed(agent.session));
    let task_id = v1::TaskId { value: "t".into() };
    world.call(&framework, call::Type::Kill, |call| {
        call.kill = Some(call::Kill {
            task_id,
            ..call::Kill::default()
        });
    });
    world.pass(100 * SECOND_NS);
    tasks.reverse();
    let back = world.reregister(&agent.id, RESOURCES, frameworks, tasks);
    let killed: Vec<String> = world
        .take_bodies(&back)
        .into_iter()
        .filter_map(|body| match body {
            Body::KillTask(kill) => Some(kill.task_id.value),
            _ => None,
        })
        .collect();
    assert_eq!(killed, ["t"]);
}

#[test]
fn equal_ports_of_two_agents_are_two_things() {
    let mut world = World::new();
    let _agents = [world.agent(RESOURCES), world.agent(RESOURCES)];
    let framework = world.subscribe(framework_info("f", &["dev"], &[]));
    let offers = world.take_offers(&framework);
    assert_eq!(offers.len(), 2);
    world.decline(&framework, &offers[..1], 1.0);
    world.decline(&framework, &offers[1..], 1.0);
    let record = world.master.records().frameworks.iter().next().unwrap().1;
    assert!(record.offered.is_empty());
}

#[test]
fn the_built_in_framework_is_one_even_when_an_agent_has_nothing_of_it_left() {
    let mut world = World::new();
    let agent = world.agent(RESOURCES);
    run_native(&mut world, "cpus:1");
    let built_in = infos(&world)[0].clone();
    let mut world = World::restarted(Config::default(), "m2", 2, {
        let mut store = world.store;
        store.retain(|key, _| !key.starts_with("core/native/"));
        store
    });
    let body = agent::Reregister {
        completed_frameworks: vec![built_in.clone()],
        ..agent::Reregister::default()
    };
    world.reregister_with(&agent.id, RESOURCES, body);
    run_native(&mut world, "cpus:1");
    assert_eq!(infos(&world), [built_in]);
}

#[test]
fn the_next_master_knows_a_native_task_of_an_unreachable_agent() {
    let mut world = World::new();
    let agent = world.agent(RESOURCES);
    let id = run_native(&mut world, "cpus:1");
    world.pass(100 * SECOND_NS);
    let mut world = World::restarted(Config::default(), "m2", 2, world.store);
    let record = world.master.records().tasks.iter().next().unwrap().1;
    assert_eq!((record.list, &*record.id), (TaskList::Unreachable, &*id));
    let (frameworks, mut tasks) = (infos(&world), wire_tasks(&world));
    tasks[0].state = S::TaskRunning as i32;
    world.reregister(&agent.id, RESOURCES, frameworks, tasks);
    let record = world.master.records().tasks.iter().next().unwrap().1;
    assert_eq!(
        (record.list, record.state),
        (TaskList::Live, S::TaskRunning)
    );
}

#[test]
fn a_refused_registration_gives_its_permit_back_once() {
    let mut world = World::with(Config {
        registration_permits: 1,
        ..Config::default()
    });
    let session = SessionKey(500);
    world.hello(session, None);
    let mut info = agent_info(RESOURCES);
    info.resources[0].scalar = None;
    world.feed(Event::Agent {
        session,
        body: Box::new(Body::Register(agent::Register {
            agent: info,
            ..agent::Register::default()
        })),
    });
    let bodies = &world.to_agents[&session];
    assert!(
        matches!(bodies.last(), Some(Body::Refused(_))),
        "{bodies:?}"
    );
    world.hello(SessionKey(501), None);
    world.feed(Event::SessionClosed(session));
    world.hello(SessionKey(502), None);
    assert!(world.to_agents.contains_key(&SessionKey(501)));
    assert!(
        !world.to_agents.contains_key(&SessionKey(502)),
        "there is one permit"
    );
}

fn refusal(world: &mut World, agent: &Agent) -> Option<String> {
    let bodies = world.take_bodies(agent);
    bodies.into_iter().find_map(|body| match body {
        Body::Refused(refused) => Some(refused.message),
        _ => None,
    })
}

#[test]
fn an_agent_that_has_less_than_its_tasks_hold_is_refused_and_taken_again_with_enough() {
    let (mut world, agent, framework) = running(Config::default());
    let (frameworks, tasks) = (infos(&world), wire_tasks(&world));
    let poorer = "cpus:0.5;mem:4096;ports:[31000-31009]";
    let refused = world.reregister(&agent.id, poorer, frameworks.clone(), tasks.clone());
    let why = refusal(&mut world, &refused).unwrap();
    assert!(why.contains("hold more of 'cpus' than it has"), "{why}");
    assert_eq!(world.take_updates(&framework), []);
    let enough = "cpus:1;mem:32";
    let taken = world.reregister(&agent.id, enough, frameworks, tasks);
    assert_eq!(refusal(&mut world, &taken), None);
}

#[test]
fn an_agent_that_lost_only_what_is_free_is_taken() {
    let (mut world, agent, _) = running(Config::default());
    let (frameworks, mut tasks) = (infos(&world), wire_tasks(&world));
    // What has ended holds nothing.
    let mut ended = tasks[0].clone();
    ended.task_id.value = "ended".into();
    ended.state = S::TaskFinished as i32;
    tasks.push(ended);
    let taken = world.reregister(&agent.id, "cpus:1;mem:32", frameworks, tasks);
    assert_eq!(refusal(&mut world, &taken), None);
}
