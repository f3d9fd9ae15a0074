//! Dominant resource fairness: the worked examples of the DRF paper, weights, and the role tree.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Lab, SECOND, f, of_role};

/// Lets frameworks with fixed task sizes take one task from every offer until nobody can run more.
fn run_tasks(lab: &mut Lab, tasks: &[&str]) -> Vec<usize> {
    let mut running = vec![0; tasks.len()];
    for _ in 0..10_000 {
        let grants = lab.cycle();
        if grants.is_empty() {
            return running;
        }
        for grant in grants {
            let which = grant.framework.0 as usize;
            if grant
                .resources
                .contains(&of_role(tasks[which], &grant.role))
            {
                running[which] += 1;
                lab.accept(&grant, tasks[which]);
            } else {
                lab.decline(&grant, 3600 * SECOND);
            }
        }
    }
    panic!("the frameworks never came to rest");
}

#[test]
fn the_example_of_the_paper_gives_three_and_two_tasks() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:9;mem:18")
        .framework(0, &["a"])
        .framework(1, &["b"]);
    assert_eq!(
        run_tasks(&mut lab, &["cpus:1;mem:4", "cpus:3;mem:1"]),
        [3, 2]
    );
    let shares: Vec<f64> = lab.sched.shares().iter().map(|role| role.share).collect();
    assert!(
        shares.iter().all(|share| (share - 2.0 / 3.0).abs() < 1e-9),
        "{shares:?}"
    );
}

#[test]
fn the_example_holds_for_two_frameworks_of_one_role() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:9;mem:18")
        .framework(0, &["a"])
        .framework(1, &["a"]);
    assert_eq!(
        run_tasks(&mut lab, &["cpus:1;mem:4", "cpus:3;mem:1"]),
        [3, 2]
    );
}

#[test]
fn weights_of_two_to_one_share_two_to_one() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:12;mem:120")
        .framework(0, &["a"])
        .framework(1, &["b"]);
    lab.sched.set_weight("a", 2.0).unwrap();
    assert_eq!(
        run_tasks(&mut lab, &["cpus:1;mem:1", "cpus:1;mem:1"]),
        [8, 4]
    );
}

#[test]
fn weights_hold_between_different_dominant_resources() {
    // Role b counts three times: it runs three tasks to one of a until memory is short, 18 to 6;
    // a goes on alone with what its tasks can still use.
    let mut lab = Lab::new();
    lab.agent(0, "cpus:100;mem:100")
        .framework(0, &["a"])
        .framework(1, &["b"]);
    lab.sched.set_weight("b", 3.0).unwrap();
    assert_eq!(
        run_tasks(&mut lab, &["cpus:5;mem:1", "cpus:1;mem:5"]),
        [10, 18]
    );
}

#[test]
fn a_role_without_weight_may_be_given_one_later() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:8;mem:8000")
        .framework(0, &["a"])
        .framework(1, &["b"]);
    assert_eq!(lab.offers(), ["f0@a0 a: cpus:8; mem:8000"]);
    lab.sched.recover(
        lab.now,
        f(0),
        support::a(0),
        &of_role("cpus:6;mem:6000", "a"),
        None,
    );
    lab.agent(1, "cpus:1;mem:1000");
    lab.sched.set_weight("a", 1000.0).unwrap();
    let next = lab.offers();
    assert_eq!(
        next[0], "f1@a0 b: cpus:6; mem:6000",
        "nothing held is still less than a heavy role's little"
    );
    assert_eq!(
        next[1], "f0@a1 a: cpus:1; mem:1000",
        "the heavy role is served before the light one"
    );
}

#[test]
fn bad_weights_are_refused() {
    let mut lab = Lab::new();
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e30] {
        assert!(lab.sched.set_weight("a", weight).is_err(), "{weight}");
    }
    assert!((lab.sched.weight("a") - 1.0).abs() < f64::EPSILON);
}

#[test]
fn siblings_share_at_each_level_of_the_tree() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:16;mem:16000");
    lab.framework(0, &["a/b"])
        .framework(1, &["a/c"])
        .framework(2, &["d"]);
    let running = run_tasks(&mut lab, &["cpus:1;mem:1000"; 3]);
    assert_eq!(running, [4, 4, 8]);
}

