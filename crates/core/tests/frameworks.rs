//! Frameworks: subscription, failover, update, removal.
#![allow(clippy::unwrap_used)]
mod world;

use mezz_core::effect::Reply;
use mezz_core::records::FrameworkState;
use mezz_core::time::SECOND_NS;
use mezz_proto::v1;
use v1::framework_info::capability::Type as Capability;
use v1::scheduler::call;
use v1::scheduler::event::Type;
use world::{World, framework_info};

fn kinds(events: &[v1::scheduler::Event]) -> Vec<Type> {
    events.iter().map(v1::scheduler::Event::r#type).collect()
}

#[test]
fn a_new_framework_hears_subscribed_and_a_heartbeat_at_once() {
    let mut world = World::new();
    let framework = world.subscribe(framework_info("f", &["dev"], &[]));
    assert_eq!(framework.id, "m-0000");
    assert_eq!(
        kinds(world.events(framework.stream)),
        [Type::Subscribed, Type::Heartbeat]
    );
    world.pass(15 * SECOND_NS);
    assert_eq!(
        kinds(world.events(framework.stream)).last(),
        Some(&Type::Heartbeat)
    );
    assert_eq!(world.events(framework.stream).len(), 3);
}

#[test]
fn an_invalid_role_is_answered_by_an_error_event_and_the_end_of_the_stream() {
    let mut world = World::new();
    for (role, text) in [
        (
            "a//b",
            "'FrameworkInfo.roles' contains invalid role: Role 'a//b' cannot contain two adjacent slashes",
        ),
        (
            "-x",
            "'FrameworkInfo.roles' contains invalid role: Role component '-x' is invalid because it starts with a dash",
        ),
        (
            "",
            "'FrameworkInfo.roles' contains invalid role: Role names cannot be the empty string",
        ),
    ] {
        let framework = world.subscribe(framework_info("f", &[role], &[]));
        let events = world.take_events(&framework);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].error.as_ref().unwrap().message, text);
        assert!(world.closed_streams.contains(&framework.stream));
    }
}

#[test]
fn roles_need_the_capability_and_exclude_the_old_field() {
    let mut world = World::new();
    let mut info = framework_info("f", &["dev"], &[]);
    info.role = Some("a".into());
    let both = world.subscribe(info.clone());
    assert_eq!(
        world.events(both.stream)[0].error.as_ref().unwrap().message,
        "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"
    );
    info.role = None;
    info.capabilities.clear();
    let neither = world.subscribe(info);
    assert_eq!(
        world.events(neither.stream)[0]
            .error
            .as_ref()
            .unwrap()
            .message,
        "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"
    );
}

#[test]
fn a_second_subscriber_takes_over_and_the_first_is_told() {
    let mut world = World::new();
    let first = world.subscribe(framework_info("f", &["dev"], &[]));
    world.take_events(&first);
    let mut info = framework_info("f2", &["dev"], &[]);
    info.id = Some(v1::FrameworkId {
        value: first.id.clone(),
    });
    let second = world.subscribe(info);
    assert_eq!(second.id, first.id);
    assert_eq!(
        world.events(first.stream)[0]
            .error
            .as_ref()
            .unwrap()
            .message,
        "Framework failed over"
    );
    assert!(world.closed_streams.contains(&first.stream));
    let stale = world.call(&first, call::Type::Revive, |_| {});
    assert!(
        matches!(stale, Some(Reply::BadRequest(text)) if text.contains("didn't match the stream ID"))
    );
    let name = &world.master.records().frameworks.get(0).unwrap().info.name;
    assert_eq!(name, "f2");
}

#[test]
fn a_disconnected_framework_keeps_its_id_within_its_failover_timeout_and_not_after() {
    let mut world = World::new();
    let framework = world.subscribe(framework_info("f", &["dev"], &[]));
    world.feed(mezz_core::event::Event::StreamClosed(framework.stream));
    world.pass(59 * SECOND_NS);
    let mut info = framework_info("f", &["dev"], &[]);
    info.id = Some(v1::FrameworkId {
        value: framework.id.clone(),
    });
    let again = world.subscribe(info.clone());
    assert_eq!(again.id, framework.id);
    world.feed(mezz_core::event::Event::StreamClosed(again.stream));
    world.pass(61 * SECOND_NS);
    assert_eq!(
        world.master.records().frameworks.get(0).unwrap().state,
        FrameworkState::Completed
    );
    let late = world.subscribe(info);
    assert_eq!(
        world.events(late.stream)[0].error.as_ref().unwrap().message,
        "Framework has been removed"
    );
}

