//! Behaviours 60 and 92: limits of resources, of time and of patience, and what of checks is refused.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::checks::file_of;
use lab::{Lab, SILENCE, capable, info, sleeper, task, with};
use mezz_testkit::wait::eventually;
use mezz_testkit::{Encoding, Framework};
use serde_json::json;

/// Behaviour 60.
#[test]
fn limits_are_for_cpus_and_mem_only_and_not_below_the_request() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let cases = [
            (
                json!({"disk": {"value": 64.0}}),
                "Only cpus and mem may be included",
            ),
            (
                json!({"cpus": {"value": 0.05}}),
                "The cpu limit must be greater than or equal to the cpu request",
            ),
            (
                json!({"mem": {"value": 16.0}}),
                "The memory limit must be greater than or equal to the memory request",
            ),
        ];
        for (number, (limits, expected)) in cases.into_iter().enumerate() {
            let id = format!("bad-{number}");
            let offer = framework.next_offer();
            framework.launch(&offer, &[with(sleeper(&offer, &id), "limits", limits)]);
            let status = framework.wait_for(&id, "TASK_ERROR");
            assert_eq!(status["reason"], "REASON_TASK_INVALID");
            assert!(
                status["message"].as_str().unwrap().contains(expected),
                "{status}"
            );
        }
        let offer = framework.next_offer();
        let mut unrequested = with(
            sleeper(&offer, "no-mem"),
            "limits",
            json!({"mem": {"value": 64.0}}),
        );
        unrequested["resources"].as_array_mut().unwrap().pop();
        framework.launch(&offer, &[unrequested]);
        let status = framework.wait_for("no-mem", "TASK_ERROR");
        assert_eq!(
            status["message"],
            "When a memory limit is specified, a memory request must also be specified"
        );
        let offer = framework.next_offer();
        let limits = json!({"cpus": {"value": "Infinity"}, "mem": {"value": 64.0}});
        framework.launch(&offer, &[with(sleeper(&offer, "good"), "limits", limits)]);
        framework.wait_for("good", "TASK_RUNNING");
        let shown = json!({"cpus": "Infinity", "mem": 64.0});
        let of_master = lab.client().get("/state").unwrap().json();
        assert_eq!(of_master["frameworks"][0]["tasks"][0]["limits"], shown);
        let of_agent = lab.agent_client().get("/state").unwrap().json();
        let executor = &of_agent["frameworks"][0]["executors"][0];
        assert_eq!(executor["tasks"][0]["limits"], shown);
        framework.accepted("TEARDOWN", None);
        lab.state_where("nothing runs", |state| state["frameworks"] == json!([]));
    }
}

/// A check that a master cannot make sense of is refused with what is wrong about it.
#[test]
fn a_check_that_breaks_a_rule_is_refused_and_named() {
    let lab = Lab::start();
    let cases = [
        (
            "health_check",
            json!({"command": {"value": "true"}}),
            "HealthCheck must specify 'type'",
        ),
        (
            "health_check",
            json!({"type": "HTTP"}),
            "Expecting 'http' to be set for HTTP health check",
        ),
        (
            "health_check",
            json!({"type": "COMMAND", "command": {}}),
            "Command health check must contain 'shell command'",
        ),
        (
            "health_check",
            json!({"type": "HTTP", "http": {"port": 80, "scheme": "ftp"}}),
            "Unsupported HTTP health check scheme: 'ftp'",
        ),
        (
            "health_check",
            json!({"type": "TCP", "tcp": {"port": 80}, "timeout_seconds": -1.0}),
            "Expecting 'timeout_seconds' to be non-negative",
        ),
        (
            "check",
            json!({"type": "TCP"}),
            "Expecting 'tcp' to be set for TCP check",
        ),
        (
            "check",
            json!({"type": "HTTP", "http": {"port": 80, "path": "x"}}),
            "The path 'x' of HTTP check must start with '/'",
        ),
        (
            "check",
            json!({"type": "COMMAND", "command": {"command": {"shell": false}}}),
            "Command check must contain 'executable path'",
        ),
        (
            "max_completion_time",
            json!({"nanoseconds": -1}),
            "Task's `max_completion_time` must be non-negative",
        ),
    ];
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        for (number, (field, value, expected)) in cases.iter().enumerate() {
            let id = format!("t{number}");
            let offer = framework.next_offer();
            framework.launch(&offer, &[with(sleeper(&offer, &id), field, value.clone())]);
            let status = framework.wait_for(&id, "TASK_ERROR");
            let message = status["message"].as_str().unwrap();
            assert!(message.ends_with(expected), "{message}");
        }
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 92.
#[test]
fn a_task_that_takes_too_long_fails_with_that_reason() {
    let lab = Lab::start();
    let asked = capable(info("dev"), &["MULTI_ROLE", "TASK_KILLING_STATE"]);
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework_with(encoding, &asked);
        let offer = framework.next_offer();
        let limit = json!({"nanoseconds": 300_000_000});
        let stubborn = task(&offer, "t", "trap '' TERM; while :; do sleep 1; done", 0.1);
        framework.launch(&offer, &[with(stubborn, "max_completion_time", limit)]);
        let status = framework.wait_for("t", "TASK_FAILED");
        assert_eq!(status["reason"], "REASON_MAX_COMPLETION_TIME_REACHED");
        assert_eq!(
            framework.states_of("t"),
            ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]
        );
        framework.accepted("TEARDOWN", None);
    }
}

/// A later KILL with a shorter grace shortens a kill; a longer one does not lengthen it.
#[test]
fn a_second_kill_shortens_the_grace_of_the_first() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let stubborn = task(
            &offer,
            "t",
            "trap '' TERM; echo ready; while :; do sleep 0.1; done",
            0.1,
        );
        framework.launch(&offer, &[stubborn]);
        framework.wait_for("t", "TASK_RUNNING");
        eventually("the task ignores SIGTERM", || {
            let said = file_of(&lab, &framework, "t", "stdout");
            said.contains("ready").then_some(())
        });
        let kill = |framework: &Framework, nanoseconds: i64| {
            let policy = json!({"grace_period": {"nanoseconds": nanoseconds}});
            let contents = json!({"task_id": {"value": "t"}, "kill_policy": policy});
            framework.accepted("KILL", Some(contents));
        };
        kill(&framework, 3_600_000_000_000);
        framework.events_within(SILENCE);
        assert_eq!(framework.states_of("t").last(), Some(&"TASK_RUNNING"));
        kill(&framework, 50_000_000);
        kill(&framework, 3_600_000_000_000);
        framework.wait_for("t", "TASK_KILLED");
        framework.accepted("TEARDOWN", None);
    }
}
