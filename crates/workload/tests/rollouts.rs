//! Rollouts: how a service moves from one generation to the next, and what happens when that does not work.
#![allow(clippy::unwrap_used)]

mod kernel;

use kernel::{Kernel, name, service};
use mezz_proto::v1::TaskState;
use mezz_spec::{Kind, Object};
use mezz_workload::call::{ApplyMode, Call, Change, Conflict, Lasting, Refusal, Reply};
use mezz_workload::event::CheckFound;
use mezz_workload::records::{Owner, RolloutState};
use serde_json::{Value, json};

/// A service with a ready check, which instances pass when the test says so.
fn checked(command: &str, replicas: u32, update: Value) -> Object {
    let ready = json!({ "ready": { "command": "true" } });
    service(
        "/web",
        command,
        json!({ "replicas": replicas, "update": update,
                "template": { "containers": [ { "checks": ready } ] } }),
    )
}

/// How many instances there are of each generation, and how many of these are ready.
fn counts(kernel: &Kernel) -> Vec<(u64, usize, usize)> {
    let mut counts = std::collections::BTreeMap::<u64, (usize, usize)>::new();
    for instance in kernel.instances("/web") {
        let Owner::Service { generation, .. } = instance.owner else {
            continue;
        };
        let count = counts.entry(generation).or_default();
        count.0 += usize::from(instance.ending.is_none());
        count.1 += usize::from(instance.ready);
    }
    counts
        .into_iter()
        .map(|(generation, (all, ready))| (generation, all, ready))
        .collect()
}

fn make_ready(kernel: &mut Kernel) {
    let waiting: Vec<String> = kernel
        .instances("/web")
        .iter()
        .filter(|instance| !instance.ready && instance.ending.is_none())
        .map(|instance| instance.id.to_string())
        .collect();
    for id in waiting {
        if kernel.tasks.contains_key(&id) {
            kernel.set_check(&id, CheckFound::Command(0));
        }
    }
}

fn started(replicas: u32, update: Value) -> Kernel {
    let mut kernel = Kernel::new(4);
    kernel.apply(checked("v1", replicas, update));
    make_ready(&mut kernel);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Succeeded);
    kernel
}

#[test]
fn a_rolling_update_goes_on_as_new_instances_become_ready() {
    let mut kernel = started(4, json!({}));
    kernel.apply(checked("v2", 4, json!({})));
    assert_eq!(counts(&kernel), [(1, 4, 4), (2, 1, 0)]);
    kernel.pass(60);
    assert_eq!(counts(&kernel), [(1, 4, 4), (2, 1, 0)], "it waits");
    make_ready(&mut kernel);
    assert_eq!(counts(&kernel), [(1, 3, 3), (2, 2, 1)]);
    for _ in 0..3 {
        make_ready(&mut kernel);
    }
    assert_eq!(counts(&kernel), [(2, 4, 4)]);
    let rollout = kernel.last_rollout("/web");
    assert_eq!(rollout.state, RolloutState::Succeeded);
    assert_eq!((rollout.from, rollout.to), (Some(1), 2));
    assert_eq!(kernel.service_status("/web").stable_generation, Some(2));
}

#[test]
fn without_surge_as_many_go_first_as_may_be_missing() {
    let update = json!({ "strategy": { "rolling": { "max_surge": 0, "max_unavailable": 2 } } });
    let mut kernel = started(4, update.clone());
    kernel.apply(checked("v2", 4, update));
    assert_eq!(counts(&kernel), [(1, 2, 2), (2, 2, 0)]);
    make_ready(&mut kernel);
    make_ready(&mut kernel);
    assert_eq!(counts(&kernel), [(2, 4, 4)]);
}

#[test]
fn recreate_ends_all_before_it_starts_any() {
    let update = json!({ "strategy": "recreate" });
    let mut kernel = started(3, update.clone());
    kernel.manners.ends = false;
    kernel.apply(checked("v2", 3, update));
    assert_eq!(counts(&kernel), [(1, 0, 0)]);
    for id in kernel.ids("/web") {
        kernel.end(&id, TaskState::TaskKilled, "");
    }
    assert_eq!(counts(&kernel), [(2, 3, 0)]);
    make_ready(&mut kernel);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Succeeded);
}

