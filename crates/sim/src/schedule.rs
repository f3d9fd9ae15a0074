//! What is going to happen, in the order of virtual time; what was scheduled first happens first among equals.

use std::collections::BTreeMap;

use mezz_agent_core::LaunchId;
use mezz_core::event::TimerKey;
use mezz_core::key::{Generation, Token};

/// Which end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Master,
    Peer,
}

/// Something that is going to happen.
#[derive(Clone, Debug)]
pub(crate) enum Occurrence {
    MasterStart,
    /// A master that stood still goes on.
    MasterResumes {
        life: u64,
    },
    /// A deposed master learns that it is.
    Fenced {
        life: u64,
    },
    MasterTimer {
        life: u64,
        key: TimerKey,
        generation: Generation,
    },
    /// The disk is through with everything up to this token.
    Synced {
        life: u64,
        token: Token,
    },
    /// Bytes reach one end of a link.
    Deliver {
        link: u64,
        to: End,
        bytes: Vec<u8>,
    },
    /// One end notices that a link is over.
    Closed {
        link: u64,
        at: End,
    },
    AgentStart {
        agent: usize,
    },
    AgentWake {
        agent: usize,
        life: u64,
    },
    /// The attempt to reach the master ends.
    AgentDialled {
        agent: usize,
        life: u64,
    },
    /// The agent's shell reports something of its own machine.
    AgentReport {
        agent: usize,
        life: u64,
        event: Box<mezz_agent_core::Event>,
    },
    ContainerExit {
        agent: usize,
        launch_id: LaunchId,
        wait_status: i32,
    },
    /// A custom executor does its next step.
    ExecutorStep {
        agent: usize,
        launch_id: LaunchId,
    },
    FrameworkDial {
        framework: usize,
    },
    /// A framework does something of its own accord.
    FrameworkTurn {
        framework: usize,
    },
    Acknowledge {
        framework: usize,
        task: String,
        uuid: Vec<u8>,
    },
    /// A user does something.
    UserTurn,
    /// Something goes wrong, or an operator does something.
    Fault,
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    queue: BTreeMap<(u64, u64), Occurrence>,
    next: u64,
}

impl Schedule {
    pub(crate) fn at(&mut self, time_ns: u64, occurrence: Occurrence) {
        self.next += 1;
        self.queue.insert((time_ns, self.next), occurrence);
    }

    /// The next one, if it happens by then.
    pub(crate) fn pop_until(&mut self, end_ns: u64) -> Option<(u64, Occurrence)> {
        let first = self.queue.first_entry()?;
        let (at, _) = *first.key();
        (at <= end_ns).then(|| (at, first.remove()))
    }
}
