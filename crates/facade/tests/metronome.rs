//! Metronome's API as its clients see it.

#![allow(clippy::unwrap_used)]

mod asking;

use asking::Server;
use mezz_facade::metronome;
use serde_json::{Value, json};

fn server() -> Server {
    Server::new(metronome::handle)
}

fn job(id: &str) -> Value {
    json!({ "id": id, "run": { "cpus": 0.1, "mem": 32, "disk": 0, "cmd": "work" } })
}

fn nightly() -> Value {
    json!({ "id": "nightly", "cron": "0 3 * * *", "startingDeadlineSeconds": 60 })
}

fn create(server: &mut Server, body: &Value) {
    let (status, answer) = server.send("POST", "/v1/jobs", body);
    assert_eq!(status, 201, "{answer}");
}

#[test]
fn a_job_is_answered_as_it_was_given_with_defaults_and_without_what_strict_clients_refuse() {
    let mut s = server();
    let mut given = job("team.reports.daily");
    given["description"] = "all of them".into();
    given["labels"] = json!({ "owner": "me" });
    let (status, answer) = s.send("POST", "/v1/jobs", &given);
    assert_eq!(status, 201, "{answer}");
    assert_eq!(
        answer,
        json!({
            "id": "team.reports.daily",
            "description": "all of them",
            "labels": { "owner": "me" },
            "run": {
                "cpus": 0.1, "mem": 32, "disk": 0, "cmd": "work", "env": {},
                "placement": { "constraints": [] }, "artifacts": [], "volumes": [],
                "maxLaunchDelay": 3600, "restart": { "policy": "NEVER" },
            },
        })
    );
    assert_eq!(s.get("/v1/jobs/team.reports.daily"), (200, answer.clone()));
    assert_eq!(s.get("/v1/jobs"), (200, json!([answer])));
    let (status, answer) = s.send("POST", "/v1/jobs", &given);
    assert_eq!(
        (status, answer),
        (409, json!({ "message": "Job with this id already exists" }))
    );
}

#[test]
fn a_run_is_started_shown_and_kept_in_the_history() {
    let mut s = server();
    create(&mut s, &job("a.b"));
    let (status, run) = s.send("POST", "/v1/jobs/a.b/runs", &Value::Null);
    assert_eq!(status, 201, "{run}");
    let id = run["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("20260101000000") && id.len() == 19, "{id}");
    assert_eq!(run["jobId"], "a.b");
    assert_eq!(run["createdAt"], "2026-01-01T00:00:00.000+0000");
    let (_, active) = s.get("/v1/jobs/a.b/runs");
    assert_eq!(active[0]["tasks"][0]["id"], format!("a_b.{id}.0.0"));
    s.cluster.pass(1);
    s.cluster.succeed_all();
    assert_eq!(s.get("/v1/jobs/a.b/runs"), (200, json!([])));
    let (_, ended) = s.get(&format!("/v1/jobs/a.b/runs/{id}"));
    assert_eq!(ended["status"], "SUCCESS");
    assert_eq!(ended["tasks"][0]["status"], "TASK_FINISHED");
    let (_, job) = s.get("/v1/jobs/a.b?embed=history&embed=historySummary&activeRuns=true");
    assert_eq!(job["history"]["successCount"], 1);
    assert_eq!(job["history"]["lastFailureAt"], Value::Null);
    assert_eq!(job["history"]["successfulFinishedRuns"][0]["id"], id);
    assert_eq!(job["historySummary"]["successCount"], 1);
    let (status, answer) = s.send(
        "POST",
        &format!("/v1/jobs/a.b/runs/{id}/actions/stop"),
        &Value::Null,
    );
    assert_eq!(
        (status, &answer["message"]),
        (404, &json!("Job Run not found"))
    );
}

#[test]
fn a_run_can_be_stopped_and_a_job_with_runs_is_deleted_only_when_that_is_said() {
    let mut s = server();
    create(&mut s, &job("a"));
    let (_, run) = s.send("POST", "/v1/jobs/a/runs", &Value::Null);
    let stop = format!(
        "/v1/jobs/a/runs/{}/actions/stop",
        run["id"].as_str().unwrap()
    );
    let (status, answer) = s.send("POST", &stop, &Value::Null);
    assert_eq!((status, &answer["id"]), (200, &run["id"]));
    assert!(s.cluster.ids().is_empty());
    s.send("POST", "/v1/jobs/a/runs", &Value::Null);
    let (status, answer) = s.send("DELETE", "/v1/jobs/a", &Value::Null);
    assert_eq!(status, 409, "{answer}");
    let (status, answer) = s.send("DELETE", "/v1/jobs/a?stopCurrentJobRuns=True", &Value::Null);
    assert_eq!((status, &answer["id"]), (200, &json!("a")));
    assert_eq!(
        s.get("/v1/jobs/a"),
        (404, json!({ "id": "a", "message": "Job not found" }))
    );
    assert!(s.cluster.ids().is_empty());
}

#[test]
fn a_job_has_one_schedule_which_runs_it() {
    let mut s = server();
    create(&mut s, &job("a"));
    let path = "/v1/jobs/a/schedules";
    assert_eq!(s.get(path), (200, json!([])));
    let (status, answer) = s.send("POST", path, &nightly());
    assert_eq!(status, 201, "{answer}");
    assert_eq!(
        answer,
        json!({
            "id": "nightly", "cron": "0 3 * * *", "timezone": "UTC", "startingDeadlineSeconds": 60,
            "concurrencyPolicy": "ALLOW", "enabled": true, "nextRunAt": "2026-01-01T03:00:00.000+0000",
        })
    );
    assert_eq!(s.send("POST", path, &nightly()).0, 409);
    let mut other = nightly();
    other["id"] = "other".into();
    assert_eq!(s.send("POST", path, &other).0, 409);
    s.cluster.pass(3 * 3_600);
    s.cluster.succeed_all();
    let (_, job) = s.get("/v1/jobs/a?embed=history&embed=schedules");
    assert_eq!(job["history"]["successCount"], 1);
    assert_eq!(job["schedules"][0]["id"], "nightly");
    let mut changed = answer.clone();
    changed["cron"] = "*/5 * * * *".into();
    changed["enabled"] = false.into();
    let (status, answer) = s.send("PUT", "/v1/jobs/a/schedules/nightly", &changed);
    assert_eq!((status, &answer["enabled"]), (200, &json!(false)));
    s.cluster.pass(3_600);
    assert_eq!(
        s.cluster.launched.len(),
        1,
        "a disabled schedule starts nothing"
    );
    assert_eq!(s.get("/v1/jobs/a/schedules/other").0, 404);
    assert_eq!(
        s.send("DELETE", "/v1/jobs/a/schedules/nightly", &Value::Null)
            .0,
        200
    );
    assert_eq!(s.get(path), (200, json!([])));
}

#[test]
fn a_put_keeps_schedules_and_the_old_path_replaces_them() {
    let mut s = server();
    let mut scheduled = job("a");
    scheduled["schedules"] = json!([nightly()]);
    let (status, answer) = s.send("POST", "/v0/scheduled-jobs", &scheduled);
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["schedules"][0]["id"], "nightly");
    let mut changed = job("a");
    changed["run"]["cmd"] = "more".into();
    let (status, answer) = s.send("PUT", "/v1/jobs/a", &changed);
    assert_eq!((status, &answer["run"]["cmd"]), (200, &json!("more")));
    assert_eq!(s.get("/v1/jobs/a/schedules").1[0]["id"], "nightly");
    let (status, _) = s.send("PUT", "/v0/scheduled-jobs/a", &changed);
    assert_eq!(status, 200);
    assert_eq!(s.get("/v1/jobs/a/schedules"), (200, json!([])));
    assert_eq!(s.send("PUT", "/v1/jobs/b", &job("b")).0, 404);
}