#[test]
fn a_canary_waits_after_each_step_for_its_time_or_for_somebody() {
    let steps = json!([ { "new": 1 }, { "new": "50%", "pause": "5m" } ]);
    let update = json!({ "strategy": { "canary": { "steps": steps } } });
    let mut kernel = started(4, update.clone());
    kernel.apply(checked("v2", 4, update));
    for _ in 0..3 {
        make_ready(&mut kernel);
    }
    assert_eq!(counts(&kernel), [(1, 3, 3), (2, 1, 1)]);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Paused);
    kernel.pass(3_600);
    assert_eq!(
        counts(&kernel),
        [(1, 3, 3), (2, 1, 1)],
        "until somebody resumes it"
    );
    // While it waits, an old one that fails is replaced by an old one.
    let old = kernel
        .instances("/web")
        .iter()
        .find(|one| one.revision == 1)
        .unwrap()
        .id
        .to_string();
    kernel.end(&old, TaskState::TaskFailed, "");
    kernel.pass(2);
    make_ready(&mut kernel);
    assert_eq!(counts(&kernel), [(1, 3, 3), (2, 1, 1)]);
    kernel.call(Call::Resume { name: name("/web") });
    for _ in 0..3 {
        make_ready(&mut kernel);
    }
    assert_eq!(counts(&kernel), [(1, 2, 2), (2, 2, 2)]);
    kernel.pass(301);
    for _ in 0..4 {
        make_ready(&mut kernel);
    }
    assert_eq!(counts(&kernel), [(2, 4, 4)]);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Succeeded);
}

#[test]
fn blue_green_starts_all_beside_the_old_and_moves_traffic_at_once() {
    let update = json!({ "strategy": { "blue_green": { "manual": true, "keep_old": "60s" } } });
    let mut kernel = started(2, update.clone());
    kernel.apply(checked("v2", 2, update));
    let serving = |kernel: &Kernel| -> Vec<u32> {
        let mut all: Vec<u32> = kernel
            .instances("/web")
            .iter()
            .filter(|one| one.ready && !one.parked)
            .map(|one| one.revision)
            .collect();
        all.sort_unstable();
        all
    };
    assert_eq!(counts(&kernel), [(1, 2, 2), (2, 2, 0)]);
    make_ready(&mut kernel);
    assert_eq!(serving(&kernel), [1, 1]);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Paused);
    kernel.call(Call::Resume { name: name("/web") });
    assert_eq!(serving(&kernel), [2, 2]);
    assert_eq!(
        counts(&kernel),
        [(1, 2, 2), (2, 2, 2)],
        "the old ones stay for a while"
    );
    kernel.pass(61);
    assert_eq!(counts(&kernel), [(2, 2, 2)]);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Succeeded);
}

#[test]
fn a_rollout_without_progress_goes_back_by_itself_and_says_why() {
    let update = json!({ "deadline": "5m" });
    let mut kernel = started(3, update.clone());
    kernel.apply(checked("v2", 3, update));
    kernel.pass(299);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Rolling);
    kernel.pass(2);
    let rollout = kernel.last_rollout("/web");
    assert_eq!(rollout.state, RolloutState::RolledBack);
    assert!(
        rollout.message.contains("no progress for 5m"),
        "{}",
        rollout.message
    );
    assert_eq!(counts(&kernel), [(1, 3, 3)]);
    let object = kernel.object(Kind::Service, "/web");
    assert_eq!(
        object.generation, 3,
        "the way back is a generation of its own"
    );
    assert_eq!(object.spec, object.former[0].spec);
    assert_eq!(kernel.service_status("/web").stable_generation, Some(3));
}

