//! What only the store file has: reopening, the lock, and `kill -9` in the middle of commits.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mezz_store::{
    Backend, Batch, Candidate, Epoch, Key, Leadership, OpenError, Token, open, open_redb,
};

const CHILD_FILE: &str = "MEZZ_STORE_TEST_FILE";

fn lead(backend: &Backend) -> Leadership {
    let candidate = Candidate {
        id: "m".into(),
        ..Candidate::default()
    };
    backend
        .election
        .campaign(candidate)
        .blocking_recv()
        .unwrap()
        .unwrap()
}

fn key(text: String) -> Key {
    Key::new(text).unwrap()
}

#[test]
fn contents_and_epoch_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    for round in 1..=3 {
        let backend = open_redb(&path).unwrap();
        assert_eq!(backend.store.scan("").unwrap().len(), round - 1);
        let leader = lead(&backend);
        assert_eq!(leader.epoch(), Epoch(round as u64));
        let write = Batch::new(Token(1), leader.epoch()).put(key(format!("k{round}")), "v");
        backend.store.commit_blocking(write).unwrap();
    }
}

#[test]
fn a_second_opener_learns_which_process_holds_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let held = open_redb(&path).unwrap();
    let error = open_redb(&path).unwrap_err();
    assert!(
        matches!(&error, OpenError::InUse { holder, .. } if *holder == Some(std::process::id())),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("store.redb is in use by process"),
        "{error}"
    );
    drop(held);
    open_redb(&path).unwrap();
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.redb");
    std::fs::write(&path, "not a store").unwrap();
    assert!(matches!(open_redb(&path), Err(OpenError::Backend { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"not a store");
}

#[test]
fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = open_redb(&folder.path().join("none/store.redb")).unwrap_err();
    assert!(
        error.to_string().contains("none/store.redb.lock"),
        "{error}"
    );
}

#[test]
fn urls_choose_the_backend_and_unbuilt_ones_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    for url in [
        format!("redb:{}", path.display()),
        format!("redb://{}", path.display()),
        path.display().to_string(),
    ] {
        open(&url).unwrap();
    }
    open("memory").unwrap();
    for url in ["etcd://127.0.0.1:2379", "zk://127.0.0.1:2181/mesos"] {
        let error = open(url).unwrap_err().to_string();
        assert!(
            error.contains("not built yet") && error.contains(url),
            "{error}"
        );
    }
    assert!(matches!(open("mysql://x"), Err(OpenError::Unknown { .. })));
    assert!(matches!(open("word"), Err(OpenError::Unknown { .. })));
}

/// Runs only as the child of the next test: commits pairs of keys until it is killed.
#[test]
#[ignore = "started by the kill test"]
fn child_that_commits_until_killed() {
    let Some(path) = std::env::var_os(CHILD_FILE) else {
        return;
    };
    let backend = open_redb(Path::new(&path)).unwrap();
    let leader = lead(&backend);
    let first = backend.store.scan("left/").unwrap().len() as u64;
    for number in first.. {
        let write = Batch::new(Token(number), leader.epoch())
            .put(key(format!("left/{number:08}")), vec![7; 700])
            .put(key(format!("right/{number:08}")), number.to_string());
        let tell = move |outcome: mezz_store::Outcome| {
            outcome.result.unwrap();
            let mut out = std::io::stderr().lock();
            writeln!(out, "durable {number}").unwrap();
        };
        backend.store.submit(write, Box::new(tell));
        if number % 7 == 0 {
            backend
                .store
                .commit_blocking(Batch::new(Token(number), leader.epoch()))
                .unwrap();
        }
    }
}

fn start_child(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_that_commits_until_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD_FILE, path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn what_was_reported_durable_survives_kill_9_in_the_middle_of_commits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    for round in 1..=8_usize {
        let mut child = start_child(&path);
        let reports = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut last = None;
        for line in reports.take(13 * round) {
            let line = line.unwrap();
            last = line
                .strip_prefix("durable ")
                .and_then(|number| number.parse::<usize>().ok())
                .or(last);
        }
        child.kill().unwrap();
        child.wait().unwrap();

        let backend = open_redb(&path).unwrap();
        let left = backend.store.scan("left/").unwrap();
        let right = backend.store.scan("right/").unwrap();
        assert!(
            left.len() > last.expect("the child committed"),
            "a durable batch was lost"
        );
        assert_eq!(left.len(), right.len(), "a batch was applied in part");
        for (number, entry) in right.iter().enumerate() {
            assert_eq!(
                entry.key.as_str(),
                format!("right/{number:08}"),
                "a hole in the order"
            );
            assert_eq!(entry.value, number.to_string());
        }
        assert!(backend.store.epoch().unwrap() >= Epoch(round as u64));
    }
}
