//! Behaviours 60, 92, 93, 102 and 103: limits, the time a task may take, health checks and checks.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::website::Website;
use lab::{Lab, SILENCE, capable, executor_task, info, sleeper, task, until, with};
use mezz_testkit::wait::eventually;
use mezz_testkit::{Encoding, Framework};
use serde_json::{Value, json};

/// A health check of a kind, quick enough for a test.
fn health(kind: &str, content: Value) -> Value {
    let mut check = json!({
        "type": kind,
        "delay_seconds": 0.0,
        "interval_seconds": 0.05,
        "timeout_seconds": 10.0,
        "grace_period_seconds": 0.0,
        "consecutive_failures": 3,
    });
    check[kind.to_lowercase()] = content;
    check
}

/// A check of a kind.
fn check(kind: &str, content: Value) -> Value {
    let mut check = json!({
        "type": kind,
        "delay_seconds": 0.0,
        "interval_seconds": 0.05,
        "timeout_seconds": 10.0,
    });
    check[kind.to_lowercase()] = content;
    check
}

/// What the updates of a task with a reason say in a field; one that came twice counts once.
fn told(framework: &Framework, task: &str, reason: &str, field: &str) -> Vec<Value> {
    let mut seen = Vec::new();
    let updates = framework.updates_of(task).iter();
    updates
        .filter(|status| status["reason"] == reason)
        .filter(|status| {
            let new = !seen.contains(&&status["uuid"]);
            seen.push(&status["uuid"]);
            new
        })
        .map(|status| status[field].clone())
        .collect()
}

/// What the updates of a task say of its health.
fn healths(framework: &Framework, task: &str) -> Vec<Value> {
    let reason = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED";
    told(framework, task, reason, "healthy")
}

/// What the updates of a task say of its check.
fn results(framework: &Framework, task: &str) -> Vec<Value> {
    let reason = "REASON_TASK_CHECK_STATUS_UPDATED";
    told(framework, task, reason, "check_status")
}

#[track_caller]
fn reconciled(framework: &mut Framework, task: &str) -> Value {
    framework.accepted(
        "RECONCILE",
        Some(json!({"tasks": [{"task_id": {"value": task}}]})),
    );
    until(framework, "the answer to a reconciliation", |framework| {
        let last = framework.updates_of(task).last()?;
        (last["reason"] == "REASON_RECONCILIATION").then(|| last.clone())
    })
}

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
            "trap '' TERM; while :; do sleep 0.1; done",
            0.1,
        );
        framework.launch(&offer, &[stubborn]);
        framework.wait_for("t", "TASK_RUNNING");
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

