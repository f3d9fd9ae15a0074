//! Logs of services and runs, selectors, and the verbs that steer what goes on, in a real `mezz dev`.

mod support;

use support::dev::Dev;

/// A cluster with a service whose instances say who they are, once a second.
fn talking() -> Dev {
    let dev = Dev::start(&["--resources", "cpus:4;mem:4000;ports:[31000-31100]"]);
    let made = dev.mezz(&[
        "run",
        "--service",
        "--name",
        "/team/talk",
        "--replicas",
        "2",
        "--cpus",
        "0.1",
        "--shell",
        "--",
        "echo I am here; exec sleep 1000",
    ]);
    assert_eq!(made.code, 0, "{}", made.seen());
    assert_eq!(made.stdout, "service /team/talk created, generation 1\n");
    dev.until(&["logs", "team/talk"], |text| text.lines().count() == 2);
    dev
}

fn ids(dev: &Dev, arguments: &[&str]) -> Vec<String> {
    let outcome = dev.mezz(arguments);
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
    outcome.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn the_output_of_a_service_is_that_of_all_its_instances_each_line_with_its_name() {
    let dev = talking();
    let logs = dev.mezz(&["logs", "service/team/talk"]);
    let mut labels: Vec<&str> = logs
        .stdout
        .lines()
        .filter_map(|line| line.strip_suffix(" | I am here"))
        .collect();
    labels.sort_unstable();
    let beginnings: Vec<&str> = labels
        .iter()
        .filter_map(|label| label.split('/').next())
        .collect();
    assert_eq!(beginnings, ["talk.0", "talk.1"], "{}", logs.seen());
    let bare = dev.mezz(&["logs", "team/talk", "--no-prefix"]);
    assert_eq!(bare.stdout, "I am here\nI am here\n");

    let instances = ids(
        &dev,
        &["get", "instances", "--service", "team/talk", "-o", "name"],
    );
    assert_eq!(instances.len(), 2);
    let alone = dev.mezz(&["logs", &instances[0]]);
    assert_eq!(alone.stdout, "I am here\n");
    let killed = dev.mezz(&["kill", &instances[0]]);
    assert_eq!(killed.code, 0, "{}", killed.seen());
    dev.until(&["logs", "--previous", "team/talk"], |text| {
        text == "I am here\n"
    });
    // It is replaced, since nobody said that there are to be less.
    dev.until(
        &[
            "get",
            "instances",
            "--service",
            "/team/talk",
            "--phase",
            "running",
            "-o",
            "name",
        ],
        |text| text.lines().count() == 2 && !text.contains(&instances[0]),
    );
    let less = dev.mezz(&["kill", "--scale-down", &instances[1]]);
    assert_eq!(less.code, 0, "{}", less.seen());
    dev.until(&["get", "instances", "-o", "name"], |text| {
        text.lines().count() == 1
    });
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn the_output_of_a_run_is_followed_to_its_end() {
    let dev = Dev::start(&[]);
    let run = dev.mezz(&[
        "run",
        "--job",
        "--name",
        "/team/batch",
        "--completions",
        "2",
        "--parallelism",
        "2",
        "--shell",
        "-d",
        "--",
        "echo index $MEZZ_INDEX; sleep 1; echo end",
    ]);
    assert_eq!(run.code, 0, "{}", run.seen());
    let id = run.stdout.trim();
    let logs = dev.mezz(&["logs", "-f", "job/team/batch"]);
    let mut lines: Vec<&str> = logs.stdout.lines().collect();
    lines.sort_unstable();
    let expected = [
        "batch.0 | end",
        "batch.0 | index 0",
        "batch.1 | end",
        "batch.1 | index 1",
    ];
    assert_eq!(lines, expected, "{}", logs.seen());
    // A run goes by its id, by its object and id, and with the kind before it.
    for name in [
        id.to_owned(),
        format!("/team/batch/{id}"),
        format!("job/team/batch/{id}"),
    ] {
        for verb in ["logs", "wait", "status"] {
            let outcome = dev.mezz(&[verb, &name]);
            assert_eq!(outcome.code, 0, "{verb} {name}: {}", outcome.seen());
        }
        let stopped = dev.mezz(&["stop", &name]);
        assert_eq!(stopped.code, 5, "{}", stopped.seen());
        assert!(
            stopped.stderr.contains("has ended already"),
            "{}",
            stopped.seen()
        );
    }
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn runs_of_one_id_are_told_apart_by_their_objects() {
    let dev = Dev::start(&[]);
    for name in ["/a/one", "/b/one"] {
        let made = dev.mezz(&["run", "--job", "--name", name, "-d", "--", "sleep", "1000"]);
        assert_eq!(made.code, 0, "{}", made.seen());
        let run = dev.mezz(&["run", name, "--id", "same", "-d"]);
        assert_eq!(run.code, 0, "{}", run.seen());
    }
    for verb in ["stop", "wait", "logs", "status"] {
        let unclear = dev.mezz(&[verb, "same"]);
        assert_eq!(unclear.code, 5, "{verb}: {}", unclear.seen());
        assert!(
            unclear.stderr.contains("job/a/one/same, job/b/one/same"),
            "{verb}: {}",
            unclear.seen()
        );
    }
    let stopped = dev.mezz(&["stop", "--wait", "a/one/same"]);
    assert_eq!(
        (stopped.code, stopped.stdout.as_str()),
        (0, "/a/one/same\n"),
        "{}",
        stopped.seen()
    );
    let states = |name: &str| {
        dev.mezz(&["runs", name, "--state", "stopped", "-o", "name"])
            .stdout
    };
    assert_eq!(
        (states("/a/one").as_str(), states("/b/one").as_str()),
        ("/a/one/same\n", "")
    );
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn lists_are_selected_by_owner_state_and_place() {
    let dev = talking();
    let batch = dev.mezz(&["run", "--job", "--name", "/team/batch", "--", "true"]);
    assert_eq!(batch.code, 0, "{}", batch.seen());
    let run = ids(
        &dev,
        &["runs", "team/batch", "--cause", "user", "-o", "name"],
    )
    .remove(0);
    let count = |arguments: &[&str]| ids(&dev, arguments).len();
    assert_eq!(count(&["ps", "--service", "team/talk", "-o", "name"]), 2);
    assert_eq!(
        count(&["ps", "--all", "--job", "team/batch", "-o", "name"]),
        1
    );
    assert_eq!(count(&["ps", "--all", "--run", &run, "-o", "name"]), 1);
    assert_eq!(count(&["ps", "--all", "--run", "none", "-o", "name"]), 0);
    assert_eq!(
        count(&["ps", "--node", "localhost", "--role", "team", "-o", "name"]),
        2
    );
    assert_eq!(
        count(&["get", "instances", "--node", "elsewhere", "-o", "name"]),
        0
    );
    assert_eq!(
        count(&[
            "get",
            "instances",
            "--state",
            "running",
            "--role",
            "team",
            "-o",
            "name"
        ]),
        2
    );
    assert_eq!(
        count(&[
            "get",
            "rollouts",
            "--service",
            "team/talk",
            "--state",
            "succeeded",
            "-o",
            "name"
        ]),
        1
    );
    let wrong = dev.mezz(&["get", "runs", "--phase", "running"]);
    assert!(
        wrong.stderr.contains("'phase' is no known parameter"),
        "{}",
        wrong.seen()
    );
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_rollout_is_shown_steered_and_its_history_kept() {
    let dev = talking();
    let again = dev.mezz(&["rollout", "restart", "team/talk", "--wait"]);
    assert_eq!(again.code, 0, "{}", again.seen());
    let status = dev.mezz(&["rollout", "status", "service/team/talk"]);
    assert_eq!(
        status.stdout,
        "service /team/talk: succeeded, ready 2/2, old 0\n",
        "{}",
        status.seen()
    );
    assert_eq!(
        ids(&dev, &["rollout", "history", "team/talk", "-o", "name"]).len(),
        2
    );
    let none = dev.mezz(&["abort", "team/talk"]);
    assert_eq!(none.code, 5, "{}", none.seen());
    assert!(
        none.stderr.contains("no rollout in progress"),
        "{}",
        none.seen()
    );
    let reset = dev.mezz(&["reset-backoff", "team/talk"]);
    assert_eq!(reset.stdout, "service /team/talk: failures forgotten\n");
    let standing = dev.mezz(&["status", "team/talk"]);
    for words in [
        "service /team/talk\n",
        "2 ready, 2 wanted",
        "INSTANCES",
        "ROLLOUTS",
    ] {
        assert!(
            standing.stdout.contains(words),
            "{words}: {}",
            standing.seen()
        );
    }
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn conditions_are_waited_for() {
    let dev = talking();
    let code = |arguments: &[&str]| {
        let outcome = dev.mezz(arguments);
        (outcome.code, outcome.seen())
    };
    let ready = code(&["wait", "service/team/talk", "--for", "ready"]);
    assert_eq!(ready.0, 0, "{}", ready.1);
    let shown = code(&["wait", "service/team/talk", "--for", "crash_looping=false"]);
    assert_eq!(shown.0, 0, "{}", shown.1);
    let never = code(&[
        "wait",
        "service/team/talk",
        "--for",
        "gone",
        "--timeout",
        "50ms",
    ]);
    assert_eq!(never.0, 1, "{}", never.1);
    let wrong = code(&["wait", "service/team/talk", "--for", "redy"]);
    assert_eq!(wrong.0, 2, "{}", wrong.1);
    let task = ids(&dev, &["ps", "--service", "team/talk", "-o", "name"]).remove(0);
    let running = code(&["wait", &task, "--for", "running"]);
    assert_eq!(running.0, 0, "{}", running.1);
    assert_eq!(dev.mezz(&["delete", "service/team/talk"]).code, 0);
    let gone = code(&["wait", "service/team/talk", "--for", "gone"]);
    assert_eq!(gone.0, 0, "{}", gone.1);
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_command_becomes_an_object_that_can_be_printed_first() {
    let printed = support::mezz(&[
        "run",
        "--cron",
        "*/5 * * * *",
        "--time-zone",
        "Europe/Berlin",
        "--name",
        "/team/tick",
        "--cpus",
        "0.5",
        "--retries",
        "2",
        "-e",
        "A=b",
        "-l",
        "team=x",
        "--print",
        "--",
        "echo",
        "tick",
    ]);
    insta::assert_snapshot!("run_cron_printed", printed.seen());
    let nameless = support::mezz(&["run", "--service", "--", "true"]);
    insta::assert_snapshot!("run_service_without_a_name", nameless.seen());
    let schema = support::mezz(&["schema", "cron"]).stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    assert_eq!(schema["title"], "cron");
}