#[test]
fn jobs_run_when_all_that_they_depend_on_have_succeeded() {
    let mut s = server();
    let mut child = job("child");
    child["dependencies"] = json!([{ "id": "one" }, { "id": "two" }]);
    let (status, answer) = s.send("POST", "/v1/jobs", &child);
    assert_eq!(status, 422);
    assert_eq!(
        answer["message"],
        "Dependencies contain unknown jobs. unknown=[one, two]"
    );
    create(&mut s, &job("one"));
    create(&mut s, &job("two"));
    create(&mut s, &child);
    for parent in ["one", "two"] {
        assert_eq!(s.get("/v1/jobs/child/runs"), (200, json!([])));
        s.send("POST", &format!("/v1/jobs/{parent}/runs"), &Value::Null);
        let id = s.cluster.ids()[0].to_owned();
        s.cluster.succeed(&id);
    }
    assert_eq!(s.get("/v1/jobs/child/runs").1.as_array().unwrap().len(), 1);
    assert_eq!(
        s.get("/v1/jobs/child").1["dependencies"],
        child["dependencies"]
    );
    assert_eq!(
        s.send("POST", "/v1/jobs/child/schedules", &nightly()).0,
        422
    );
    let (status, answer) = s.send("DELETE", "/v1/jobs/one", &Value::Null);
    assert_eq!(status, 409);
    assert!(
        answer["message"]
            .as_str()
            .unwrap()
            .contains("children=[child]")
    );
    let mut circle = job("one");
    circle["dependencies"] = json!([{ "id": "child" }]);
    assert_eq!(s.send("PUT", "/v1/jobs/one", &circle).0, 422);
}

