//! The contract that every backend keeps: order, atomicity, preconditions, fencing, election.
//!
//! Each test runs on every backend.

#![allow(clippy::unwrap_used)]

use std::sync::mpsc;
use std::time::Duration;

use mezz_store::{
    Backend, Batch, Candidate, Epoch, Key, Leadership, LeadershipState, Operation, Outcome,
    Precondition, RESTORE_EPOCH_STEP, StoreError, Token, Version, limits, open_memory, open_redb,
};

/// Makes one test for each backend out of a function of a fresh backend.
macro_rules! contract {
    ($($name:ident)*) => {
        mod memory {
            $(#[test] fn $name() { super::$name(&super::open_memory().unwrap()); })*
        }
        mod redb {
            $(#[test] fn $name() {
                let folder = tempfile::tempdir().unwrap();
                super::$name(&super::open_redb(&folder.path().join("store.redb")).unwrap());
            })*
        }
    };
}

contract! {
    a_written_value_is_read_back_with_its_version
    a_scan_returns_exactly_the_prefix_in_order
    a_deleted_key_is_gone_and_its_version_never_comes_back
    operations_of_a_batch_apply_in_their_order
    a_failed_precondition_changes_nothing_and_names_the_key
    preconditions_look_at_the_state_before_the_batch
    completions_come_in_the_order_of_submission
    an_empty_batch_is_a_barrier
    a_failure_ends_the_epoch_and_a_new_election_begins_afresh
    each_election_raises_the_epoch
    a_batch_of_an_older_epoch_is_fenced
    a_batch_of_an_epoch_never_given_out_is_refused
    the_next_candidate_leads_when_the_leader_resigns
    a_candidate_that_withdraws_is_passed_over
    observers_see_who_leads
    a_dropped_leadership_is_resigned
    oversized_batches_are_refused_with_the_limit
    a_restore_replaces_everything_and_fences_the_leader
    batches_submitted_before_closing_are_committed
    writers_on_many_threads_lose_nothing
    async_callers_get_their_outcome
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn lead(backend: &Backend, id: &str) -> Leadership {
    let candidate = Candidate {
        id: id.into(),
        address: "127.0.0.1:5050".into(),
        ..Candidate::default()
    };
    backend
        .election
        .campaign(candidate)
        .blocking_recv()
        .unwrap()
        .unwrap()
}

fn batch(leader: &Leadership, token: u64) -> Batch {
    Batch::new(Token(token), leader.epoch())
}

fn keys(backend: &Backend, prefix: &str) -> Vec<String> {
    backend
        .store
        .scan(prefix)
        .unwrap()
        .into_iter()
        .map(|entry| entry.key.to_string())
        .collect()
}

fn a_written_value_is_read_back_with_its_version(backend: &Backend) {
    let leader = lead(backend, "m");
    let committed = backend
        .store
        .commit_blocking(batch(&leader, 1).put(key("a"), "1"))
        .unwrap();
    let entry = backend.store.get(&key("a")).unwrap().unwrap();
    assert_eq!(
        (entry.version, &entry.value[..]),
        (committed.version, &b"1"[..])
    );
    assert_eq!(backend.store.get(&key("b")).unwrap(), None);
    let next = backend
        .store
        .commit_blocking(batch(&leader, 2).put(key("a"), ""))
        .unwrap();
    assert_ne!(next.version, committed.version);
    assert!(
        backend
            .store
            .get(&key("a"))
            .unwrap()
            .unwrap()
            .value
            .is_empty()
    );
}

fn a_scan_returns_exactly_the_prefix_in_order(backend: &Backend) {
    let leader = lead(backend, "m");
    let names = [
        "agents/S10",
        "agents/S2",
        "agent",
        "agents",
        "agentz",
        "agents/é",
        "b",
    ];
    let write = names
        .iter()
        .fold(batch(&leader, 1), |b, name| b.put(key(name), "x"));
    backend.store.commit_blocking(write).unwrap();
    assert_eq!(
        keys(backend, "agents/"),
        ["agents/S10", "agents/S2", "agents/é"]
    );
    assert_eq!(keys(backend, "agent").len(), 6);
    assert_eq!(keys(backend, "").len(), names.len());
    assert_eq!(keys(backend, "nothing"), Vec::<String>::new());
}

fn a_deleted_key_is_gone_and_its_version_never_comes_back(backend: &Backend) {
    let leader = lead(backend, "m");
    let store = &backend.store;
    let first = store
        .commit_blocking(batch(&leader, 1).put(key("a"), "1"))
        .unwrap();
    store
        .commit_blocking(
            batch(&leader, 2)
                .delete(key("a"))
                .delete(key("never there")),
        )
        .unwrap();
    assert_eq!(store.get(&key("a")).unwrap(), None);
    let again = store
        .commit_blocking(batch(&leader, 3).put(key("a"), "1"))
        .unwrap();
    assert_ne!(first.version, again.version);
}

fn operations_of_a_batch_apply_in_their_order(backend: &Backend) {
    let leader = lead(backend, "m");
    let write = batch(&leader, 1)
        .put(key("a"), "1")
        .put(key("a"), "2")
        .put(key("b"), "1")
        .delete(key("b"));
    backend.store.commit_blocking(write).unwrap();
    assert_eq!(
        &backend.store.get(&key("a")).unwrap().unwrap().value[..],
        b"2"
    );
    assert_eq!(keys(backend, ""), ["a"]);
}

fn a_failed_precondition_changes_nothing_and_names_the_key(backend: &Backend) {
    let cases = [
        Precondition::Absent { key: key("there") },
        Precondition::Present {
            key: key("missing"),
        },
        Precondition::VersionIs {
            key: key("there"),
            version: Version(999),
        },
        Precondition::VersionIs {
            key: key("missing"),
            version: Version(1),
        },
    ];
    for wrong in cases {
        let leader = lead(backend, "m");
        backend
            .store
            .commit_blocking(batch(&leader, 1).put(key("there"), "1"))
            .unwrap();
        let write = batch(&leader, 2)
            .put(key("there"), "2")
            .put(key("new"), "1")
            .require(wrong.clone());
        let error = backend.store.commit_blocking(write).unwrap_err();
        assert!(
            matches!(&error, StoreError::PreconditionFailed { precondition, .. } if *precondition == wrong)
        );
        assert!(error.to_string().contains(wrong.key().as_str()), "{error}");
        assert_eq!(
            &backend.store.get(&key("there")).unwrap().unwrap().value[..],
            b"1"
        );
        assert_eq!(backend.store.get(&key("new")).unwrap(), None);
    }
}

fn preconditions_look_at_the_state_before_the_batch(backend: &Backend) {
    let leader = lead(backend, "m");
    let create = batch(&leader, 1)
        .put(key("a"), "1")
        .require(Precondition::Absent { key: key("a") });
    let version = backend.store.commit_blocking(create).unwrap().version;
    let swap = batch(&leader, 2)
        .put(key("a"), "2")
        .require(Precondition::VersionIs {
            key: key("a"),
            version,
        });
    backend.store.commit_blocking(swap).unwrap();
    let check = batch(&leader, 3).require(Precondition::Present { key: key("a") });
    backend.store.commit_blocking(check).unwrap();
}

fn completions_come_in_the_order_of_submission(backend: &Backend) {
    let leader = lead(backend, "m");
    let (sender, outcomes) = mpsc::channel();
    for token in 0..500 {
        let sender = sender.clone();
        let write = batch(&leader, token).put(key("last"), token.to_string());
        backend.store.submit(
            write,
            Box::new(move |outcome| sender.send(outcome).unwrap()),
        );
    }
    for token in 0..500 {
        let outcome: Outcome = outcomes.recv_timeout(Duration::from_mins(1)).unwrap();
        assert_eq!(outcome.token, Token(token));
        outcome.result.unwrap();
    }
    assert_eq!(
        &backend.store.get(&key("last")).unwrap().unwrap().value[..],
        b"499"
    );
}

fn an_empty_batch_is_a_barrier(backend: &Backend) {
    let leader = lead(backend, "m");
    backend.store.submit(
        batch(&leader, 1).put(key("a"), "1"),
        Box::new(|outcome| assert!(outcome.result.is_ok())),
    );
    backend.store.commit_blocking(batch(&leader, 2)).unwrap();
    assert_eq!(keys(backend, ""), ["a"]);
}

fn a_failure_ends_the_epoch_and_a_new_election_begins_afresh(backend: &Backend) {
    let leader = lead(backend, "m");
    let doomed = batch(&leader, 1)
        .put(key("a"), "1")
        .require(Precondition::Present {
            key: key("missing"),
        });
    let failed = backend.store.submit_oneshot(doomed);
    let later = backend
        .store
        .submit_oneshot(batch(&leader, 2).put(key("b"), "1"));
    assert!(matches!(
        failed.blocking_recv().unwrap().result,
        Err(StoreError::PreconditionFailed { .. })
    ));
    assert!(matches!(
        later.blocking_recv().unwrap().result,
        Err(StoreError::EpochEnded { .. })
    ));
    let again = backend
        .store
        .commit_blocking(batch(&leader, 3).put(key("c"), "1"));
    assert!(matches!(again, Err(StoreError::EpochEnded { .. })));
    assert_eq!(keys(backend, ""), Vec::<String>::new());
    leader.resign();
    let leader = lead(backend, "m");
    backend
        .store
        .commit_blocking(batch(&leader, 4).put(key("d"), "1"))
        .unwrap();
    assert_eq!(keys(backend, ""), ["d"]);
}

fn each_election_raises_the_epoch(backend: &Backend) {
    assert_eq!(backend.store.epoch().unwrap(), Epoch(0));
    for expected in 1..=3 {
        let leader = lead(backend, "m");
        assert_eq!(
            (leader.epoch(), backend.store.epoch().unwrap()),
            (Epoch(expected), Epoch(expected))
        );
        leader.resign();
    }
}

fn a_batch_of_an_older_epoch_is_fenced(backend: &Backend) {
    let old = lead(backend, "old");
    let late = batch(&old, 7).put(key("a"), "late");
    old.resign();
    let new = lead(backend, "new");
    let error = backend.store.commit_blocking(late.clone()).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Fenced {
                batch: Epoch(1),
                stored: Epoch(2)
            }
        ),
        "{error}"
    );
    backend
        .store
        .commit_blocking(batch(&new, 1).put(key("a"), "new"))
        .unwrap();
    assert!(matches!(
        backend.store.commit_blocking(late),
        Err(StoreError::Fenced { .. })
    ));
    assert_eq!(
        &backend.store.get(&key("a")).unwrap().unwrap().value[..],
        b"new"
    );
}

