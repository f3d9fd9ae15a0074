//! Task groups: taken in as a whole, or refused as a whole with the reason of the first fault.
#![allow(clippy::unwrap_used)]
mod world;

use mezz_core::event::Event;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use v1::TaskState as S;
use v1::framework_info::capability::Type as Capability;
use v1::scheduler::call;
use v1::task_status::Reason;
use world::{Agent, Framework, World, framework_info, task};

const OFFERED: &str = "cpus:4;mem:4096;disk:4096;ports:[31000-32000]";

fn cluster() -> (World, Agent, Framework, Vec<v1::Offer>) {
    let mut world = World::new();
    let agent = world.agent(OFFERED);
    let framework = world.subscribe(framework_info("f", &["dev"], &[Capability::PartitionAware]));
    let offers = world.take_offers(&framework);
    (world, agent, framework, offers)
}

fn pod(framework: &Framework, id: &str) -> v1::ExecutorInfo {
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: id.into() },
        r#type: Some(v1::executor_info::Type::Default as i32),
        framework_id: Some(v1::FrameworkId {
            value: framework.id.clone(),
        }),
        resources: mezz_resource::parse_text("cpus:0.1;mem:32;disk:10", "*")
            .unwrap()
            .to_proto(),
        ..v1::ExecutorInfo::default()
    }
}

fn launch(
    world: &mut World,
    framework: &Framework,
    offers: &[v1::Offer],
    executor: v1::ExecutorInfo,
    tasks: Vec<v1::TaskInfo>,
) {
    let group = v1::offer::operation::LaunchGroup {
        executor,
        task_group: v1::TaskGroupInfo { tasks },
    };
    let operation = v1::offer::Operation {
        r#type: Some(v1::offer::operation::Type::LaunchGroup as i32),
        launch_group: Some(Box::new(group)),
        ..v1::offer::Operation::default()
    };
    let accept = call::Accept {
        offer_ids: offers.iter().map(|offer| offer.id.clone()).collect(),
        operations: vec![operation],
        filters: None,
    };
    world.call(framework, call::Type::Accept, |call| {
        call.accept = Some(accept);
    });
}

fn cpus(offer: &v1::Offer) -> f64 {
    let mut resources = offer.resources.iter();
    let found = resources.find(|one| one.name == "cpus").unwrap();
    found.scalar.as_ref().unwrap().value
}

#[test]
fn a_group_goes_to_its_agent_as_one_and_its_executor_is_charged_once() {
    let (mut world, agent, framework, offers) = cluster();
    let own = |id: &str| task(id, &offers[0].agent_id, "cpus:1;mem:64");
    let executor = pod(&framework, "pod");
    launch(
        &mut world,
        &framework,
        &offers,
        executor.clone(),
        vec![own("a"), own("b")],
    );
    let Some(Body::RunGroup(run)) = world.take_bodies(&agent).pop() else {
        panic!("a group is launched")
    };
    assert!(run.framework.is_some());
    assert_eq!(run.executor.executor_id.value, "pod");
    let ids: Vec<&str> = run
        .tasks
        .iter()
        .map(|run| run.task.task_id.value.as_str())
        .collect();
    assert_eq!(ids, ["a", "b"]);
    assert!(run.tasks.iter().all(|run| run.task.executor.is_none()));
    let rest = world.take_offers(&framework);
    assert!((cpus(&rest[0]) - 1.9).abs() < 1e-9);

    launch(&mut world, &framework, &rest, executor, vec![own("c")]);
    let Some(Body::RunGroup(run)) = world.take_bodies(&agent).pop() else {
        panic!("a second group is launched")
    };
    assert_eq!(run.tasks.len(), 1);
    let rest = world.take_offers(&framework);
    assert!((cpus(&rest[0]) - 0.9).abs() < 1e-9);
}

