//! The verbs that stop something for a time, on a running cluster.
#![allow(clippy::unwrap_used)]

mod support;

use support::dev::Dev;

const TICK: &str = "kind: cron\nname: /tick\nspec:\n  schedules: ['0 0 1 1 *']\n  run:\n    job:\n      template:\n        \
                    containers:\n          - command: 'true'\n            resources: {cpus: 0.01, mem: 16MiB}\n";

#[test]
fn what_is_frozen_or_paused_for_a_time_says_until_when_and_goes_on() {
    let dev = Dev::start(&[]);
    let frozen = dev.mezz(&["freeze", "--for", "1h"]);
    assert_eq!(
        frozen.stdout,
        "everything is frozen for 1h\n",
        "{}",
        frozen.seen()
    );
    let status = dev.mezz(&["status"]).stdout;
    assert!(
        status.contains("frozen      nothing is started"),
        "{status}"
    );
    let anew = dev.mezz(&["freeze", "--for", "1s"]);
    assert_eq!(anew.code, 0, "{}", anew.seen());
    dev.until(&["status"], |text| !text.contains("frozen"));
    assert_eq!(dev.mezz(&["freeze"]).stdout, "everything is frozen\n");
    let json = dev.mezz(&["status", "-o", "json"]).stdout;
    assert!(
        json.contains(r#""freeze":{"frozen":true,"until":null}"#),
        "{json}"
    );
    assert_eq!(dev.mezz(&["thaw"]).stdout, "everything goes on\n");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tick.yaml");
    std::fs::write(&file, TICK).unwrap();
    let applied = dev.mezz(&["apply", "-f", &file.display().to_string()]);
    assert_eq!(applied.code, 0, "{}", applied.seen());
    let paused = dev.mezz(&["pause", "tick", "--until", "2500-01-01T00:00:00Z"]);
    assert_eq!(
        paused.stdout,
        "cron /tick paused until 2500-01-01T00:00:00Z\n",
        "{}",
        paused.seen()
    );
    let shown = dev.mezz(&["get", "cron/tick", "-o", "json"]).stdout;
    assert!(
        shown.contains(r#""paused_until":"2500-01-01T00:00:00.000000Z""#),
        "{shown}"
    );
    let why = dev.mezz(&["why", "cron/tick"]).stdout;
    assert!(
        why.contains("paused it until 2500-01-01T00:00:00Z"),
        "{why}"
    );
    assert_eq!(dev.mezz(&["pause", "tick", "--for", "1s"]).code, 0);
    dev.until(&["why", "cron/tick"], |text| {
        text.contains("it fires next at")
    });

    let past = dev.mezz(&["pause", "tick", "--until", "2020-01-01T00:00:00Z"]);
    assert_eq!(past.code, 5, "{}", past.seen());
    assert!(
        past.stderr.contains("has passed already"),
        "{}",
        past.seen()
    );
    let wrong = dev.mezz(&["pause", "tick", "--for", "soon"]);
    assert_eq!(wrong.code, 2, "{}", wrong.seen());
    assert!(wrong.stderr.contains("--for"), "{}", wrong.seen());
    let none = dev.mezz(&["freeze", "--for", "0s"]);
    assert_eq!(none.code, 5, "{}", none.seen());
    assert_eq!(dev.stop(), Some(0));
}
