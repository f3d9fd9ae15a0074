//! Behaviours 93 and 102: health checks.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::checks::{health, healths, reconciled};
use lab::website::Website;
use lab::{Lab, SILENCE, capable, executor_task, info, sleeper, task, until, with};
use mezz_testkit::Encoding;
use mezz_testkit::wait::eventually;
use serde_json::json;

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

/// Behaviour 102 over HTTPS: the certificate is no concern of a check.
#[test]
fn a_health_check_over_https_takes_any_certificate() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let secure = Website::start_with_tls("127.0.0.1", 200);
        let plain = Website::start("127.0.0.1", 200);
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let looked_at = |id: &str, port: u16| {
            let http = json!({"port": port, "scheme": "https", "path": "/"});
            with(
                task(&offer, id, "sleep 1000", 0.1),
                "health_check",
                health("HTTP", http),
            )
        };
        framework.launch(
            &offer,
            &[
                looked_at("secure", secure.port),
                looked_at("plain", plain.port),
            ],
        );
        until(&mut framework, "well", |framework| {
            (healths(framework, "secure") == [json!(true)]).then_some(())
        });
        let last = framework.wait_for("plain", "TASK_KILLED");
        assert_eq!(last["healthy"], false, "it speaks no TLS");
        secure.answer(500);
        let last = framework.wait_for("secure", "TASK_KILLED");
        assert_eq!(last["healthy"], false);
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