#[test]
fn a_rollout_whose_instances_fail_too_often_goes_back() {
    let mut kernel = started(3, json!({}));
    kernel.apply(checked("v2", 3, json!({})));
    for _ in 0..4 {
        kernel.pass(60);
        let new = kernel
            .instances("/web")
            .iter()
            .find(|one| one.revision == 2)
            .unwrap()
            .id
            .to_string();
        kernel.end(&new, TaskState::TaskFailed, "no such file");
    }
    let rollout = kernel.last_rollout("/web");
    assert_eq!(rollout.state, RolloutState::RolledBack);
    assert!(
        rollout.message.contains("4 new instances failed"),
        "{}",
        rollout.message
    );
    assert!(
        rollout.message.contains("no such file"),
        "{}",
        rollout.message
    );
    assert_eq!(counts(&kernel), [(1, 3, 3)]);
}

#[test]
fn a_rollout_that_may_not_go_back_ends_where_it_is() {
    let update = json!({ "auto_rollback": false, "deadline": "60s",
        "strategy": { "rolling": { "max_surge": 0, "max_unavailable": 1 } } });
    let mut kernel = started(3, update.clone());
    kernel.apply(checked("v2", 3, update));
    kernel.pass(61);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Failed);
    assert_eq!(counts(&kernel), [(1, 2, 2), (2, 1, 0)]);
    kernel.pass(600);
    assert_eq!(counts(&kernel), [(1, 2, 2), (2, 1, 0)]);
    kernel.call(Call::Rollback {
        name: name("/web"),
        to: None,
        conflict: Conflict::Reject,
    });
    make_ready(&mut kernel);
    assert_eq!(counts(&kernel), [(1, 3, 3)]);
}

#[test]
fn a_paused_rollout_stands_still_until_it_is_resumed() {
    let mut kernel = started(4, json!({}));
    kernel.apply(checked("v2", 4, json!({})));
    kernel.call(Call::Pause {
        name: name("/web"),
        lasts: Lasting::UntilLetGo,
    });
    for _ in 0..3 {
        make_ready(&mut kernel);
    }
    kernel.pass(3_600);
    assert_eq!(counts(&kernel), [(1, 3, 3), (2, 1, 1)]);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Paused);
    kernel.call(Call::Resume { name: name("/web") });
    for _ in 0..4 {
        make_ready(&mut kernel);
    }
    assert_eq!(counts(&kernel), [(2, 4, 4)]);
}

#[test]
fn an_aborted_rollout_leaves_what_is_there_and_the_next_apply_goes_on() {
    let mut kernel = started(4, json!({}));
    kernel.apply(checked("v2", 4, json!({})));
    make_ready(&mut kernel);
    kernel.call(Call::Abort { name: name("/web") });
    make_ready(&mut kernel);
    kernel.pass(1_000);
    assert_eq!(counts(&kernel), [(1, 3, 3), (2, 1, 1)]);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Aborted);
    kernel.apply(checked("v3", 4, json!({})));
    for _ in 0..5 {
        make_ready(&mut kernel);
    }
    assert_eq!(counts(&kernel), [(3, 4, 4)]);
}

#[test]
fn going_back_by_hand_keeps_the_old_instances_that_are_still_there() {
    let mut kernel = started(4, json!({}));
    kernel.apply(checked("v2", 4, json!({})));
    make_ready(&mut kernel);
    let old: Vec<String> = kernel
        .instances("/web")
        .iter()
        .filter(|one| one.revision == 1)
        .map(|one| one.id.to_string())
        .collect();
    kernel.call(Call::Rollback {
        name: name("/web"),
        to: Some(1),
        conflict: Conflict::Supersede,
    });
    for _ in 0..4 {
        make_ready(&mut kernel);
    }
    assert_eq!(counts(&kernel), [(1, 4, 4)]);
    assert!(old.iter().all(|id| kernel.ids("/web").contains(id)));
    let rollouts = kernel.rollouts("/web");
    assert_eq!(rollouts[1].state, RolloutState::Superseded);
    assert_eq!(rollouts[2].state, RolloutState::Succeeded);
    assert_eq!(kernel.object(Kind::Service, "/web").generation, 3);
}

