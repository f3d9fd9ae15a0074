//! Fair shares among real frameworks: each wants everything, and gets what its weight is worth.

use std::time::Instant;

use mezz_testkit::Daemon;
use mezz_testkit::framework::framework_info;
use mezz_testkit::http_client::Request;
use serde_json::{Value, json};

use crate::lab::{Lab, SOON};
use crate::load::Load;

/// The cluster is ten agents of six tasks each: an offer is a whole agent, and so the grain of what is shared.
const AGENTS: usize = 10;
const GRAIN: usize = 6;
const TASKS_THAT_FIT: usize = AGENTS * GRAIN;

/// A subscribed framework that wants the whole cluster.
fn greedy(master: &Daemon, role: &str) -> Load {
    let mut load = Load::with(master.address(), framework_info(role, &[role]));
    for number in 0..TASKS_THAT_FIT {
        load.want(format!("{role}-{number}"), "exec sleep 1000");
    }
    load.until("it is subscribed", SOON, |load| load.subscriptions == 1);
    load
}

/// Starts the agents, and lets the frameworks take what they are offered until the cluster is full; returns how many
/// tasks each runs.
#[track_caller]
fn share(lab: &mut Lab, master: &Daemon, loads: &mut [Load]) -> (Vec<usize>, Vec<Daemon>) {
    let flags = [
        "--resources=cpus:0.06;mem:480",
        "--registration-backoff-factor=20ms",
    ];
    let agents = (0..AGENTS)
        .map(|number| {
            lab.cluster
                .agent(&format!("agent-{number}"), master, &flags)
                .unwrap()
        })
        .collect();
    let deadline = Instant::now() + SOON;
    loop {
        let running: Vec<usize> = loads
            .iter()
            .map(|load| load.count("TASK_RUNNING"))
            .collect();
        if running.iter().sum::<usize>() == TASKS_THAT_FIT {
            return (running, agents);
        }
        assert!(Instant::now() < deadline, "only {running:?} run");
        for load in &mut *loads {
            load.step();
        }
    }
}

/// The dominant shares that the master itself reports, by role.
fn shares(master: &Daemon, roles: &[&str]) -> Vec<f64> {
    let answer = master.client().get("/roles").unwrap().json();
    let of = |role: &&str| -> f64 {
        let found = answer["roles"]
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["name"] == **role);
        found.unwrap_or_else(|| panic!("{role} in {answer}"))["resources"]["cpus"]
            .as_f64()
            .unwrap()
            / 0.6
    };
    roles.iter().map(of).collect()
}

#[test]
fn two_frameworks_share_the_cluster_in_equal_halves_and_three_in_thirds() {
    for roles in [&["one", "two"][..], &["one", "two", "three"]] {
        let mut lab = Lab::new();
        let master = lab.master();
        let mut loads: Vec<Load> = roles.iter().map(|role| greedy(&master, role)).collect();
        let (running, _agents) = share(&mut lab, &master, &mut loads);
        let fair = TASKS_THAT_FIT / roles.len();
        // One agent is what is given at a time: nobody is more than that from its share.
        assert!(
            running.iter().all(|count| count.abs_diff(fair) <= GRAIN),
            "{running:?}"
        );
        let shares = shares(&master, roles);
        assert!(
            shares
                .iter()
                .all(|share| (share - 1.0 / roles.len() as f64).abs() < 0.11),
            "{shares:?}"
        );
    }
}

/// The split of the cluster between `heavy` with weight 2 and `light` with 1, set by `weigh`.
#[track_caller]
fn assert_two_to_one(master_flags: &[&str], weigh: impl Fn(&Daemon)) {
    let mut lab = Lab::new();
    let master = lab.cluster.master(master_flags).unwrap();
    weigh(&master);
    let mut loads = [greedy(&master, "heavy"), greedy(&master, "light")];
    let (running, _agents) = share(&mut lab, &master, &mut loads);
    assert!(
        running[0].abs_diff(40) <= GRAIN && running[1].abs_diff(20) <= GRAIN,
        "{running:?}"
    );
}

#[test]
fn a_weight_of_two_in_the_flags_is_worth_two_thirds() {
    assert_two_to_one(&["--weights=heavy=2.0,light=1.0"], |_| {});
}

#[test]
fn a_weight_set_by_the_operator_call_is_worth_two_thirds() {
    assert_two_to_one(&[], |master| {
        let weights = json!([{"role": "heavy", "weight": 2.0}]);
        let call = json!({"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": weights}});
        assert_eq!(
            master.client().post_json("/api/v1", &call).unwrap().status,
            200
        );
    });
}

#[test]
fn a_weight_put_to_the_endpoint_is_worth_two_thirds_also_for_the_next_master() {
    assert_two_to_one(&[], |master| {
        let weights = json!([{"role": "heavy", "weight": 2.0}]);
        let request = Request::new("PUT", "/weights").header("Content-Type", "application/json");
        let answer = master
            .client()
            .send(&request.body(weights.to_string().into_bytes()))
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    });
    let mut lab = Lab::new();
    let master = lab.master();
    let request = Request::new("PUT", "/weights").header("Content-Type", "application/json");
    let body = json!([{"role": "heavy", "weight": 2.0}]).to_string();
    assert_eq!(
        master
            .client()
            .send(&request.body(body.into_bytes()))
            .unwrap()
            .status,
        200
    );
    let port = master.port();
    master.kill_9();
    let master = lab.master_again(port);
    let weights: Value = master.client().get("/weights").unwrap().json();
    assert_eq!(weights, json!([{"role": "heavy", "weight": 2.0}]));
}
