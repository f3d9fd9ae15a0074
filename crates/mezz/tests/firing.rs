//! Crons that are fired by hand, and what selects and explains what comes of them.

mod support;

use support::dev::Dev;

const OBJECTS: &str = "
kind: job
name: /team/report
spec:
  start: manual
  parameters: {day: {default: monday}}
  template: {containers: [{command: 'echo it is $PARAM_DAY', resources: {cpus: 0.1, mem: 16}}]}
---
kind: cron
name: /team/weekly
spec:
  schedules: ['0 3 * * 1']
  run: {job_ref: {name: /team/report, parameters: {day: tuesday}}}
---
kind: cron
name: /other/nightly
spec:
  schedules: ['0 3 * * *']
  overlap: forbid
  run: {job: {role: night, template: {containers: [{command: sleep 1000, resources: {cpus: 0.1, mem: 16}}]}}}
";

fn started() -> Dev {
    let dev = Dev::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("objects.yaml");
    std::fs::write(&file, OBJECTS).expect("a file");
    let file = file.to_str().expect("a path");
    let applied = dev.mezz(&["apply", "-f", file]);
    assert_eq!(applied.code, 0, "{}", applied.seen());
    dev
}

#[test]
fn a_cron_is_run_now_with_the_parameters_that_are_given() {
    let dev = started();
    let run = dev.mezz(&[
        "run",
        "/team/weekly",
        "--id",
        "now",
        "--param",
        "day=friday",
    ]);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (0, "now\n"),
        "{}",
        run.seen()
    );
    let logs = dev.mezz(&["logs", "job/team/report/now"]);
    assert_eq!(logs.stdout, "it is friday\n", "{}", logs.seen());
    let shown = dev
        .mezz(&["get", "runs", "team/report/now", "-o", "json"])
        .stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("a run");
    assert_eq!(shown["cause"]["by"], "user");
    assert_eq!(shown["cause"]["cron"], "/team/weekly");
    let cron = dev.mezz(&["get", "cron/team/weekly", "-o", "json"]).stdout;
    assert!(cron.contains(r#""last_run":"now""#), "{cron}");
    let of_cron = dev.mezz(&["runs", "/team/weekly", "-o", "name"]);
    assert_eq!(of_cron.stdout, "/team/report/now\n", "{}", of_cron.seen());
}

#[test]
fn overlap_forbid_refuses_a_second_run_by_the_first() {
    let dev = started();
    let first = dev.mezz(&["run", "-d", "cron/other/nightly", "--id", "first"]);
    assert_eq!(first.code, 0, "{}", first.seen());
    let second = dev.mezz(&["run", "-d", "cron/other/nightly"]);
    assert_eq!(second.code, 5, "{}", second.seen());
    assert!(
        second
            .stderr
            .contains("run first of cron /other/nightly goes on"),
        "{}",
        second.seen()
    );
    for given in [
        "cron/other/nightly/first",
        "crons/other/nightly/first",
        "other/nightly/first",
        "first",
    ] {
        let why = dev.mezz(&["why", given]);
        assert!(
            why.stdout.contains("0 of 1 indices have succeeded"),
            "{}",
            why.seen()
        );
    }
    // An object is found by the last part of its name, if only one ends so.
    let why = dev.mezz(&["why", "nightly"]);
    assert!(
        why.stdout
            .starts_with("cron cron/other/nightly\n  it fires next"),
        "{}",
        why.seen()
    );
    let why = dev.mezz(&["why", "cron/other/nightly/second"]);
    assert_eq!(why.code, 3, "{}", why.seen());
    let unknown = dev.mezz(&["run", "nightly"]);
    assert!(
        unknown.stderr.contains("did you mean cron/other/nightly?"),
        "{}",
        unknown.seen()
    );
}

#[test]
fn objects_and_runs_are_selected_by_role_and_objects_by_condition() {
    let dev = started();
    let names = |arguments: &[&str]| {
        let mut all = vec!["get"];
        all.extend(arguments);
        all.extend(["-o", "name"]);
        dev.mezz(&all).stdout
    };
    assert_eq!(names(&["crons", "--role", "team"]), "/team/weekly\n");
    assert_eq!(names(&["crons", "--role", "night"]), "/other/nightly\n");
    assert_eq!(names(&["crons", "--role", "other"]), "");
    assert_eq!(
        names(&["all", "--role", "team"]),
        "job/team/report\ncron/team/weekly\n"
    );
    let run = dev.mezz(&["run", "/team/report", "--id", "one"]);
    assert_eq!(run.code, 0, "{}", run.seen());
    assert_eq!(names(&["runs", "--role", "team"]), "/team/report/one\n");
    assert_eq!(names(&["runs", "--role", "night"]), "");
    let service = [
        "run",
        "--service",
        "--name",
        "/team/web",
        "--",
        "sleep",
        "1000",
    ];
    let service = dev.mezz(&service);
    assert_eq!(service.code, 0, "{}", service.seen());
    let ready = dev.mezz(&["wait", "/team/web", "--for", "ready"]);
    assert_eq!(ready.code, 0, "{}", ready.seen());
    assert_eq!(names(&["services", "--condition", "ready"]), "/team/web\n");
    assert_eq!(names(&["services", "--condition", "ready=false"]), "");
    let wrong = dev.mezz(&["get", "services", "--condition", "redy"]);
    assert!(
        wrong.stderr.contains("'redy' is none of ready"),
        "{}",
        wrong.seen()
    );
    let one = dev.mezz(&["get", "service/team/web", "--role", "team"]);
    assert_eq!(one.code, 2, "{}", one.seen());
}