#[test]
fn frameworks_of_an_inner_role_compete_with_its_children() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:12;mem:12000");
    lab.framework(0, &["a"])
        .framework(1, &["a/b"])
        .framework(2, &["a/c"]);
    assert_eq!(run_tasks(&mut lab, &["cpus:1;mem:1000"; 3]), [4, 4, 4]);
}

#[test]
fn many_frameworks_of_one_role_weigh_as_one_of_another() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:12;mem:12000");
    lab.framework(0, &["a"])
        .framework(1, &["a"])
        .framework(2, &["a"])
        .framework(3, &["b"]);
    assert_eq!(run_tasks(&mut lab, &["cpus:1;mem:1000"; 4]), [2, 2, 2, 6]);
}

#[test]
fn each_of_several_agents_goes_to_the_one_with_the_least() {
    // The cluster grows while two roles share it, as in the allocator's own walk-through.
    let mut lab = Lab::new();
    lab.agent(0, "cpus:2;mem:1024").framework(0, &["role1"]);
    assert_eq!(lab.offers(), ["f0@a0 role1: cpus:2; mem:1024"]);
    lab.framework(1, &["role2"]);
    assert!(lab.offers().is_empty());
    lab.agent(1, "cpus:1;mem:512");
    assert_eq!(lab.offers(), ["f1@a1 role2: cpus:1; mem:512"]);
    lab.agent(2, "cpus:3;mem:2048");
    assert_eq!(
        lab.offers(),
        ["f1@a2 role2: cpus:3; mem:2048"],
        "role2 has the smaller share"
    );
    lab.framework(2, &["role1"]);
    lab.agent(3, "cpus:4;mem:4096");
    assert_eq!(
        lab.offers(),
        ["f2@a3 role1: cpus:4; mem:4096"],
        "within role1 framework 2 has less"
    );
    lab.framework(3, &["role1"]);
    lab.framework(4, &["role3"]);
    lab.agent(4, "cpus:1;mem:512");
    assert_eq!(lab.offers(), ["f4@a4 role3: cpus:1; mem:512"]);
}

#[test]
fn equal_shares_are_served_in_turn() {
    let mut lab = Lab::new();
    lab.framework(0, &["r"])
        .framework(1, &["r"])
        .agent(0, "cpus:2;mem:2048");
    let mut served = [0, 0];
    for _ in 0..10 {
        let grants = lab.cycle();
        assert_eq!(grants.len(), 1);
        served[grants[0].framework.0 as usize] += 1;
        lab.sched.recover(
            lab.now,
            grants[0].framework,
            grants[0].agent,
            &grants[0].resources,
            None,
        );
    }
    assert_eq!(served, [5, 5]);
}

#[test]
fn excluded_resources_do_not_count() {
    let config = mezz_sched::Config {
        excluded_fair_share_names: ["gpus".to_owned()].into(),
        gpus: mezz_sched::GpuPolicy::Open,
        ..mezz_sched::Config::default()
    };
    let mut lab = Lab::with(config);
    lab.framework(0, &["a"]).agent(0, "cpus:1;mem:100;gpus:4");
    assert_eq!(lab.cycle().len(), 1);
    lab.framework(1, &["b"]).agent(1, "cpus:5;mem:500");
    assert_eq!(lab.cycle()[0].framework, f(1));
    lab.agent(2, "cpus:5;mem:500");
    assert_eq!(
        lab.cycle()[0].framework,
        f(0),
        "holding all gpus costs nothing"
    );
}

#[test]
fn allocated_reservations_count_in_the_share() {
    let mut lab = Lab::new();
    lab.framework(0, &["role1"])
        .agent(0, "cpus(role1):2;mem(role1):1024");
    assert_eq!(lab.cycle().len(), 1);
    lab.framework(1, &["role2"]).agent(1, "cpus:1;mem:512");
    assert_eq!(lab.cycle()[0].framework, f(1));
    lab.agent(2, "cpus:1;mem:512");
    assert_eq!(
        lab.cycle()[0].framework,
        f(1),
        "role1 holds 2 of 4 cpus by its reservation"
    );
}