/// Behaviour 93.
#[test]
fn a_failing_check_during_a_kill_does_not_bring_a_task_back_to_running() {
    let lab = Lab::start();
    let asked = capable(info("dev"), &["MULTI_ROLE", "TASK_KILLING_STATE"]);
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework_with(encoding, &asked);
        let offer = framework.next_offer();
        let grace = json!({"grace_period": {"nanoseconds": 1_000_000_000}});
        let stubborn = task(
            &offer,
            "t",
            "trap 'touch ending' TERM; while :; do sleep 0.05; done",
            0.1,
        );
        let check = health("COMMAND", json!({"value": "! test -e ending"}));
        let stubborn = with(with(stubborn, "kill_policy", grace), "health_check", check);
        framework.launch(&offer, &[stubborn]);
        until(&mut framework, "health", |framework| {
            (!healths(framework, "t").is_empty()).then_some(())
        });
        framework.kill("t");
        framework.wait_for("t", "TASK_KILLED");
        let states = framework.states_of("t");
        assert_eq!(
            states,
            [
                "TASK_STARTING",
                "TASK_RUNNING",
                "TASK_RUNNING",
                "TASK_KILLING",
                "TASK_KILLED"
            ]
        );
        assert!(
            framework
                .updates_of("t")
                .last()
                .unwrap()
                .get("healthy")
                .is_none()
        );
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 102: flapping.
#[test]
fn a_change_of_health_is_told_reconciled_and_shown() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        // Well at the first look, unwell at the second, and so on.
        let flapping = "if test -e sick; then rm sick; exit 1; else touch sick; fi";
        let check = health("COMMAND", json!({"value": flapping}));
        framework.launch(&offer, &[with(sleeper(&offer, "t"), "health_check", check)]);
        let told = until(&mut framework, "four changes", |framework| {
            let told = healths(framework, "t");
            (told.len() >= 4).then_some(told)
        });
        assert_eq!(
            told[..4],
            [json!(true), json!(false), json!(true), json!(false)]
        );
        framework.accepted("TEARDOWN", None);

        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let check = health("COMMAND", json!({"value": "true"}));
        framework.launch(&offer, &[with(sleeper(&offer, "t"), "health_check", check)]);
        until(&mut framework, "health", |framework| {
            (!healths(framework, "t").is_empty()).then_some(())
        });
        framework.events_within(SILENCE);
        assert_eq!(healths(&framework, "t"), [json!(true)], "told once only");
        let answer = reconciled(&mut framework, "t");
        assert_eq!(answer["healthy"], true);
        let state = lab.client().get("/state").unwrap().json();
        let statuses = state["frameworks"][0]["tasks"][0]["statuses"]
            .as_array()
            .unwrap();
        assert_eq!(statuses.last().unwrap()["healthy"], true);
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 102: the kill after so many failures in a row.
#[test]
fn a_task_that_fails_its_health_check_too_often_is_killed() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let check = health("COMMAND", json!({"value": "exit 1"}));
        framework.launch(&offer, &[with(sleeper(&offer, "t"), "health_check", check)]);
        let last = framework.wait_for("t", "TASK_KILLED");
        assert_eq!(last["healthy"], false);
        assert_eq!(
            healths(&framework, "t"),
            [json!(false), json!(false), json!(false)]
        );
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 102: failures before the first success do not count for a while.
#[test]
fn failures_of_a_health_check_in_its_grace_period_are_ignored() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let mut check = health("COMMAND", json!({"value": "echo x >> looks; test -e well"}));
        check["grace_period_seconds"] = json!(3600.0);
        check["consecutive_failures"] = json!(1);
        let late = task(
            &offer,
            "t",
            "until test $(cat looks 2>/dev/null | wc -l) -ge 4; do sleep 0.05; done; touch well; exec sleep 600",
            0.1,
        );
        framework.launch(&offer, &[with(late, "health_check", check)]);
        let told = until(&mut framework, "health", |framework| {
            let told = healths(framework, "t");
            (!told.is_empty()).then_some(told)
        });
        assert_eq!(told, [json!(true)]);
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 102 over HTTP: redirects are followed, 200 to 399 is well whatever `statuses` says.
#[test]
fn a_health_check_over_http_follows_the_answers_of_a_task() {
    let lab = Lab::start();
    for (encoding, address, protocol) in [
        (Encoding::Json, "127.0.0.1", "IPv4"),
        (Encoding::Protobuf, "::1", "IPv6"),
    ] {
        let website = Website::start(address, 200);
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let http = json!({"port": website.port, "path": "/moved", "protocol": protocol, "statuses": [418]});
        let check = health("HTTP", http);
        framework.launch(&offer, &[with(sleeper(&offer, "t"), "health_check", check)]);
        until(&mut framework, "well", |framework| {
            (healths(framework, "t") == [json!(true)]).then_some(())
        });
        website.answer(500);
        let last = framework.wait_for("t", "TASK_KILLED");
        assert_eq!(last["healthy"], false);
        let visits = website.visits();
        framework.events_within(SILENCE);
        assert_eq!(website.visits(), visits, "nobody looks at what has ended");
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 102 over TCP.
#[test]
fn a_health_check_over_tcp_asks_for_no_more_than_a_connection() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let website = Website::start("127.0.0.1", 500);
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let check = health("TCP", json!({"port": website.port}));
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = unused.local_addr().unwrap().port();
        drop(unused);
        let sick = health("TCP", json!({"port": closed}));
        framework.launch(
            &offer,
            &[
                with(sleeper(&offer, "well"), "health_check", check),
                with(sleeper(&offer, "sick"), "health_check", sick),
            ],
        );
        framework.wait_for("sick", "TASK_KILLED");
        assert_eq!(healths(&framework, "sick").len(), 3);
        until(&mut framework, "well", |framework| {
            (healths(framework, "well") == [json!(true)]).then_some(())
        });
        framework.accepted("TEARDOWN", None);
    }
}

fn exit_code(code: i32) -> Value {
    json!({"type": "COMMAND", "command": {"exit_code": code}})
}

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

fn file_of(lab: &Lab, framework: &Framework, task: &str, name: &str) -> String {
    let path = format!(
        "/frameworks/{}/executors/{task}/runs/latest/{name}",
        framework.id()
    );
    let client = lab.agent_client();
    let answer = client.get(&format!("/files/download?path={path}")).unwrap();
    answer.text()
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

/// What the checks of a task have found out survives the agent, and they go on after its return.
#[test]
fn checks_go_on_after_a_restart_of_the_agent() {
    let mut lab = Lab::start();
    let website = Website::start("127.0.0.1", 200);
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    let checked = with(
        sleeper(&offer, "t"),
        "health_check",
        health("HTTP", json!({"port": website.port})),
    );
    framework.launch(&offer, &[checked]);
    until(&mut framework, "well", |framework| {
        (!healths(framework, "t").is_empty()).then_some(())
    });
    lab.kill_agent();
    let visits = website.visits();
    lab.start_agent(&[]);
    eventually("somebody looks again", || {
        (website.visits() > visits + 1).then_some(())
    });
    framework.events_within(SILENCE);
    assert_eq!(
        healths(&framework, "t"),
        [json!(true)],
        "what was told is not told again"
    );
    website.answer(500);
    let last = framework.wait_for("t", "TASK_KILLED");
    assert_eq!(last["healthy"], false);
}

/// The checks of a custom executor's task are the executor's affair.
#[test]
fn a_custom_executor_gets_the_checks_of_its_task_untouched() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let website = Website::start("127.0.0.1", 200);
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let check = health("HTTP", json!({"port": website.port, "statuses": [200]}));
        let limit = json!({"nanoseconds": 1_000_000});
        let mut wanted = with(executor_task(&offer, "t", "e"), "health_check", check);
        wanted["max_completion_time"] = limit.clone();
        wanted["limits"] = json!({"mem": {"value": 64.0}});
        framework.launch(&offer, &[wanted]);
        let mut executor = lab.executor(encoding, framework.id(), "e");
        let event = executor.wait_for_event("LAUNCH");
        let got = &event["launch"]["task"];
        assert_eq!(got["health_check"]["http"]["port"], website.port);
        assert_eq!(got["health_check"]["http"]["statuses"], json!([200]));
        assert_eq!(got["limits"]["mem"]["value"], 64.0);
        assert_eq!(got["max_completion_time"], limit);
        executor.update("t", "TASK_RUNNING");
        framework.wait_for("t", "TASK_RUNNING");
        framework.events_within(SILENCE);
        assert_eq!((framework.updates_of("t").len(), website.visits()), (1, 0));
        framework.accepted("TEARDOWN", None);
    }
}