#[test]
fn a_change_in_the_middle_of_a_rollout_takes_over_or_is_refused() {
    let mut kernel = started(4, json!({}));
    kernel.apply(checked("v2", 4, json!({})));
    let refusal = kernel.refused(Call::Apply {
        objects: vec![checked("v3", 4, json!({}))],
        mode: ApplyMode::Commit,
        conflict: Conflict::Reject,
    });
    let Refusal::Conflict { rollouts, .. } = refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(rollouts, [kernel.last_rollout("/web").id.to_string()]);
    kernel.apply(checked("v3", 4, json!({})));
    for _ in 0..6 {
        make_ready(&mut kernel);
    }
    assert_eq!(counts(&kernel), [(3, 4, 4)]);
}

#[test]
fn scaling_in_the_middle_of_a_rollout_goes_on_with_it() {
    for replicas in [2, 7] {
        let mut kernel = started(4, json!({}));
        kernel.apply(checked("v2", 4, json!({})));
        make_ready(&mut kernel);
        kernel.apply(checked("v2", replicas, json!({})));
        assert_eq!(kernel.rollouts("/web").len(), 2, "the same rollout");
        for _ in 0..8 {
            make_ready(&mut kernel);
        }
        let all = replicas as usize;
        assert_eq!(counts(&kernel), [(2, all, all)]);
        assert_eq!(kernel.last_rollout("/web").to, 3);
    }
}

#[test]
fn a_restart_replaces_all_instances_of_the_same_generation_as_a_rollout() {
    let mut kernel = started(3, json!({}));
    let before = kernel.ids("/web");
    let reply = kernel.call(Call::Restart {
        name: name("/web"),
        conflict: Conflict::Reject,
    });
    assert!(matches!(reply, Reply::Applied(_)));
    for _ in 0..4 {
        make_ready(&mut kernel);
    }
    assert_eq!(counts(&kernel), [(1, 3, 3)]);
    assert!(kernel.ids("/web").iter().all(|id| !before.contains(id)));
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Succeeded);
}

#[test]
fn a_change_that_needs_no_new_instances_rolls_nothing() {
    let mut kernel = started(3, json!({}));
    let before = kernel.ids("/web");
    let applied = kernel.apply(checked("v1", 3, json!({ "deadline": "1h" })));
    assert_eq!((applied.change, applied.rollout), (Change::Updated, None));
    assert_eq!(kernel.ids("/web"), before);
    assert_eq!(kernel.service_status("/web").stable_generation, Some(2));
    let again = kernel.apply(checked("v1", 3, json!({ "deadline": "1h" })));
    assert_eq!(again.change, Change::Unchanged);
}

#[test]
fn a_rollout_goes_on_where_it_was_after_a_restart_of_the_master_at_any_step() {
    for steps in 0..6 {
        let mut kernel = started(4, json!({}));
        kernel.apply(checked("v2", 4, json!({})));
        for step in 0..6 {
            if step == steps {
                let before = counts(&kernel);
                kernel.restart();
                assert_eq!(counts(&kernel), before, "step {step}");
            }
            make_ready(&mut kernel);
        }
        assert_eq!(counts(&kernel), [(2, 4, 4)]);
        assert_eq!(kernel.last_rollout("/web").state, RolloutState::Succeeded);
        assert_eq!(kernel.launches.len(), 8, "nothing was started twice");
    }
}

#[test]
fn an_image_of_the_whole_state_goes_on_exactly_as_the_original() {
    let mut kernel = started(4, json!({}));
    kernel.apply(checked("v2", 4, json!({})));
    make_ready(&mut kernel);
    let image = postcard::to_allocvec(&kernel.workloads).unwrap();
    let copy: mezz_workload::Workloads = postcard::from_bytes(&image).unwrap();
    assert!(copy == kernel.workloads);
    assert_eq!(postcard::to_allocvec(&copy).unwrap(), image);
}