#[test]
fn a_group_is_refused_whole_with_the_text_of_mesos() {
    type Change = fn(&mut v1::ExecutorInfo, &mut v1::TaskInfo);
    let cases: &[(&str, Change)] = &[
        (
            "Docker ContainerInfo is not supported on the task",
            |_, task| {
                task.container = Some(Box::new(v1::ContainerInfo {
                    r#type: v1::container_info::Type::Docker as i32,
                    ..v1::ContainerInfo::default()
                }));
            },
        ),
        (
            "The `ExecutorInfo` of task 'b' is different from executor 'pod'",
            |executor, task| {
                let other = v1::ExecutorInfo {
                    name: Some("other".into()),
                    ..executor.clone()
                };
                task.executor = Some(Box::new(other));
            },
        ),
        (
            "'ExecutorInfo.command' must not be set for 'DEFAULT' executor",
            |executor, _| executor.command = Some(v1::CommandInfo::default()),
        ),
        ("'ExecutorInfo.framework_id' must be set", |executor, _| {
            executor.framework_id = None;
        }),
        ("'ExecutorInfo.type' must be set", |executor, _| {
            executor.r#type = None;
            executor.command = Some(v1::CommandInfo::default());
        }),
        (
            "Executor 'pod' uses less memory (None) than the minimum required (32MB)",
            |executor, _| executor.resources.retain(|one| one.name != "mem"),
        ),
        ("Executor 'pod' uses no disk", |executor, _| {
            executor.resources.retain(|one| one.name != "disk");
        }),
        (
            "'share_cgroups' must be the same for all tasks",
            |_, task| {
                task.container = Some(Box::new(v1::ContainerInfo {
                    r#type: v1::container_info::Type::Mesos as i32,
                    linux_info: Some(v1::LinuxInfo {
                        share_cgroups: Some(false),
                        ..v1::LinuxInfo::default()
                    }),
                    ..v1::ContainerInfo::default()
                }));
            },
        ),
        ("Task has duplicate ID: a", |_, task| {
            task.task_id.value = "a".into();
        }),
        ("are more than available", |_, task| {
            task.resources = mezz_resource::parse_text("cpus:4", "*").unwrap().to_proto();
        }),
    ];
    for (text, change) in cases {
        let (mut world, agent, framework, offers) = cluster();
        let own = |id: &str| task(id, &offers[0].agent_id, "cpus:1;mem:64");
        let (mut executor, mut second) = (pod(&framework, "pod"), own("b"));
        change(&mut executor, &mut second);
        let tasks = vec![own("a"), second];
        launch(&mut world, &framework, &offers, executor, tasks);
        let updates = world.take_updates(&framework);
        assert_eq!(updates.len(), 2, "{text}");
        for update in updates {
            assert_eq!(update.state(), S::TaskError);
            assert_eq!(update.reason(), Reason::TaskGroupInvalid);
            assert!(update.message().contains(text), "{}", update.message());
        }
        let launched = world.take_bodies(&agent);
        assert!(
            !launched
                .iter()
                .any(|body| matches!(body, Body::RunGroup(_)))
        );
        assert!((cpus(&world.take_offers(&framework)[0]) - 4.0).abs() < 1e-9);
    }
}

#[test]
fn tasks_of_a_pod_name_it_as_their_executor_and_it_is_freed_when_it_ends() {
    let (mut world, agent, framework, offers) = cluster();
    let own = task("a", &offers[0].agent_id, "cpus:1;mem:64");
    launch(
        &mut world,
        &framework,
        &offers,
        pod(&framework, "pod"),
        vec![own],
    );
    world.take_bodies(&agent);
    world.take_offers(&framework);
    world.update(&agent, &framework, "a", S::TaskFinished, 1);
    world.pass(2 * mezz_core::time::SECOND_NS);
    let before: f64 = world.take_offers(&framework).iter().map(cpus).sum();
    assert!(
        (before - 1.0).abs() < 1e-9,
        "the pod holds its own: {before}"
    );
    let exited = mezz_proto::agent_protocol::ExecutorExited {
        framework_id: v1::FrameworkId {
            value: framework.id.clone(),
        },
        executor_id: v1::ExecutorId {
            value: "pod".into(),
        },
        status: 0,
    };
    world.feed(Event::Agent {
        session: agent.session,
        body: Box::new(Body::ExecutorExited(exited)),
    });
    world.pass(2 * mezz_core::time::SECOND_NS);
    let after: f64 = world.take_offers(&framework).iter().map(cpus).sum();
    assert!((after - 0.1).abs() < 1e-9, "{after}");
}
