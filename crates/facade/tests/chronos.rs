//! Chronos's API as its clients see it.

#![allow(clippy::unwrap_used)]

mod asking;

use asking::Server;
use mezz_facade::chronos;
use serde_json::{Value, json};

fn server() -> Server {
    Server::new(chronos::handle)
}

/// Every member that Chronos's documents list for a scheduled job.
fn hourly(name: &str) -> Value {
    json!({
        "name": name, "command": "work", "schedule": "R/2026-01-01T01:00:00Z/PT1H", "scheduleTimeZone": "",
        "epsilon": "PT15M", "owner": "me@example.org", "ownerName": "me", "description": "hourly work", "async": false,
        "shell": true, "executor": "", "executorFlags": "", "taskInfoData": "", "retries": "2", "cpus": "0.5", "mem": 64,
        "disk": 0, "disabled": "false", "softError": false, "concurrent": false, "highPriority": false,
        "dataProcessingJobType": false, "runAsUser": "", "uris": [], "fetch": [], "arguments": [], "constraints": [],
        "environmentVariables": [{ "name": "A", "value": 1 }], "maxCompletionTime": 0, "successCount": 7, "errorCount": 1,
        "lastSuccess": "", "lastError": "2012-10-01T05:36:45.000Z", "errorsSinceLastSuccess": 0, "container": null,
    })
}

fn after(name: &str, parents: &[&str]) -> Value {
    json!({ "name": name, "command": "work", "parents": parents })
}

fn put(s: &mut Server, body: &Value) {
    let path = if body["parents"].is_null() {
        "iso8601"
    } else {
        "dependency"
    };
    let (status, answer) = s.send("POST", &format!("/v1/scheduler/{path}"), body);
    assert_eq!((status, &answer), (204, &Value::Null), "{body}");
}

fn job(s: &mut Server, name: &str) -> Value {
    let (status, job) = s.get(&format!("/v1/scheduler/job/{name}"));
    assert_eq!(status, 200, "{job}");
    job
}

fn run(s: &mut Server, name: &str) {
    let (status, _) = s.send("PUT", &format!("/v1/scheduler/job/{name}"), &Value::Null);
    assert_eq!(status, 204);
}

/// Runs a job once; it succeeds.
fn succeed(s: &mut Server, name: &str) {
    let before: Vec<String> = s.cluster.tasks.keys().cloned().collect();
    run(s, name);
    let new = s.cluster.tasks.keys().find(|id| !before.contains(id));
    let id = new.expect("it was launched").clone();
    s.cluster.succeed(&id);
    s.cluster.pass(1);
}