#[test]
fn bad_jobs_are_422_with_the_path_of_each_fault_and_change_nothing() {
    let mut s = server();
    for (change, path) in [
        (json!({ "id": "A" }), "/id"),
        (json!({ "id": "a..b" }), "/id"),
        (json!({ "rum": {} }), "/rum"),
        (json!({ "run": null }), "/run"),
        (
            json!({ "run": { "cmd": "x", "cpus": 0, "mem": 32, "disk": 0 } }),
            "/run/cpus",
        ),
        (json!({ "run": { "cmd": "x", "mem": 1 } }), "/run/mem"),
        (json!({ "run": { "cpus": 1 } }), "/run/cmd"),
        (json!({ "run": { "cmd": "x", "args": ["y"] } }), "/run/args"),
        (
            json!({ "run": { "cmd": "x", "docker": { "image": "busybox" } } }),
            "/run/docker",
        ),
        (
            json!({ "run": { "cmd": "x", "env": { "A": 1 } } }),
            "/run/env/A",
        ),
        (
            json!({ "run": { "cmd": "x", "env": { "A": { "secret": "s" } } } }),
            "/run/secrets",
        ),
        (
            json!({ "run": { "cmd": "x", "restart": { "policy": "ALWAYS" } } }),
            "/run/restart/policy",
        ),
        (
            json!({ "run": { "cmd": "x", "networks": [{ "mode": "container" }] } }),
            "/run/networks/0/mode",
        ),
        (
            json!({ "schedules": [{ "id": "s", "cron": "x" }] }),
            "/schedules/0/cron",
        ),
        (
            json!({ "schedules": [{ "id": "s", "cron": "0 0 * * *", "timezone": "Nowhere" }] }),
            "/schedules/0/timezone",
        ),
        (
            json!({ "schedules": [{ "id": "s", "cron": "0 0 * * * 2030" }] }),
            "/schedules/0/cron",
        ),
        (json!({ "schedules": [nightly(), nightly()] }), "/schedules"),
        (
            json!({ "dependencies": [{ "id": "x" }], "schedules": [nightly()] }),
            "/",
        ),
    ] {
        let mut bad = job("a");
        let members = bad.as_object_mut().unwrap();
        members.extend(change.as_object().unwrap().clone());
        let (status, answer) = s.send("POST", "/v1/jobs", &bad);
        assert_eq!(status, 422, "{change}: {answer}");
        assert_eq!(answer["message"], "Object is not valid");
        let paths: Vec<&Value> = answer["details"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["path"])
            .collect();
        assert!(paths.contains(&&json!(path)), "{change}: {answer}");
    }
    for body in ["", "{", "nope"] {
        assert_eq!(s.ask("POST", "/v1/jobs", body).status, 400);
    }
    assert_eq!(s.get("/v1/jobs"), (200, json!([])));
}

#[test]
fn what_is_not_there_is_404_in_metronomes_words() {
    let mut s = server();
    create(&mut s, &job("a"));
    for (method, path, message) in [
        ("GET", "/v1/jobs/b", "Job not found"),
        ("DELETE", "/v1/jobs/b", "Job not found"),
        ("POST", "/v1/jobs/b/runs", "Job not found"),
        ("GET", "/v1/jobs/a/schedules/x", "Schedule not found"),
        ("PUT", "/v1/jobs/a/schedules/x", "Schedule not found"),
        ("GET", "/v1/jobs/a/runs/x", "Job Run not found"),
        (
            "POST",
            "/v1/jobs/a/runs/x/actions/stop",
            "Job Run not found",
        ),
        ("GET", "/v1/nothing", "Unknown route."),
        ("PATCH", "/v1/jobs/a", "Unknown route."),
    ] {
        let (status, answer) = s.send(method, path, &Value::Null);
        assert_eq!(
            (status, &answer["message"]),
            (404, &json!(message)),
            "{path}"
        );
    }
    let (status, _) = s.get("/v1/jobs?embed=everything");
    assert_eq!(status, 400);
}

#[test]
fn waiting_runs_are_in_the_queue_and_the_rest_of_the_system_answers() {
    let mut s = server();
    s.cluster.agents.get_mut("agent-0").unwrap().room = 0;
    create(&mut s, &job("a"));
    let (_, run) = s.send("POST", "/v1/jobs/a/runs", &Value::Null);
    assert_eq!(run["status"], "STARTING");
    assert_eq!(
        s.get("/v1/queue"),
        (
            200,
            json!([{ "jobId": "a", "runs": [{ "runId": run["id"] }] }])
        )
    );
    assert_eq!(s.get("/ping"), (200, json!("pong")));
    assert_eq!(s.get("/leader"), (200, json!({ "leader": "m:5050" })));
    assert_eq!(s.get("/info").1["version"], "0.6.62");
    assert_eq!(
        s.get("/v1/metrics").1["gauges"]["metronome.runs.waiting.gauge"]["value"],
        1
    );
}

#[test]
fn a_job_that_was_made_or_changed_by_other_means_is_shown_as_its_spec_reads() {
    let mut s = server();
    s.cluster
        .apply_job("/team/native", json!({ "start": "manual", "retries": 3 }));
    s.cluster
        .apply_job("/with.dot", json!({ "start": "manual" }));
    let (_, jobs) = s.get("/v1/jobs");
    assert_eq!(
        jobs.as_array().unwrap().len(),
        1,
        "a name with a dot has no id"
    );
    assert_eq!(jobs[0]["id"], "team.native");
    assert_eq!(jobs[0]["run"]["cmd"], "work");
    assert_eq!(jobs[0]["run"]["restart"]["policy"], "ON_FAILURE");
}