fn a_batch_of_an_epoch_never_given_out_is_refused(backend: &Backend) {
    let write = Batch::new(Token(1), Epoch(5)).put(key("a"), "1");
    assert!(matches!(
        backend.store.commit_blocking(write),
        Err(StoreError::UnknownEpoch { .. })
    ));
}

fn the_next_candidate_leads_when_the_leader_resigns(backend: &Backend) {
    let first = lead(backend, "first");
    let candidate = Candidate {
        id: "second".into(),
        ..Candidate::default()
    };
    let mut waiting = backend.election.campaign(candidate);
    backend.store.commit_blocking(batch(&first, 1)).unwrap();
    assert!(waiting.try_recv().is_err(), "two leaders at once");
    let state = first.state();
    first.resign();
    let second = waiting.blocking_recv().unwrap().unwrap();
    assert_eq!(second.leader().candidate.id, "second");
    assert_eq!(*state.borrow(), LeadershipState::Lost);
    assert_eq!(*second.state().borrow(), LeadershipState::Held);
}

fn a_candidate_that_withdraws_is_passed_over(backend: &Backend) {
    let first = lead(backend, "first");
    drop(backend.election.campaign(Candidate {
        id: "gone".into(),
        ..Candidate::default()
    }));
    let waiting = backend.election.campaign(Candidate {
        id: "third".into(),
        ..Candidate::default()
    });
    first.resign();
    assert_eq!(
        waiting
            .blocking_recv()
            .unwrap()
            .unwrap()
            .leader()
            .candidate
            .id,
        "third"
    );
}

