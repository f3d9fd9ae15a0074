//! Objects: applied together or not at all, with generations, groups that they inherit from, and deletion.
#![allow(clippy::unwrap_used)]

mod kernel;

use kernel::{Kernel, name, object, service};
use mezz_spec::{Kind, Object};
use mezz_workload::call::{ApplyMode, Call, Change, Conflict, Refusal, Reply};
use mezz_workload::records::RolloutState;
use serde_json::json;

fn apply(objects: Vec<Object>, mode: ApplyMode) -> Call {
    Call::Apply {
        objects,
        mode,
        conflict: Conflict::Supersede,
    }
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let mut kernel = Kernel::new(1);
    kernel.apply(service("/web", "v1", json!({})));
    let before = (kernel.workloads.clone(), kernel.store.clone());
    let reply = kernel.call(apply(
        vec![
            service("/web", "v2", json!({})),
            service("/new", "v1", json!({})),
        ],
        ApplyMode::DryRun,
    ));
    let Reply::Applied(applied) = reply else {
        panic!("{reply:?}");
    };
    let changes: Vec<_> = applied
        .iter()
        .map(|one| (one.generation, one.change))
        .collect();
    assert_eq!(changes, [(2, Change::Updated), (1, Change::Created)]);
    assert!(kernel.workloads == before.0);
    assert_eq!(kernel.store, before.1);
}

#[test]
fn one_bad_object_keeps_all_of_them_out() {
    let mut kernel = Kernel::new(1);
    let port = |port: u16| json!({ "template": { "containers": [ { "ports": [ { "name": "a", "service_port": port } ] } ] } });
    kernel.apply(service("/one", "x", port(10_000)));
    let refusal = kernel.refused(apply(
        vec![
            service("/two", "x", port(10_001)),
            service("/three", "x", port(10_000)),
        ],
        ApplyMode::Commit,
    ));
    let Refusal::Invalid {
        name,
        path,
        message,
        ..
    } = refusal
    else {
        panic!("{refusal:?}");
    };
    assert_eq!(name, "/three");
    assert_eq!(path, "/spec/template/containers/0/ports/0/service_port");
    assert!(message.contains("/one"), "{message}");
    assert_eq!(kernel.workloads.records().objects.len(), 1);
}

#[test]
fn a_change_for_an_older_generation_is_refused() {
    let mut kernel = Kernel::new(1);
    kernel.apply(service("/web", "v1", json!({})));
    kernel.apply(service("/web", "v2", json!({})));
    for (generation, is_taken) in [(1, false), (0, false), (2, true)] {
        let mut object = service("/web", "v3", json!({}));
        object.generation = Some(generation);
        let reply = kernel.try_apply(vec![object]);
        assert_eq!(matches!(reply, Reply::Applied(_)), is_taken, "{generation}");
    }
    assert!(matches!(
        kernel.refused(Call::Delete {
            kind: Kind::Service,
            name: name("/web"),
            generation: Some(1),
            conflict: Conflict::Supersede,
        }),
        Refusal::Conflict { .. }
    ));
}

#[test]
fn services_that_would_wait_for_each_other_are_refused_with_the_circle() {
    let mut kernel = Kernel::new(1);
    kernel.apply(service("/a/one", "x", json!({ "after": ["/b"] })));
    let refusal = kernel.refused(apply(
        vec![service("/b/two", "x", json!({ "after": ["/a/one"] }))],
        ApplyMode::Commit,
    ));
    let Refusal::Invalid { message, path, .. } = refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(path, "/spec/after");
    assert!(
        message.contains("/a/one waits for /b/two") || message.contains("/b/two waits for /a/one"),
        "{message}"
    );
}

#[test]
fn what_a_group_gives_rolls_what_lies_below_it_when_instances_would_differ() {
    let mut kernel = Kernel::new(1);
    kernel.apply_all(vec![
        object(Kind::Group, "/team", json!({ "env": { "LEVEL": "1" } })),
        service("/team/web", "serve", json!({})),
        service("/other", "serve", json!({})),
    ]);
    let before = kernel.ids("/other");
    kernel.apply(object(
        Kind::Group,
        "/team",
        json!({ "env": { "LEVEL": "1" }, "labels": { "a": "b" } }),
    ));
    assert_eq!(
        kernel.rollouts("/team/web").len(),
        1,
        "labels need no new instances"
    );
    kernel.apply(object(
        Kind::Group,
        "/team",
        json!({ "env": { "LEVEL": "2" } }),
    ));
    assert_eq!(kernel.rollouts("/team/web").len(), 2);
    assert_eq!(
        kernel.last_rollout("/team/web").state,
        RolloutState::Succeeded
    );
    assert_eq!(kernel.ids("/other"), before);
}

