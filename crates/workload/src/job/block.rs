//! How the indices of a run are stored: one value for each block of 256. What many attempts of a block share, such as
//! their agents, is written once.

use bytes::Bytes;
use mezz_state::time::Wall;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::indices::{BLOCK, Block, Indices, Past, Running, Waiting};
use crate::key::InstanceKey;

/// Where an attempt was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assignment {
    pub(crate) agent: Box<str>,
    pub(crate) hostname: Box<str>,
    /// What was taken there: a task with nothing but its resources, encoded.
    pub(crate) resources: Bytes,
    pub(crate) ports: Vec<u16>,
    pub(crate) started_at: Wall,
}

/// A block as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredBlock {
    ended: Block,
    agents: Vec<(Box<str>, Box<str>)>,
    resources: Vec<Bytes>,
    running: Vec<StoredAttempt>,
    waiting: Vec<(u32, Waiting)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StoredAttempt {
    index: u32,
    past: Past,
    agent: u32,
    resources: u32,
    ports: Vec<u16>,
    started_at: Wall,
}

impl StoredBlock {
    /// From what is known of a block; `assigned` says where an attempt was started.
    pub(crate) fn of<'a>(
        indices: &Indices,
        number: u32,
        assigned: impl Fn(u32, &Running) -> Option<Borrowed<'a>>,
    ) -> Self {
        let mut stored = Self {
            ended: indices.block(number),
            waiting: indices
                .waiting_in(number)
                .map(|(index, waiting)| (index, *waiting))
                .collect(),
            ..Self::default()
        };
        let mut known = Known::default();
        for (index, running) in indices.running_in(number) {
            if let Some(place) = assigned(index, running) {
                stored.push(index, running.past, &place, &mut known);
            }
        }
        stored
    }

    fn push<'a>(&mut self, index: u32, past: Past, place: &Borrowed<'a>, known: &mut Known<'a>) {
        let agents = &mut self.agents;
        let agent = *known.agents.entry(place.agent).or_insert_with(|| {
            agents.push((place.agent.into(), place.hostname.into()));
            last(agents)
        });
        let resources = &mut self.resources;
        let resources = *known.resources.entry(place.resources).or_insert_with(|| {
            resources.push(place.resources.clone());
            last(resources)
        });
        self.running.push(StoredAttempt {
            index,
            past,
            agent,
            resources,
            ports: place.ports.to_vec(),
            started_at: place.started_at,
        });
    }

    /// Puts a block back; `found` makes the instance of each attempt that ran. What is damaged is left out.
    pub(crate) fn restore(
        self,
        number: u32,
        indices: &mut Indices,
        now: Wall,
        mut found: impl FnMut(u32, Past, Assignment) -> InstanceKey,
    ) {
        indices.restore_block(number, self.ended);
        let is_here = |index: u32| index / BLOCK == number;
        for (index, waiting) in self.waiting {
            if is_here(index) {
                indices.restore_waiting(index, waiting, now);
            }
        }
        for attempt in self.running {
            let agent = self.agents.get(attempt.agent as usize);
            let resources = self.resources.get(attempt.resources as usize);
            let (Some((agent, hostname)), Some(resources)) = (agent, resources) else {
                continue;
            };
            if !is_here(attempt.index) {
                continue;
            }
            let assignment = Assignment {
                agent: agent.clone(),
                hostname: hostname.clone(),
                resources: resources.clone(),
                ports: attempt.ports,
                started_at: attempt.started_at,
            };
            let running = Running {
                past: attempt.past,
                instance: found(attempt.index, attempt.past, assignment),
            };
            indices.restore_running(attempt.index, running);
        }
    }
}

/// Where in a block something is that several attempts share.
#[derive(Default)]
struct Known<'a> {
    agents: FxHashMap<&'a str, u32>,
    resources: FxHashMap<&'a Bytes, u32>,
}

fn last<T>(list: &[T]) -> u32 {
    u32::try_from(list.len() - 1).expect("256 at most")
}

/// An [`Assignment`] that belongs to others.
pub(crate) struct Borrowed<'a> {
    pub(crate) agent: &'a str,
    pub(crate) hostname: &'a str,
    pub(crate) resources: &'a Bytes,
    pub(crate) ports: &'a [u16],
    pub(crate) started_at: Wall,
}
