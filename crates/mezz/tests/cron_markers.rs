//! Crons whose runs leave marks on the disk, while master and agent are killed again and again: one run for each fire-time,
//! and each attempt started once.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use support::dev::Dev;

/// One file for each start, named by run and attempt; a second start under the name would show in it.
fn cron(marks: &str) -> String {
    format!(
        "kind: cron
name: /tick
spec:
  schedules: ['* * * * * *']
  catch_up: all
  starting_deadline: 10m
  run:
    job:
      retries: 5
      history: {{succeeded: 1000, failed: 1000}}
      template:
        containers:
          - command: echo started >> {marks}/$MEZZ_RUN.$MEZZ_ATTEMPT; sleep 0.5
            resources: {{cpus: 0.01, mem: 16MiB}}
"
    )
}

/// Fire-times of the runs, in seconds, with state and id.
fn runs(dev: &Dev) -> Vec<(String, String, String)> {
    let listed = dev.mezz(&["runs", "tick", "-o", "json"]);
    let list: Vec<Value> = serde_json::from_str(&listed.stdout).expect("a list");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list.iter()
        .map(|run| {
            let fire_at = text(&run["cause"]["fire_at"]);
            (fire_at, text(&run["state"]), text(&run["id"]))
        })
        .collect()
}

fn marks(folder: &std::path::Path) -> BTreeMap<String, usize> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default();
            let text = std::fs::read_to_string(&path).expect("a mark");
            (name.to_string_lossy().into_owned(), text.lines().count())
        })
        .collect()
}

#[test]
fn each_fire_time_has_one_run_and_each_attempt_starts_once_while_daemons_are_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (work, left) = (folder.path().join("work"), folder.path().join("marks"));
    std::fs::create_dir(&left).expect("a folder");
    let file = folder.path().join("tick.yaml");
    std::fs::write(&file, cron(&left.display().to_string())).expect("a file");
    let work_dir = format!("--work-dir={}", work.display());

    let mut dev = Dev::start(&[&work_dir]);
    let applied = dev.mezz(&["apply", "-f", &file.display().to_string()]);
    assert_eq!(applied.code, 0, "{}", applied.seen());
    for pause_ms in [2300, 1700, 2900] {
        std::thread::sleep(Duration::from_millis(pause_ms));
        dev.kill();
        std::thread::sleep(Duration::from_millis(pause_ms / 2));
        dev = Dev::start(&[&work_dir]);
    }
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(dev.mezz(&["pause", "tick"]).code, 0);
    dev.until(&["get", "instances", "-o", "name"], str::is_empty);

    let runs = runs(&dev);
    let fired: BTreeSet<&str> = runs.iter().map(|(at, ..)| &**at).collect();
    assert_eq!(
        fired.len(),
        runs.len(),
        "two runs for one fire-time: {runs:?}"
    );
    assert!(runs.len() > 8, "{runs:?}");
    let marks = marks(&left);
    assert!(marks.values().all(|starts| *starts == 1), "{marks:?}");
    for (_, state, id) in &runs {
        assert_eq!(state, "succeeded", "{runs:?}");
        let prefix = format!("{id}.");
        let own = marks.keys().filter(|name| name.starts_with(&prefix));
        assert!(own.count() > 0, "run {id} left no mark: {marks:?}");
    }
    let known: BTreeSet<&str> = runs.iter().map(|(.., id)| &**id).collect();
    let of_run = |name: &str| name.rsplit_once('.').map_or("", |(run, _)| run).to_owned();
    let stray = marks.keys().find(|name| !known.contains(&*of_run(name)));
    assert_eq!(stray, None, "a mark of no run: {runs:?}");
    assert_eq!(dev.stop(), Some(0));
}
