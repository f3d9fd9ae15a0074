//! The indices against a model that keeps one plain entry for each, and against what is stored of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use mezz_spec::quantity::Span;
use mezz_state::time::SECOND_NS;
use proptest::prelude::*;

use super::*;
use crate::job::block::{Borrowed, StoredBlock};
use crate::stored;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Plain {
    Fresh,
    Running { attempt: u32, failures: u32 },
    Waiting { attempt: u32, failures: u32 },
    Succeeded,
    Failed,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Start,
    End(usize, End),
    Sleep(u64),
    /// The store is all that is left.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let end = prop_oneof![
        5 => Just(End::Success),
        3 => Just(End::Failure),
        1 => Just(End::Hopeless),
        2 => Just(End::Infrastructure),
    ];
    let step = prop_oneof![
        8 => Just(Step::Start),
        8 => (any::<usize>(), end).prop_map(|(which, end)| Step::End(which, end)),
        2 => (0_u64..20).prop_map(Step::Sleep),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..400)
}

struct World {
    indices: Indices,
    plain: Vec<Plain>,
    store: BTreeMap<u32, Bytes>,
    now: Wall,
    backoff: Backoff,
}

const RETRIES: u32 = 2;

impl World {
    fn new(total: u32) -> Self {
        Self {
            indices: Indices::new(total),
            plain: vec![Plain::Fresh; total as usize],
            store: BTreeMap::new(),
            now: Wall(1),
            backoff: Backoff {
                max: Span::seconds(8),
                ..Backoff::default()
            },
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Start => self.start(),
            Step::End(which, end) => self.end(which, end),
            Step::Sleep(seconds) => {
                self.now = Wall(self.now.0 + seconds * SECOND_NS);
                self.indices.wake(self.now);
            }
            Step::Restart => self.restart(),
        }
        self.write();
    }

    fn start(&mut self) {
        let Some(next) = self.indices.next() else {
            assert_eq!(self.indices.startable(), 0);
            return;
        };
        let plain = &mut self.plain[next.index as usize];
        let (attempt, failures) = match *plain {
            Plain::Fresh => (0, 0),
            Plain::Waiting { attempt, failures } => (attempt, failures),
            other => panic!("{next:?} is {other:?}"),
        };
        assert_eq!((next.past.attempt, next.past.failures), (attempt, failures));
        *plain = Plain::Running { attempt, failures };
        self.indices.started(next, InstanceKey(next.index));
    }

    fn end(&mut self, which: usize, end: End) {
        let running: Vec<u32> = self.indices.running().map(|(index, _)| index).collect();
        let Some(index) = running.get(which % running.len().max(1)).copied() else {
            return;
        };
        let Plain::Running { attempt, failures } = self.plain[index as usize] else {
            panic!("{index} does not run in the model");
        };
        let retry = Retry {
            retries: RETRIES,
            backoff: &self.backoff,
        };
        let stale = self.indices.ended(self.now, index, attempt + 1, end, retry);
        assert_eq!(stale, None, "only the present attempt ends an index");
        let outcome = self.indices.ended(self.now, index, attempt, end, retry);
        let again = |failures| Plain::Waiting {
            attempt: attempt + 1,
            failures,
        };
        self.plain[index as usize] = match end {
            End::Success => Plain::Succeeded,
            End::Infrastructure => again(failures),
            End::Failure if failures < RETRIES => again(failures + 1),
            End::Failure | End::Hopeless => Plain::Failed,
        };
        let is_again = matches!(outcome, Some(Outcome::Again(_)));
        let waits = matches!(self.plain[index as usize], Plain::Waiting { .. });
        assert_eq!(is_again, waits);
    }

    /// One value for each block that changed, and no other.
    fn write(&mut self) {
        for number in self.indices.take_changed() {
            let resources = Bytes::new();
            let stored = StoredBlock::of(&self.indices, number, |_, _| {
                Some(Borrowed {
                    agent: "agent",
                    hostname: "host",
                    resources: &resources,
                    ports: &[],
                    started_at: Wall(0),
                })
            });
            self.store.insert(number, stored::encode(&stored));
        }
    }

    fn restart(&mut self) {
        let mut restored = Indices::new(self.indices.total());
        for (number, bytes) in &self.store {
            let block: StoredBlock = stored::decode(bytes).unwrap();
            block.restore(*number, &mut restored, self.now, |index, _, _| {
                InstanceKey(index)
            });
        }
        restored.restore_gaps(self.now);
        assert_eq!(restored.counts().succeeded, self.indices.counts().succeeded);
        self.indices = restored;
    }

    fn check(&self) {
        let count = |is: fn(&Plain) -> bool| {
            u32::try_from(self.plain.iter().filter(|one| is(one)).count()).unwrap()
        };
        let counts = self.indices.counts();
        assert_eq!(counts.succeeded, count(|one| *one == Plain::Succeeded));
        assert_eq!(counts.failed, count(|one| *one == Plain::Failed));
        assert_eq!(
            counts.running,
            count(|one| matches!(one, Plain::Running { .. }))
        );
        let total = counts.waiting + counts.running + counts.succeeded + counts.failed;
        assert_eq!(total, self.indices.total());
        let failed: Vec<u32> = self.indices.failed().collect();
        let wanted = (0..self.indices.total())
            .filter(|index| self.plain[*index as usize] == Plain::Failed)
            .collect::<Vec<_>>();
        assert_eq!(failed, wanted);
    }
}

proptest! {
    #[test]
    fn indices_do_what_the_model_does_also_after_restarts(total in 1_u32..700, steps in steps()) {
        let mut world = World::new(total);
        for step in steps {
            world.take(step);
            world.check();
        }
        let bytes = postcard::to_allocvec(&world.indices).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Indices>(&bytes).unwrap(), world.indices);
    }

    #[test]
    fn every_index_ends_when_all_that_is_started_ends(total in 1_u32..700, ends in prop::collection::vec(0_u8..10, 1..50)) {
        let mut world = World::new(total);
        let mut turn = 0;
        while !world.indices.is_over() {
            world.take(Step::Start);
            let end = match ends[turn % ends.len()] {
                0 => End::Hopeless,
                1 | 2 => End::Failure,
                3 if turn < 1_000 => End::Infrastructure,
                _ => End::Success,
            };
            world.take(Step::End(turn, end));
            world.take(Step::Sleep(8));
            turn += 1;
        }
        world.check();
    }
}

#[test]
fn a_million_indices_with_one_in_a_hundred_failing_take_a_few_hundred_kibibytes() {
    let mut indices = Indices::new(1_000_000);
    let backoff = Backoff::default();
    let retry = Retry {
        retries: 0,
        backoff: &backoff,
    };
    while let Some(next) = indices.next() {
        indices.started(next, InstanceKey(0));
        let end = if next.index % 100 == 0 {
            End::Failure
        } else {
            End::Success
        };
        indices.ended(Wall(1), next.index, 0, end, retry);
    }
    assert!(indices.is_over());
    assert_eq!(indices.failed().count(), 10_000);
    let bytes = size_of_val(&*indices.blocks);
    assert!(bytes <= 256 * 1024, "{bytes}");
    assert_eq!(indices.blocks.capacity(), indices.blocks.len());
}