#[test]
fn a_principal_cannot_change() {
    let mut world = World::new();
    let mut info = framework_info("f", &["dev"], &[]);
    info.principal = Some("one".into());
    let framework = world.subscribe(info.clone());
    info.id = Some(v1::FrameworkId {
        value: framework.id.clone(),
    });
    info.principal = Some("two".into());
    let other = world.subscribe(info);
    assert_eq!(
        world.events(other.stream)[0]
            .error
            .as_ref()
            .unwrap()
            .message,
        "Changing framework's principal is not allowed."
    );
}

#[test]
fn update_framework_refuses_user_and_checkpoint_and_changes_the_rest() {
    let mut world = World::new();
    let framework = world.subscribe(framework_info("f", &["dev"], &[]));
    let mut update = |change: &dyn Fn(&mut v1::FrameworkInfo)| {
        let mut info = framework_info("f", &["dev"], &[]);
        info.id = Some(v1::FrameworkId {
            value: framework.id.clone(),
        });
        change(&mut info);
        world.call(&framework, call::Type::UpdateFramework, |call| {
            call.update_framework = Some(Box::new(call::UpdateFramework {
                framework_info: info,
                ..call::UpdateFramework::default()
            }));
        })
    };
    assert!(
        matches!(update(&|info| info.user = "x".into()), Some(Reply::BadRequest(text)) if text.contains("'FrameworkInfo.user'"))
    );
    assert!(
        matches!(update(&|info| info.checkpoint = Some(false)), Some(Reply::BadRequest(text)) if text.contains("'FrameworkInfo.checkpoint'"))
    );
    assert_eq!(update(&|info| info.name = "new".into()), Some(Reply::Ok));
    assert_eq!(
        world.master.records().frameworks.get(0).unwrap().info.name,
        "new"
    );
}

#[test]
fn removing_a_role_rescinds_its_offers_and_adding_one_brings_offers() {
    let mut world = World::new();
    world.agent("cpus:4;mem:4096");
    let framework = world.subscribe(framework_info("f", &["dev"], &[]));
    assert_eq!(world.take_offers(&framework).len(), 1);
    let mut info = framework_info("f", &["ops"], &[]);
    info.id = Some(v1::FrameworkId {
        value: framework.id.clone(),
    });
    world.call(&framework, call::Type::UpdateFramework, |call| {
        call.update_framework = Some(Box::new(call::UpdateFramework {
            framework_info: info,
            ..call::UpdateFramework::default()
        }));
    });
    world.settle();
    let events = world.take_events(&framework);
    assert_eq!(kinds(&events), [Type::Rescind, Type::Offers]);
    assert_eq!(
        events[1].offers.as_ref().unwrap().offers[0]
            .allocation_info
            .as_ref()
            .unwrap()
            .role(),
        "ops"
    );
}

#[test]
fn teardown_ends_the_tasks_and_the_id() {
    let mut world = World::new();
    let agent = world.agent("cpus:4;mem:4096");
    let framework = world.subscribe(framework_info("f", &["dev"], &[Capability::PartitionAware]));
    let offers = world.take_offers(&framework);
    let task = world::task("t", &offers[0].agent_id, "cpus:1;mem:32");
    world.accept(&framework, &offers, vec![task]);
    world.take_bodies(&agent);
    assert_eq!(
        world.call(&framework, call::Type::Teardown, |_| {}),
        Some(Reply::Accepted)
    );
    assert!(world.closed_streams.contains(&framework.stream));
    assert!(matches!(
        world.take_bodies(&agent)[..],
        [mezz_proto::agent_protocol::frame::Body::ShutdownFramework(
            _
        )]
    ));
    let task = world.master.records().tasks.get(0).unwrap();
    assert_eq!(task.state, v1::TaskState::TaskKilled);
    let refused = world.call(&framework, call::Type::Revive, |_| {});
    assert_eq!(
        refused,
        Some(Reply::BadRequest("Framework cannot be found".into()))
    );
}

#[test]
fn calls_are_refused_in_the_order_of_the_wire_rules() {
    let mut world = World::new();
    let framework = world.subscribe(framework_info("f", &["dev"], &[]));
    let nobody = world::Framework {
        id: "who".into(),
        stream: framework.stream,
        stream_id: "nope".into(),
    };
    assert_eq!(
        world.call(&nobody, call::Type::Revive, |_| {}),
        Some(Reply::BadRequest("Framework cannot be found".into()))
    );
    world.feed(mezz_core::event::Event::StreamClosed(framework.stream));
    assert_eq!(
        world.call(&framework, call::Type::Revive, |_| {}),
        Some(Reply::Forbidden("Framework is not subscribed".into()))
    );
}
