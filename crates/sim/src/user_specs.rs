//! The specs that users of the simulation write.

use serde_json::{Value, json};

use crate::processes::SERVICE_PROGRAM;
use crate::rng::Rng;

/// Attempts of these jobs are waited for until their agent is declared gone; those of all others for [`LOST_AFTER_S`].
pub(crate) const PATIENT: [&str; 2] = ["/batch/once", "/cron/patient"];
/// How long an attempt on an agent that cannot be reached is waited for.
pub(crate) const LOST_AFTER_S: u64 = 40;

/// A spec for one of the known objects, as somebody may come to write it.
pub(crate) fn any(object: &str, rng: &mut Rng) -> Value {
    match object {
        "/each" => {
            let mut spec = service(rng);
            spec["replicas"] = json!("per_node");
            spec["update"]["strategy"] = json!({ "rolling": {} });
            spec
        }
        "/batch/once" => job(object, rng),
        "/batch/array" => {
            let mut spec = job(object, rng);
            spec["completions"] = json!(6);
            spec["parallelism"] = json!(1 + rng.below(3));
            spec["max_failed"] = json!("50%");
            spec
        }
        "/batch/gang" => {
            let mut spec = job(object, rng);
            spec["completions"] = json!(2);
            spec["parallelism"] = json!(2);
            spec["gang"] = json!(true);
            spec["preemptible"] = json!(rng.chance(500));
            spec
        }
        "/clock/own" => cron(&json!({ "job": job(object, rng) }), rng),
        "/clock/other" => {
            let target = if rng.chance(500) {
                json!({ "job_ref": { "name": "/batch/array" } })
            } else {
                json!({ "dag_ref": { "name": "/flow" } })
            };
            cron(&target, rng)
        }
        "/flow" => dag(rng),
        _ => service(rng),
    }
}

/// A service that can come to rest: it starts, and its update needs nobody.
pub(crate) fn sound_service(object: &str) -> Value {
    let replicas = if object == "/each" {
        json!("per_node")
    } else {
        json!(2)
    };
    json!({
        "replicas": replicas,
        "template": { "containers": [container(SERVICE_PROGRAM, 0)] },
        "restart": { "initial": 1, "max": 5 },
    })
}

fn container(program: &str, version: u64) -> Value {
    json!({
        "command": program,
        "env": { "VERSION": version.to_string() },
        "resources": { "cpus": 0.1, "mem": 32, "disk": 1 },
    })
}

fn service(rng: &mut Rng) -> Value {
    let program = if rng.chance(150) {
        "true"
    } else {
        SERVICE_PROGRAM
    };
    let mut container = container(program, rng.below(4));
    if rng.chance(400) {
        container["checks"] =
            json!({ "ready": { "command": "look", "interval": 2 + rng.below(4) } });
    } else if rng.chance(300) {
        container["checks"] =
            json!({ "health": { "command": "look", "interval": 3, "failures": 3, "grace": 5 } });
    }
    if rng.chance(300) {
        container["ports"] = json!([{ "name": "http" }]);
    }
    let template =
        json!({ "containers": [container], "kill": { "drain": rng.below(6), "grace": 3 } });
    json!({
        "replicas": rng.below(5),
        "template": template,
        "update": {
            "strategy": strategy(rng),
            "ready_for": rng.below(4),
            "deadline": 30 + rng.below(90),
            "failure_budget": 1 + rng.below(3),
            "auto_rollback": rng.chance(800),
        },
        "restart": { "initial": 1, "max": 10, "reset_after": 60 },
        "unreachable": unreachable(rng),
        "priority": rng.below(3),
        "kill_order": if rng.chance(500) { "oldest_first" } else { "youngest_first" },
    })
}

fn strategy(rng: &mut Rng) -> Value {
    match rng.below(10) {
        0..4 => json!({ "rolling": {} }),
        4 => json!({ "rolling": { "max_surge": 0, "max_unavailable": 1 } }),
        5 => json!({ "rolling": { "max_surge": "50%", "max_unavailable": "50%" } }),
        6 => json!("recreate"),
        7..9 => json!({ "canary": { "steps": [{ "new": 1, "pause": 10 }, { "new": "50%" }] } }),
        _ => json!({ "blue_green": { "manual": rng.chance(200), "keep_old": rng.below(20) } }),
    }
}

fn unreachable(rng: &mut Rng) -> Value {
    match rng.below(4) {
        0 => json!({}),
        1 => json!({ "replace_after": 20, "expunge_after": 60 }),
        2 => json!({ "replace_after": "never", "expunge_after": "never" }),
        _ => json!({ "replace_after": 5, "expunge_after": "never" }),
    }
}

/// A job whose attempts end after a while, four of five well.
pub(crate) fn job(object: &str, rng: &mut Rng) -> Value {
    let lost_after = if PATIENT.contains(&object) {
        json!("never")
    } else {
        json!(LOST_AFTER_S)
    };
    let mut spec = json!({
        "template": { "containers": [container("true", rng.below(4))], "kill": { "grace": 3 } },
        "retries": rng.below(4),
        "backoff": { "initial": 1, "max": 8 },
        "lost_after": lost_after,
        "history": { "succeeded": 3, "failed": 3 },
    });
    if rng.chance(150) {
        spec["attempt_timeout"] = json!(20);
    }
    if rng.chance(100) {
        spec["deadline"] = json!(100);
    }
    spec
}

fn cron(target: &Value, rng: &mut Rng) -> Value {
    let overlap = ["allow", "forbid", "replace", "queue"][rng.index(4)];
    let catch_up = ["none", "last", "all"][rng.index(3)];
    json!({
        "schedules": ["*/20 * * * * *"],
        "run": target,
        "overlap": overlap,
        "catch_up": catch_up,
        "starting_deadline": 20 + rng.below(100),
        "jitter": rng.below(3),
    })
}

fn dag(rng: &mut Rng) -> Value {
    let own = |rng: &mut Rng| json!({ "job": job("/flow", rng) });
    json!({
        "nodes": {
            "a": { "run": own(rng) },
            "b": { "run": own(rng), "after": [{ "node": "a" }], "retries": rng.below(2) },
            "c": { "run": { "job_ref": { "name": "/batch/array" } }, "after": [{ "node": "a", "when": "always" }] },
            "d": { "run": own(rng), "after": [{ "node": "b", "when": "failure" }] },
        },
        "history": { "succeeded": 2, "failed": 2 },
    })
}
