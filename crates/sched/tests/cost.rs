//! The cost of a cycle follows what changed, not the size of the cluster.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_sched::Stats;
use support::{Lab, SECOND, a, f, of_role};

/// A cluster in which everything is taken, by frameworks in turn.
fn full_cluster(agents: u32, frameworks: u32) -> Lab {
    let mut lab = Lab::new();
    for index in 0..frameworks {
        lab.framework(index, &[&format!("role{}", index % 10)]);
    }
    for index in 0..agents {
        lab.sched.add_agent(
            a(index),
            support::agent("cpus:16;mem:65536;ports:[31000-32000]"),
            &[],
        );
    }
    let mut grants = Vec::new();
    lab.sched.allocate(lab.now, &mut grants);
    assert_eq!(grants.len(), agents as usize);
    lab
}

fn cost(lab: &mut Lab, act: impl FnOnce(&mut Lab)) -> Stats {
    let before = lab.sched.stats();
    act(lab);
    let mut grants = Vec::new();
    lab.sched.allocate(lab.now, &mut grants);
    let after = lab.sched.stats();
    Stats {
        cycles: after.cycles - before.cycles,
        agents_visited: after.agents_visited - before.agents_visited,
        leaves_examined: after.leaves_examined - before.leaves_examined,
        grants: after.grants - before.grants,
        mismatches: after.mismatches - before.mismatches,
    }
}

#[test]
fn a_freed_agent_costs_the_same_in_a_small_and_a_large_cluster() {
    let mut costs = Vec::new();
    for agents in [1_000, 50_000] {
        let mut lab = full_cluster(agents, 50);
        costs.push(cost(&mut lab, |lab| {
            let held = lab.sched.held(f(3), a(3));
            assert!(!held.is_empty());
            lab.sched.recover(
                lab.now,
                f(3),
                a(3),
                &of_role("cpus:1;mem:1024", "role3"),
                None,
            );
        }));
    }
    assert_eq!(costs[0], costs[1]);
    assert_eq!(
        (
            costs[0].agents_visited,
            costs[0].leaves_examined,
            costs[0].grants
        ),
        (1, 1, 1)
    );
}

#[test]
fn a_declined_agent_is_looked_at_once_and_once_more_when_the_refusal_ends() {
    let mut lab = full_cluster(1_000, 20);
    let held = lab.sched.held(f(3), a(3));
    let declined = cost(&mut lab, |lab| {
        lab.sched
            .recover(lab.now, f(3), a(3), &held, Some(5 * SECOND));
    });
    assert_eq!(
        (declined.agents_visited, declined.grants),
        (1, 1),
        "the next in turn takes it"
    );
    let ended = cost(&mut lab, |lab| {
        lab.pass(5 * SECOND);
    });
    assert_eq!(
        (ended.agents_visited, ended.leaves_examined, ended.grants),
        (1, 0, 0)
    );
}

#[test]
fn a_revival_looks_at_free_agents_for_that_framework_only() {
    let mut lab = full_cluster(1_000, 20);
    for index in 0..20 {
        lab.sched.suppress(f(index), &[]);
    }
    for index in 0..10 {
        let holder = (0..20)
            .map(f)
            .find(|framework| !lab.sched.held(*framework, a(index)).is_empty())
            .unwrap();
        let held = lab.sched.held(holder, a(index));
        lab.sched.recover(lab.now, holder, a(index), &held, None);
    }
    let freed = cost(&mut lab, |_| {});
    assert_eq!(freed.grants, 0);
    let revived = cost(&mut lab, |lab| lab.sched.revive(f(5), &[]));
    assert_eq!(
        (
            revived.agents_visited,
            revived.leaves_examined,
            revived.grants
        ),
        (10, 10, 10)
    );
}

#[test]
fn an_idle_cluster_costs_nothing() {
    let mut lab = full_cluster(1_000, 20);
    assert!(!lab.sched.is_dirty());
    assert_eq!(lab.sched.next_deadline(), None);
    assert_eq!(cost(&mut lab, |_| {}).agents_visited, 0);
}

#[test]
fn the_quota_of_one_role_does_not_make_others_costly() {
    let mut lab = full_cluster(1_000, 20);
    let limits = support::qty("cpus:1");
    lab.sched.set_quota("role1", &support::qty(""), &limits);
    let held = lab.sched.held(f(3), a(3));
    // Half of the cluster is free and refused by everybody.
    for index in 0..20 {
        lab.sched.suppress(f(index), &[]);
    }
    for index in 0..500 {
        let holder = (0..20)
            .map(f)
            .find(|framework| !lab.sched.held(*framework, a(index)).is_empty())
            .unwrap();
        let held = lab.sched.held(holder, a(index));
        lab.sched.recover(lab.now, holder, a(index), &held, None);
    }
    cost(&mut lab, |_| {});
    assert!(!held.is_empty());
    let one = cost(&mut lab, |lab| {
        let holder = (0..20)
            .map(f)
            .find(|framework| !lab.sched.held(*framework, a(700)).is_empty())
            .unwrap();
        let held = lab.sched.held(holder, a(700));
        lab.sched.recover(lab.now, holder, a(700), &held, None);
    });
    assert_eq!(one.agents_visited, 1);
}
