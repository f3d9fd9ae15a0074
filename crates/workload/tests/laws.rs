//! Laws of services under random applies, failures, losses of agents and restarts of the master.
#![allow(clippy::unwrap_used)]

mod kernel;

use std::collections::BTreeSet;

use kernel::{Kernel, name, service};
use mezz_proto::v1::TaskState;
use mezz_spec::Object;
use mezz_spec::service::Replicas;
use mezz_workload::Workloads;
use mezz_workload::call::{Call, Conflict, Lasting};
use mezz_workload::event::CheckFound;
use mezz_workload::records::{Owner, Phase};
use proptest::prelude::*;
use serde_json::json;

#[derive(Clone, Debug)]
enum Step {
    Apply {
        version: u8,
        replicas: u32,
        strategy: u8,
    },
    Scale(u32),
    Restart,
    Rollback,
    Pause(Lasting),
    Resume,
    Abort,
    Freeze(Lasting),
    Thaw,
    Ready(usize),
    Unready(usize),
    Fail(usize),
    Vanish(usize),
    Kill(usize, bool),
    Lose(usize),
    Regain(usize),
    Drop(usize),
    NewMaster,
    Pass(u64),
}

fn lasting() -> impl Strategy<Value = Lasting> {
    prop_oneof![
        Just(Lasting::UntilLetGo),
        (1..200_000_000_000u64).prop_map(|ns| Lasting::For { ns }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..3u8, 0..6u32, 0..5u8).prop_map(|(version, replicas, strategy)| Step::Apply { version, replicas, strategy }),
        1 => (0..6u32).prop_map(Step::Scale),
        1 => Just(Step::Restart),
        1 => Just(Step::Rollback),
        1 => lasting().prop_map(Step::Pause),
        2 => Just(Step::Resume),
        1 => Just(Step::Abort),
        1 => lasting().prop_map(Step::Freeze),
        2 => Just(Step::Thaw),
        12 => (0..20usize).prop_map(Step::Ready),
        2 => (0..20usize).prop_map(Step::Unready),
        3 => (0..20usize).prop_map(Step::Fail),
        1 => (0..20usize).prop_map(Step::Vanish),
        1 => (0..20usize, any::<bool>()).prop_map(|(which, down)| Step::Kill(which, down)),
        2 => (0..4usize).prop_map(Step::Lose),
        2 => (0..4usize).prop_map(Step::Regain),
        1 => (0..4usize).prop_map(Step::Drop),
        1 => Just(Step::NewMaster),
        6 => (1..400u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..40)
}

fn web(version: u8, replicas: u32, strategy: u8) -> Object {
    let strategy = match strategy {
        0 => json!({ "rolling": {} }),
        1 => json!({ "rolling": { "max_surge": 0, "max_unavailable": 1 } }),
        2 => json!({ "rolling": { "max_surge": 2, "max_unavailable": 2 } }),
        3 => json!({ "canary": { "steps": [ { "new": 1 }, { "new": "50%", "pause": "30s" } ] } }),
        _ => json!({ "blue_green": { "keep_old": "20s" } }),
    };
    let unreachable = json!({ "replace_after": "30s", "expunge_after": "90s" });
    let checks = json!({ "ready": { "command": "true" } });
    let restart = json!({ "initial": "1s", "max": "10s" });
    service(
        "/web",
        &format!("v{version}"),
        json!({ "replicas": replicas, "unreachable": unreachable, "restart": restart,
                "update": { "strategy": strategy, "deadline": "300s" },
                "template": { "containers": [ { "checks": checks } ] } }),
    )
}

/// What strategies leave serving at least.
fn floor(replicas: u32, strategy: u8) -> u32 {
    match strategy {
        1 => replicas.saturating_sub(1),
        2 => replicas.saturating_sub(2),
        _ => replicas,
    }
}

fn pick(kernel: &Kernel, which: usize) -> Option<String> {
    let ids: Vec<&String> = kernel.tasks.keys().collect();
    let id = *ids.get(which % ids.len().max(1))?;
    let is_away = kernel.unreachable.contains(&kernel.tasks[id].agent);
    (!is_away).then(|| id.clone())
}

fn take(kernel: &mut Kernel, step: &Step, spec: &mut (u8, u32, u8)) {
    let call = |kernel: &mut Kernel, call: Call| drop(kernel.call(call));
    let agent = |which: &usize| format!("agent-{which:03}");
    match step {
        Step::Apply {
            version,
            replicas,
            strategy,
        } => {
            *spec = (*version, *replicas, *strategy);
            kernel.floors.clear();
            kernel.apply(web(*version, *replicas, *strategy));
        }
        Step::Scale(replicas) => {
            spec.1 = *replicas;
            kernel.floors.clear();
            call(
                kernel,
                Call::Scale {
                    name: name("/web"),
                    replicas: Replicas::Count(*replicas),
                    conflict: Conflict::Supersede,
                },
            );
        }
        Step::Restart => call(
            kernel,
            Call::Restart {
                name: name("/web"),
                conflict: Conflict::Supersede,
            },
        ),
        Step::Rollback => {
            kernel.floors.clear();
            call(
                kernel,
                Call::Rollback {
                    name: name("/web"),
                    to: None,
                    conflict: Conflict::Supersede,
                },
            );
        }
        Step::Pause(lasts) => call(
            kernel,
            Call::Pause {
                name: name("/web"),
                lasts: *lasts,
            },
        ),
        Step::Resume => call(kernel, Call::Resume { name: name("/web") }),
        Step::Abort => call(kernel, Call::Abort { name: name("/web") }),
        Step::Freeze(lasts) => call(kernel, Call::Freeze { lasts: *lasts }),
        Step::Thaw => call(kernel, Call::Thaw),
        Step::Ready(which) => {
            if let Some(id) = pick(kernel, *which) {
                kernel.set_check(&id, CheckFound::Command(0));
            }
        }
        Step::Unready(which) => {
            if let Some(id) = pick(kernel, *which) {
                kernel.set_check(&id, CheckFound::Command(1));
            }
        }
        Step::Fail(which) => {
            if let Some(id) = pick(kernel, *which) {
                kernel.end(&id, TaskState::TaskFailed, "exit 1");
            }
        }
        Step::Vanish(which) => {
            if let Some(id) = pick(kernel, *which) {
                kernel.tasks.remove(&id);
                kernel.restart();
            }
        }
        Step::Kill(which, scale_down) => {
            if let Some(id) = pick(kernel, *which) {
                if *scale_down {
                    kernel.floors.clear();
                }
                call(
                    kernel,
                    Call::KillInstances {
                        ids: vec![id],
                        scale_down: *scale_down,
                    },
                );
            }
        }
        Step::Lose(which) => {
            if kernel.agents[&*agent(which)].is_up {
                kernel.lose_agent(&agent(which));
            }
        }
        Step::Regain(which) => {
            if kernel.unreachable.contains(&*agent(which)) {
                kernel.regain_agent(&agent(which));
            }
        }
        Step::Drop(which) => {
            if kernel.agents.values().filter(|agent| agent.is_up).count() > 1 {
                kernel.drop_agent(&agent(which));
            }
        }
        Step::NewMaster => kernel.restart(),
        Step::Pass(seconds) => kernel.pass(*seconds),
    }
}

/// What holds after each event.
fn watch(kernel: &Kernel) {
    let mut seen = BTreeSet::new();
    for (_, instance) in kernel.workloads.records().instances.iter() {
        let Owner::Service { ordinal, .. } = instance.owner else {
            continue;
        };
        let is_away =
            instance.phase == Phase::Unreachable || kernel.unreachable.contains(&instance.agent.id);
        if instance.ending.is_some() || is_away {
            continue;
        }
        assert!(
            seen.insert((instance.object, instance.revision, ordinal)),
            "two instances hold ordinal {ordinal} of revision {}",
            instance.revision
        );
    }
}

/// The state as bytes and back is the same state.
fn check_image(kernel: &Kernel) {
    let image = postcard::to_allocvec(&kernel.workloads).unwrap();
    let copy: Workloads = postcard::from_bytes(&image).unwrap();
    assert!(copy == kernel.workloads);
}

/// With everybody back and ready, a service is whole, and nothing else is left of it.
fn check_convergence(kernel: &mut Kernel) {
    for agent in kernel.unreachable.clone() {
        kernel.regain_agent(&agent);
    }
    drop(kernel.call(Call::Thaw));
    for _ in 0..60 {
        drop(kernel.call(Call::Resume { name: name("/web") }));
        let ids: Vec<String> = kernel.tasks.keys().cloned().collect();
        for id in ids {
            if kernel.tasks.contains_key(&id) {
                kernel.set_check(&id, CheckFound::Command(0));
            }
        }
        kernel.pass(40);
    }
    let status = kernel.service_status("/web");
    let (ready, wanted) = (status.ready as usize, status.wanted as usize);
    assert_eq!(
        (ready, kernel.tasks.len(), kernel.ids("/web").len()),
        (wanted, wanted, wanted)
    );
    assert!(
        kernel.demands.is_empty() && status.rollout.is_none(),
        "{status:?}"
    );
    let hold = kernel.rollouts("/web").last().is_some_and(|last| {
        use mezz_workload::records::RolloutState::{Aborted, Failed};
        matches!(last.state, Aborted | Failed)
    });
    let revisions: BTreeSet<u32> = kernel
        .instances("/web")
        .iter()
        .map(|one| one.revision)
        .collect();
    assert!(hold || revisions.len() <= 1, "{revisions:?}");
}

/// Another master that takes over from the store is the same in all that matters.
fn check_takeover(kernel: &mut Kernel) {
    kernel.pass(2);
    let before = (
        kernel.ids("/web"),
        kernel.service_status("/web"),
        kernel.rollouts("/web").len(),
    );
    let launches = kernel.launches.len();
    kernel.restart();
    assert_eq!(
        (
            kernel.ids("/web"),
            kernel.service_status("/web"),
            kernel.rollouts("/web").len()
        ),
        before
    );
    kernel.pass(100);
    assert_eq!(kernel.launches.len(), launches);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn services_keep_their_promises_and_converge_whatever_happens(steps in steps()) {
        let mut kernel = Kernel::new(4);
        let mut spec = (1, 3, 0);
        kernel.apply(web(1, 3, 0));
        kernel.watch = Some(watch);
        for step in &steps {
            take(&mut kernel, step, &mut spec);
            // While an apply, or a way back, changes how many are wanted, the promise changes with it.
            let is_plain = !matches!(step, Step::Apply { .. } | Step::Scale(_) | Step::Rollback | Step::Kill(..));
            if is_plain && kernel.rollouts("/web").len() == 1 {
                let key = kernel.object(mezz_spec::Kind::Service, "/web").key.0;
                kernel.floors.insert(key, floor(spec.1, spec.2));
            }
            check_image(&kernel);
        }
        kernel.floors.clear();
        check_convergence(&mut kernel);
        check_takeover(&mut kernel);
    }
}

#[test]
fn a_service_held_back_by_an_abort_is_kept_up_after_failures_and_restarts() {
    let mut kernel = Kernel::new(4);
    kernel.apply(web(1, 3, 0));
    let mut spec = (1, 3, 0);
    let steps = [
        Step::Ready(9),
        Step::Restart,
        Step::Abort,
        Step::Fail(15),
        Step::Vanish(0),
    ];
    for step in &steps {
        take(&mut kernel, step, &mut spec);
    }
    check_convergence(&mut kernel);
}

#[test]
fn what_an_abort_leaves_of_two_colours_comes_down_to_what_is_wanted() {
    let mut kernel = Kernel::new(4);
    kernel.apply(web(1, 3, 0));
    let mut spec = (1, 3, 0);
    let apply = |version, replicas, strategy| Step::Apply {
        version,
        replicas,
        strategy,
    };
    let steps = [
        apply(2, 2, 4),
        Step::Scale(3),
        Step::Lose(1),
        Step::Ready(13),
        apply(0, 2, 4),
        Step::Freeze(Lasting::UntilLetGo),
        apply(1, 1, 0),
        Step::Abort,
    ];
    for step in &steps {
        take(&mut kernel, step, &mut spec);
    }
    check_convergence(&mut kernel);
}