#[test]
fn deleting_a_group_deletes_all_below_it() {
    let mut kernel = Kernel::new(1);
    kernel.apply_all(vec![
        object(Kind::Group, "/team", json!({})),
        object(Kind::Config, "/team/settings", json!({ "data": {} })),
        service("/team/web", "serve", json!({})),
        service("/teamwork", "serve", json!({})),
    ]);
    let Reply::Applied(deleted) = kernel.delete(Kind::Group, "/team") else {
        panic!("it is deleted");
    };
    assert_eq!(deleted.len(), 3);
    assert_eq!(kernel.workloads.records().objects.len(), 1);
    assert_eq!(kernel.tasks.len(), 1);
    assert!(matches!(
        kernel.refused(Call::Delete {
            kind: Kind::Group,
            name: name("/team"),
            generation: None,
            conflict: Conflict::Supersede
        }),
        Refusal::NotFound { .. }
    ));
}

#[test]
fn a_name_can_be_used_again_while_the_old_instances_still_end() {
    let mut kernel = Kernel::new(1);
    kernel.apply(service("/web", "v1", json!({})));
    kernel.manners.ends = false;
    let old = kernel.ids("/web").remove(0);
    kernel.delete(Kind::Service, "/web");
    kernel.apply(service("/web", "v2", json!({})));
    assert_eq!(kernel.object(Kind::Service, "/web").generation, 1);
    assert_eq!(kernel.ids("/web").len(), 2);
    kernel.restart();
    kernel.end(&old, mezz_proto::v1::TaskState::TaskKilled, "");
    assert_eq!(kernel.ids("/web").len(), 1);
    assert_eq!(kernel.workloads.records().objects.len(), 1);
}

#[test]
fn fifty_earlier_generations_are_kept_here_and_in_the_store() {
    let mut kernel = Kernel::new(1);
    for number in 0..60 {
        kernel.apply(service("/web", "v1", json!({ "priority": number })));
    }
    let former = kernel.object(Kind::Service, "/web").former.clone();
    assert_eq!(former.len(), 50);
    assert_eq!((former[0].generation, former[49].generation), (10, 59));
    kernel.restart();
    assert_eq!(kernel.object(Kind::Service, "/web").former, former);
    let refusal = kernel.refused(Call::Rollback {
        name: name("/web"),
        to: Some(3),
        conflict: Conflict::Supersede,
    });
    assert!(refusal.to_string().contains("kept are: 10"), "{refusal}");
}

#[test]
fn nothing_is_taken_before_the_store_was_read() {
    let mut kernel = Kernel::new(1);
    kernel.workloads = mezz_workload::Workloads::new();
    let reply = kernel.try_apply(vec![service("/web", "v1", json!({}))]);
    assert!(matches!(reply, Reply::Refused(Refusal::Conflict { .. })));
}

#[test]
fn what_is_replaced_comes_and_goes_together_or_not_at_all() {
    let mut kernel = Kernel::new(1);
    let port = |port: u16| json!({ "template": { "containers": [ { "ports": [ { "name": "a", "service_port": port } ] } ] } });
    kernel.apply(service("/old", "x", port(10_000)));
    let replace = |objects, ends: &[&str]| Call::Replace {
        objects,
        ends: ends.iter().map(|path| name(path)).collect(),
        conflict: Conflict::Supersede,
    };
    let before = (kernel.workloads.clone(), kernel.store.clone());
    let heir = service("/new", "x", port(10_000));
    let refusal = kernel.refused(replace(vec![heir.clone()], &["/old", "/nobody"]));
    assert!(matches!(refusal, Refusal::NotFound { .. }), "{refusal}");
    let refusal = kernel.refused(replace(vec![heir.clone()], &[]));
    assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal}");
    assert!(kernel.workloads == before.0);
    assert_eq!(kernel.store, before.1);
    // The port of the one that goes is for the one that comes.
    let Reply::Applied(applied) = kernel.call(replace(vec![heir], &["/old"])) else {
        panic!("it is refused");
    };
    let changes: Vec<_> = applied
        .iter()
        .map(|one| (one.name.as_str(), one.change))
        .collect();
    assert_eq!(
        changes,
        [("/old", Change::Deleted), ("/new", Change::Created)]
    );
}
