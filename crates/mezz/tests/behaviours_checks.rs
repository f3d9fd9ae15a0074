//! Behaviour 103: checks.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::checks::{check, exit_code, file_of, reconciled, results};
use lab::website::Website;
use lab::{Lab, SILENCE, sleeper, until, with};
use mezz_testkit::Encoding;
use mezz_testkit::wait::eventually;
use serde_json::json;

/// Behaviour 103.
#[test]
fn the_status_of_a_check_is_told_when_it_changes_and_reconciled() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let command = json!({"command": {"value": "test -e seen && exit 2; touch seen; exit 1"}});
        let checked = with(sleeper(&offer, "t"), "check", check("COMMAND", command));
        framework.launch(&offer, &[checked]);
        let running = framework.wait_for("t", "TASK_RUNNING");
        assert_eq!(
            running["check_status"],
            json!({"type": "COMMAND", "command": {}})
        );
        let told = until(&mut framework, "two results", |framework| {
            let told = results(framework, "t");
            (told.len() == 2).then_some(told)
        });
        assert_eq!(told, [exit_code(1), exit_code(2)]);
        framework.events_within(SILENCE);
        assert_eq!(
            results(&framework, "t").len(),
            2,
            "told only when it changes"
        );
        let answer = reconciled(&mut framework, "t");
        assert_eq!(answer["check_status"], exit_code(2));
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 103 over HTTP and TCP.
#[test]
fn a_check_tells_status_codes_and_connections() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let website = Website::start("127.0.0.1", 418);
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let http = check("HTTP", json!({"port": website.port, "path": "/moved"}));
        let tcp = check("TCP", json!({"port": website.port}));
        framework.launch(
            &offer,
            &[
                with(sleeper(&offer, "http"), "check", http),
                with(sleeper(&offer, "tcp"), "check", tcp),
            ],
        );
        let both = [
            (
                "http",
                json!({"type": "HTTP", "http": {"status_code": 418}}),
            ),
            ("tcp", json!({"type": "TCP", "tcp": {"succeeded": true}})),
        ];
        for (id, expected) in both {
            until(&mut framework, id, |framework| {
                (results(framework, id) == [expected.clone()]).then_some(())
            });
        }
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 103: a check that takes too long is ended with all that it started, and its status is empty.
#[test]
fn a_check_that_takes_too_long_is_ended_and_its_status_is_empty() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let slow = "test -e seen || { touch seen; exit 7; }; sh -c 'echo $$ >> slow; exec sleep 600'; true";
        let mut check = check("COMMAND", json!({"command": {"value": slow}}));
        check["timeout_seconds"] = json!(0.3);
        framework.launch(&offer, &[with(sleeper(&offer, "t"), "check", check)]);
        let told = until(&mut framework, "two results", |framework| {
            let told = results(framework, "t");
            (told.len() == 2).then_some(told)
        });
        let empty = json!({"type": "COMMAND", "command": {}});
        assert_eq!(told, [exit_code(7), empty]);
        let pid = file_of(&lab, &framework, "t", "slow");
        let pid: u32 = pid.lines().next().unwrap().parse().unwrap();
        eventually("the tree of the check is gone", || {
            (!mezz_testkit::processes::is_running(pid)).then_some(())
        });
        framework.accepted("TEARDOWN", None);
    }
}

/// The command of a check sees what its task sees, and what it prints goes to the task's stderr.
#[test]
fn the_command_of_a_check_runs_in_the_context_of_its_task() {
    let lab = Lab::start();
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    let mut checked = sleeper(&offer, "t");
    checked["command"]["environment"] =
        json!({"variables": [{"name": "OWN", "value": "of the task"}]});
    let looks = "echo out; echo err >&2; test \"$OWN$MORE\" = 'of the task and the check' -a \"$PWD\" = \"$MESOS_SANDBOX\"";
    let command = json!({
        "value": looks,
        "environment": {"variables": [{"name": "MORE", "value": " and the check"}]},
    });
    checked["check"] = check("COMMAND", json!({"command": command}));
    framework.launch(&offer, &[checked]);
    until(&mut framework, "the result", |framework| {
        (results(framework, "t") == [exit_code(0)]).then_some(())
    });
    assert!(file_of(&lab, &framework, "t", "stderr").starts_with("out\nerr\n"));
    assert_eq!(file_of(&lab, &framework, "t", "stdout"), "");
}