fn observers_see_who_leads(backend: &Backend) {
    let seen = backend.election.observe();
    assert!(seen.borrow().is_none());
    let leader = lead(backend, "m");
    assert_eq!(seen.borrow().as_ref(), Some(leader.leader()));
    leader.resign();
    assert!(seen.borrow().is_none());
}

fn a_dropped_leadership_is_resigned(backend: &Backend) {
    drop(lead(backend, "first"));
    assert_eq!(lead(backend, "second").epoch(), Epoch(2));
}

fn oversized_batches_are_refused_with_the_limit(backend: &Backend) {
    let big = vec![0_u8; limits::VALUE_BYTES + 1];
    let leader = lead(backend, "m");
    let error = backend
        .store
        .commit_blocking(batch(&leader, 1).put(key("big/one"), big))
        .unwrap_err();
    assert!(error.to_string().contains("big/one"), "{error}");
    leader.resign();
    let leader = lead(backend, "m");
    let mut many = batch(&leader, 1);
    many.operations = vec![Operation::Delete { key: key("a") }; limits::BATCH_ITEMS + 1];
    let error = backend.store.commit_blocking(many).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("operations of a batch: 129, more than 128"),
        "{error}"
    );
}

fn a_restore_replaces_everything_and_fences_the_leader(backend: &Backend) {
    let leader = lead(backend, "m");
    backend
        .store
        .commit_blocking(batch(&leader, 1).put(key("kept"), "1"))
        .unwrap();
    let backup = backend.store.backup().unwrap();
    assert_eq!((backup.epoch, backup.entries.len()), (Epoch(1), 1));
    backend
        .store
        .commit_blocking(batch(&leader, 2).put(key("later"), "1"))
        .unwrap();
    let epoch = backend.store.restore(backup.clone()).unwrap();
    assert_eq!(epoch, Epoch(1 + RESTORE_EPOCH_STEP));
    assert_eq!(keys(backend, ""), ["kept"]);
    assert_ne!(
        backend.store.get(&key("kept")).unwrap().unwrap().version,
        backup.entries[0].version
    );
    let late = backend
        .store
        .commit_blocking(batch(&leader, 3).put(key("late"), "1"));
    assert!(matches!(late, Err(StoreError::Fenced { .. })));
}

fn batches_submitted_before_closing_are_committed(backend: &Backend) {
    let leader = lead(backend, "m");
    let waiting: Vec<_> = (0..50)
        .map(|i| {
            backend
                .store
                .submit_oneshot(batch(&leader, i).put(key(&format!("k{i}")), "1"))
        })
        .collect();
    leader.resign();
    for outcome in waiting {
        outcome.blocking_recv().unwrap().result.unwrap();
    }
    assert_eq!(keys(backend, "k").len(), 50);
}

fn writers_on_many_threads_lose_nothing(backend: &Backend) {
    let leader = lead(backend, "m");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let leader = &leader;
            scope.spawn(move || {
                for i in 0..20 {
                    let write = batch(leader, i).put(key(&format!("{thread}/{i}")), "1");
                    backend.store.commit_blocking(write).unwrap();
                }
            });
        }
    });
    assert_eq!(keys(backend, "").len(), 160);
}

fn async_callers_get_their_outcome(backend: &Backend) {
    let leader = lead(backend, "m");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime
        .block_on(backend.store.commit(batch(&leader, 1).put(key("a"), "1")))
        .unwrap();
    assert_eq!(keys(backend, ""), ["a"]);
}
