//! An array of thousands of indices whose master is killed in the midst of it, with and without its agent: what has told
//! of success is counted, once, and does not run again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use mezz_testkit::Daemon;
use mezz_testkit::wait::within;
use serde_json::{Value, json};

use crate::lab::Lab;

/// For all of it, on a machine that does other things as well.
const LONG: Duration = Duration::from_mins(3);

/// Each attempt adds a line of its own to one of a few files: lines so short are written whole.
fn array(indices: u64, marks: &Path) -> Value {
    let command = format!(
        "echo $MEZZ_INDEX.$MEZZ_ATTEMPT >> {}/$((MEZZ_INDEX % 16))",
        marks.display()
    );
    json!({
        "kind": "job",
        "name": "/array",
        "spec": {
            "completions": indices,
            "parallelism": 64,
            "retries": 0,
            "template": { "containers": [{
                "command": command,
                "resources": { "cpus": 0.01, "mem": "1MiB" },
            }] },
        },
    })
}

/// The attempts that have left marks, by index.
fn marks(folder: &Path) -> BTreeMap<u64, Vec<u64>> {
    let mut found: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in text.lines() {
            let (index, attempt) = line.split_once('.').unwrap();
            let attempts = found.entry(index.parse().unwrap()).or_default();
            attempts.push(attempt.parse().unwrap());
        }
    }
    found
}

fn run(master: &Daemon) -> Value {
    let runs = master.client().get("/v1/runs").unwrap().json();
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
    runs[0].clone()
}

fn succeeded(master: &Daemon) -> u64 {
    run(master)["succeeded"].as_u64().unwrap()
}

/// The run at its end, after masters have died in the midst of it; `and_agent` dies with the second of them.
fn run_through_deaths(lab: &mut Lab, indices: u64, and_agent: bool) -> (Value, Value) {
    let folder = lab.folder().join("marks");
    std::fs::create_dir(&folder).unwrap();
    let mut master = lab.master();
    let mut agent = Some(lab.agent(&master));
    let port = master.port();
    let applied = master
        .client()
        .post_json("/v1/apply", &array(indices, &folder))
        .unwrap();
    assert_eq!(applied.status, 200, "{}", applied.text());
    for quarter in 1..4 {
        let so_many = indices * quarter / 4;
        let reached = within(LONG, || {
            let now = succeeded(&master);
            (now >= so_many).then_some(now)
        });
        let before = reached.expect("it goes on");
        master.kill_9();
        if and_agent && quarter == 2 {
            agent.take().unwrap().kill_9();
        }
        master = lab.master_again(port);
        if agent.is_none() {
            agent = Some(lab.agent(&master));
        }
        let after = succeeded(&master);
        assert!(after >= before, "{before} had succeeded, and then {after}");
    }
    let end = within(LONG, || {
        let run = run(&master);
        run["ended_at"].is_string().then_some(run)
    });
    let end = end.expect("it ends");
    // The count of its job is as lasting as the run's own end.
    master.kill_9();
    let master = lab.master_again(port);
    let job = master.client().get("/v1/jobs/array").unwrap().json();
    (end, job)
}

#[test]
fn each_index_of_an_array_runs_once_although_its_master_is_killed_again_and_again() {
    let indices = 4_000;
    let mut lab = Lab::new();
    let (run, job) = run_through_deaths(&mut lab, indices, false);
    assert_eq!(run["succeeded"], indices, "{run}");
    assert_eq!(run["state"], "succeeded", "{run}");
    let marks = marks(&lab.folder().join("marks"));
    // A launch that never left its master is another attempt; what counts is that no more than one of them ran.
    let again: Vec<_> = marks.iter().filter(|(_, runs)| runs.len() > 1).collect();
    assert!(again.is_empty(), "an index ran again: {again:?}");
    assert!(marks.keys().copied().eq(0..indices), "each index has run");
    assert_eq!(job["status"]["succeeded"], 1, "{job}");
}

#[test]
fn no_attempt_of_an_array_runs_twice_although_master_and_agent_are_killed_at_once() {
    let indices = 3_000;
    let mut lab = Lab::new();
    let (run, job) = run_through_deaths(&mut lab, indices, true);
    assert_eq!(run["succeeded"], indices, "{run}");
    let marks = marks(&lab.folder().join("marks"));
    assert!(marks.keys().copied().eq(0..indices), "each index has run");
    let is_double = |runs: &&Vec<u64>| runs.iter().collect::<BTreeSet<_>>().len() < runs.len();
    let twice: Vec<_> = marks.values().filter(is_double).collect();
    assert!(twice.is_empty(), "an attempt was started twice: {twice:?}");
    // An agent that was killed between two steps of a launch may not know how that ended: only those run again.
    let again = marks.values().filter(|runs| runs.len() > 1).count();
    assert!(
        again <= 64,
        "{again} of those that ran at the agent's death"
    );
    assert_eq!(job["status"]["succeeded"], 1, "{job}");
}