#[test]
fn a_scheduled_job_is_taken_with_all_its_members_and_runs_at_its_times() {
    let mut s = server();
    put(&mut s, &hourly("Hourly_Work"));
    let shown = job(&mut s, "Hourly_Work");
    for (key, value) in [
        ("name", json!("Hourly_Work")),
        ("command", json!("work")),
        ("schedule", json!("R/2026-01-01T01:00:00Z/PT1H")),
        ("cpus", json!(0.5)),
        ("disk", json!(256)),
        ("retries", json!(2)),
        ("successCount", json!(0)),
        ("errorCount", json!(0)),
        ("lastSuccess", json!("")),
        ("disabled", json!(false)),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    s.cluster.pass(3_600);
    assert_eq!(s.cluster.ids().len(), 1);
    let id = s.cluster.ids()[0].to_owned();
    assert_eq!(
        s.cluster.env(&id, "CHRONOS_JOB_NAME").as_deref(),
        Some("Hourly_Work")
    );
    s.cluster.succeed(&id);
    let shown = job(&mut s, "Hourly_Work");
    assert_eq!(shown["successCount"], 1);
    assert_eq!(shown["lastSuccess"], "2026-01-01T01:00:00.000Z");
    assert_eq!(shown["schedule"], "R/2026-01-01T02:00:00.000Z/PT1H");
}

#[test]
fn a_job_is_replaced_and_goes_on_when_its_schedule_stays() {
    let mut s = server();
    put(&mut s, &hourly("a"));
    s.cluster.pass(5_400);
    s.cluster.succeed_all();
    let mut changed = hourly("a");
    changed["command"] = "more".into();
    put(&mut s, &changed);
    s.cluster.pass(60);
    assert!(
        s.cluster.ids().is_empty(),
        "nothing runs for being written again"
    );
    assert_eq!(job(&mut s, "a")["command"], "more");
    assert_eq!(job(&mut s, "a")["successCount"], 1);
    s.cluster.pass(1_800);
    assert_eq!(s.cluster.ids().len(), 1);
    changed["disabled"] = true.into();
    let (status, _) = s.send("PUT", "/scheduler/iso8601/", &changed);
    assert_eq!(status, 204);
    s.cluster.succeed_all();
    s.cluster.pass(7_200);
    assert!(s.cluster.ids().is_empty());
    assert_eq!(job(&mut s, "a")["disabled"], true);
}

#[test]
fn what_begins_at_once_or_began_runs_at_once_and_counts_down() {
    let mut s = server();
    for (name, schedule) in [
        ("now", "R1//PT1H"),
        ("past", "R3/2025-12-31T23:30:00Z/PT1H"),
        ("over", "R0/2025-12-31T23:30:00Z/PT1H"),
    ] {
        put(
            &mut s,
            &json!({ "name": name, "command": "work", "schedule": schedule }),
        );
    }
    put(&mut s, &json!({ "name": "plain", "command": "work" }));
    s.cluster.pass(2);
    assert_eq!(s.cluster.ids().len(), 3);
    s.cluster.succeed_all();
    assert_eq!(job(&mut s, "now")["disabled"], true);
    assert!(
        job(&mut s, "now")["schedule"]
            .as_str()
            .unwrap()
            .starts_with("R0/")
    );
    assert_eq!(job(&mut s, "over")["disabled"], true);
    assert_eq!(
        job(&mut s, "past")["schedule"],
        "R2/2026-01-01T00:30:00.000Z/PT1H"
    );
    s.cluster.pass(3_600);
    assert_eq!(s.cluster.ids().len(), 1);
    assert_eq!(
        job(&mut s, "past")["schedule"],
        "R1/2026-01-01T01:30:00.000Z/PT1H"
    );
    // What is read can be written back.
    let read = job(&mut s, "past");
    put(&mut s, &read);
    assert_eq!(job(&mut s, "past")["schedule"], read["schedule"]);
}

#[test]
fn a_child_runs_when_all_its_parents_have_succeeded_since_its_last_run() {
    let mut s = server();
    put(&mut s, &hourly("a"));
    put(&mut s, &hourly("b"));
    put(&mut s, &after("c", &["a", "b"]));
    succeed(&mut s, "a");
    succeed(&mut s, "a");
    assert!(s.cluster.ids().is_empty());
    succeed(&mut s, "b");
    assert_eq!(s.cluster.ids().len(), 1);
    s.cluster.succeed_all();
    assert_eq!(job(&mut s, "c")["successCount"], 1);
    assert_eq!(job(&mut s, "c")["parents"], json!(["a", "b"]));
    assert_eq!(
        s.get("/v1/scheduler/graph/csv"),
        (
            200,
            json!(
                "node,a,success,idle\nnode,b,success,idle\nnode,c,success,idle\nlink,a,c\nlink,b,c\n"
            )
        )
    );
    assert_eq!(
        s.get("/v1/scheduler/graph/dot"),
        (
            200,
            json!(
                "digraph G {\n  1 [ label=\"a\" ];\n  2 [ label=\"b\" ];\n  3 [ label=\"c\" ];\n  1 -> 3;\n  2 -> 3;\n}\n"
            )
        )
    );
}

#[test]
fn a_deleted_jobs_children_go_to_its_parents_or_get_its_schedule() {
    let mut s = server();
    put(&mut s, &hourly("a"));
    put(&mut s, &after("b", &["a"]));
    put(&mut s, &after("c", &["b"]));
    let (status, answer) = s.send("DELETE", "/v1/scheduler/job/b", &Value::Null);
    assert_eq!((status, answer), (204, Value::Null));
    assert_eq!(job(&mut s, "c")["parents"], json!(["a"]));
    succeed(&mut s, "a");
    assert_eq!(s.cluster.ids().len(), 1);
    s.cluster.succeed_all();
    assert_eq!(s.send("DELETE", "/v1/scheduler/job/a", &Value::Null).0, 204);
    let child = job(&mut s, "c");
    assert_eq!(child["schedule"], "R/2026-01-01T01:00:00Z/PT1H");
    assert_eq!(child["parents"], Value::Null);
    s.cluster.pass(3_600);
    assert_eq!(s.cluster.ids().len(), 1);
    let (_, jobs) = s.get("/v1/scheduler/jobs");
    assert_eq!(jobs.as_array().unwrap().len(), 1);
}

#[test]
fn a_disabled_child_does_not_run_and_a_soft_error_counts() {
    let mut s = server();
    let mut soft = hourly("soft");
    soft["softError"] = true.into();
    soft["retries"] = 0.into();
    put(&mut s, &soft);
    let mut off = after("off", &["soft"]);
    off["disabled"] = true.into();
    put(&mut s, &off);
    put(&mut s, &after("on", &["soft"]));
    run(&mut s, "soft");
    let id = s.cluster.ids()[0].to_owned();
    s.cluster.fail(&id);
    s.cluster.pass(1);
    assert_eq!(s.cluster.ids().len(), 1);
    assert!(s.cluster.ids()[0].starts_with("on."));
    assert_eq!(job(&mut s, "off")["disabled"], true);
    assert_eq!(job(&mut s, "soft")["errorsSinceLastSuccess"], 1);
    let (_, summary) = s.get("/v1/scheduler/jobs/summary");
    let last: Vec<&Value> = summary["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["status"])
        .collect();
    assert_eq!(last, ["fresh", "fresh", "failure"]);
}

#[test]
fn a_job_is_run_with_arguments_killed_and_marked() {
    let mut s = server();
    put(&mut s, &hourly("a"));
    put(&mut s, &after("child", &["a"]));
    let path = "/v1/scheduler/job/a?arguments=-x 1";
    assert_eq!(s.send("PUT", path, &Value::Null).0, 204);
    let task = s.cluster.tasks.values().next().unwrap();
    let command = task.info.command.as_ref().unwrap().value.as_deref();
    assert_eq!(command, Some("work -x 1"));
    assert_eq!(s.send("PUT", path, &Value::Null).0, 204);
    assert_eq!(s.cluster.ids().len(), 1, "it may not run beside itself");
    assert_eq!(
        s.send("DELETE", "/v1/scheduler/task/kill/a", &Value::Null)
            .0,
        204
    );
    assert!(s.cluster.ids().is_empty());
    let (status, answer) = s.send("PUT", "/v1/scheduler/job/success/a", &Value::Null);
    assert_eq!(
        (status, answer),
        (200, json!("marked job a as successful: true"))
    );
    assert_eq!(s.cluster.ids().len(), 1, "the child runs");
}

#[test]
fn jobs_are_found_by_parts_of_names_and_commands() {
    let mut s = server();
    for name in ["alpha", "beta", "Alphabet"] {
        put(&mut s, &hourly(name));
    }
    let mut names = |query: &str| {
        let (_, found) = s.get(&format!("/v1/scheduler/jobs/search?{query}"));
        let found = found.as_array().unwrap().iter();
        let mut names: Vec<String> = found
            .map(|job| job["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("name=ALPHA"), ["Alphabet", "alpha"]);
    assert_eq!(names("name=beta&command=work"), ["beta"]);
    assert_eq!(names("any=wor").len(), 3);
    assert_eq!(names("limit=2").len(), 2);
    assert_eq!(names("limit=2&offset=2").len(), 1);
}

#[test]
fn what_cannot_be_done_is_400_with_status_and_message() {
    let mut s = server();
    put(&mut s, &hourly("a"));
    put(&mut s, &after("b", &["a"]));
    let with = |key: &str, value: Value| {
        let mut job = hourly("x");
        job[key] = value;
        job
    };
    for (path, body) in [
        ("iso8601", json!([])),
        ("iso8601", json!({ "command": "x" })),
        ("iso8601", with("name", json!("a/b"))),
        ("iso8601", with("command", json!(""))),
        ("iso8601", with("schedule", json!("every day"))),
        ("iso8601", with("schedule", json!("R//1H"))),
        ("iso8601", with("scheduleTimeZone", json!("Nowhere"))),
        ("iso8601", with("cpus", json!("many"))),
        ("iso8601", with("retries", json!(-1))),
        ("iso8601", with("epsilon", json!("soon"))),
        ("iso8601", with("comand", json!("x"))),
        (
            "iso8601",
            with("container", json!({ "type": "DOCKER", "image": "busybox" })),
        ),
        (
            "iso8601",
            with("constraints", json!([["rack", "NEAR", "1"]])),
        ),
        ("iso8601", with("parents", json!(["a"]))),
        ("dependency", after("x", &[])),
        ("dependency", after("x", &["nope"])),
        ("dependency", after("a", &["b"])),
        ("dependency", after("b", &["b"])),
    ] {
        let (status, answer) = s.send("POST", &format!("/v1/scheduler/{path}"), &body);
        assert_eq!(
            (status, &answer["status"]),
            (400, &json!("Bad Request")),
            "{body}: {answer}"
        );
        assert!(!answer["message"].as_str().unwrap().is_empty());
    }
    for (method, path) in [
        ("GET", "job/nope"),
        ("PUT", "job/nope"),
        ("DELETE", "job/nope"),
        ("GET", "job/stat/nope"),
        ("DELETE", "task/kill/nope"),
        ("POST", "job/a/task/t/progress"),
    ] {
        let (status, answer) = s.send(method, &format!("/v1/scheduler/{path}"), &Value::Null);
        assert_eq!(status, 400, "{path}: {answer}");
    }
    assert_eq!(s.get("/v1/scheduler/nothing").0, 404);
    assert_eq!(s.send("POST", "/v1/scheduler/jobs", &Value::Null).0, 405);
    assert_eq!(s.get("/v1/scheduler/jobs").1.as_array().unwrap().len(), 2);
}

#[test]
fn a_job_that_was_not_made_here_is_neither_shown_nor_replaced() {
    let mut s = server();
    s.cluster.apply_job("/native", json!({ "start": "manual" }));
    assert_eq!(s.get("/v1/scheduler/jobs"), (200, json!([])));
    let (status, answer) = s.send("POST", "/v1/scheduler/iso8601", &hourly("native"));
    assert_eq!(status, 400, "{answer}");
}

#[test]
fn times_of_runs_are_told_as_percentiles_and_a_history() {
    let mut s = server();
    put(&mut s, &hourly("a"));
    for seconds in [10, 20, 30] {
        run(&mut s, "a");
        s.cluster.pass(seconds);
        s.cluster.succeed_all();
    }
    let (_, stat) = s.get("/v1/scheduler/job/stat/a");
    assert_eq!(stat["histogram"]["count"], 3);
    assert_eq!(stat["histogram"]["median"], 20_000.0);
    assert_eq!(stat["taskStatHistory"][0]["status"], "Success");
    assert_eq!(stat["taskStatHistory"].as_array().unwrap().len(), 3);
    assert_eq!(
        s.get("/v1/scheduler/stats/99thPercentile"),
        (200, json!([{ "jobNameLabel": "a", "time": 30.0 }]))
    );
    assert_eq!(s.get("/v1/scheduler/stats/slow"), (200, json!([])));
    assert_eq!(
        s.get("/metrics").1["counters"]["jobs.run.success.a"]["count"],
        3
    );
    assert_eq!(s.get("/ping"), (200, json!("pong\n")));
    assert_eq!(
        s.get("/v1/scheduler/leader"),
        (200, json!({ "leader": "m:5050" }))
    );
}
