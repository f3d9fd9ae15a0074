//! One launch in the warden's memory, and the slots through which children report.
//!
//! Owns the data; what happens to it is decided in the warden's handlers.

use crate::child::ReportSlot;
use crate::protocol::{Exit, LaunchPhase, LaunchState};
use crate::sys;
use crate::tree::TreeId;
use mezz_launch_plan::{LaunchId, Leftovers, Survival};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// One launch.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) id: LaunchId,
    pub(crate) tree: TreeId,
    pub(crate) survival: Survival,
    pub(crate) leftovers: Leftovers,
    pub(crate) phase: Phase,
    /// Gone once the process is reaped.
    pub(crate) pidfd: Option<OwnedFd>,
    /// Our ends of the streams that are pipes, kept so that the agent never holds the only one.
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) outputs: Vec<OwnedFd>,
    /// Where the init of a pid namespace writes how the program ended.
    pub(crate) init_status: Option<OwnedFd>,
    /// Since when it has ended without the kernel saying how; only of processes that are not our children.
    pub(crate) unclear_since: Option<Instant>,
}

/// Where a launch is in its life.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The child is between clone and exec.
    Launching(Launching),
    Running,
    Exited(Exit),
}

/// What belongs to a child that has not executed yet.
#[derive(Debug)]
pub(crate) struct Launching {
    /// Closes when the child executes or ends.
    pub(crate) report: OwnedFd,
    pub(crate) slot: u32,
    /// The step that the running deadline is for.
    pub(crate) step: (u32, u32),
    pub(crate) step_deadline: Duration,
    /// What the parts of a step are called.
    pub(crate) details: Vec<String>,
}

impl Launch {
    pub(crate) fn state(&self) -> LaunchState {
        let phase = match &self.phase {
            Phase::Launching(_) => LaunchPhase::Launching,
            Phase::Running => LaunchPhase::Running,
            Phase::Exited(exit) => LaunchPhase::Exited(*exit),
        };
        let pid = if let Phase::Exited(exit) = &self.phase {
            exit.pid
        } else {
            self.tree.pid
        };
        LaunchState {
            launch_id: self.id,
            pid,
            start_ticks: self.tree.start_ticks,
            phase,
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        !matches!(self.phase, Phase::Exited(_))
    }

    /// Copies of the pipes' ends for the agent, in the order stdin, stdout, stderr.
    pub(crate) fn share_pipes(&self) -> io::Result<Vec<OwnedFd>> {
        self.stdin
            .iter()
            .chain(&self.outputs)
            .map(OwnedFd::try_clone)
            .collect()
    }
}

/// The pages that children report through.
#[derive(Debug)]
pub(crate) struct ReportSlots {
    base: *const ReportSlot,
    free: Vec<u32>,
}

/// How far a child came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) step: u32,
    pub(crate) errno: u32,
    pub(crate) detail: u32,
}

impl Report {
    /// Changes whenever the child comes further.
    pub(crate) fn progress(self) -> (u32, u32) {
        (self.step, self.detail)
    }

    /// What the child was about, by the names of the parts.
    pub(crate) fn what(self, details: &[String]) -> &str {
        let index = usize::try_from(self.detail).unwrap_or(0);
        let name = index.checked_sub(1).and_then(|index| details.get(index));
        name.map_or("", String::as_str)
    }
}

impl ReportSlots {
    /// How many children can be between clone and exec at once; more wait.
    const COUNT: u32 = 1024;

    pub(crate) fn new() -> io::Result<Self> {
        let base = sys::shared_pages(Self::COUNT as usize * size_of::<ReportSlot>())?
            .cast_const()
            .cast();
        Ok(Self {
            base,
            free: (0..Self::COUNT).rev().collect(),
        })
    }

    /// Takes a slot and clears it.
    pub(crate) fn take(&mut self) -> Option<u32> {
        let slot = self.free.pop()?;
        self.get(slot).step.store(0, Ordering::Release);
        self.get(slot).errno.store(0, Ordering::Release);
        self.get(slot).detail.store(0, Ordering::Release);
        Some(slot)
    }

    pub(crate) fn any_free(&self) -> bool {
        !self.free.is_empty()
    }

    pub(crate) fn give_back(&mut self, slot: u32) {
        self.free.push(slot);
    }

    pub(crate) fn get(&self, slot: u32) -> &ReportSlot {
        assert!(slot < Self::COUNT, "slots are only handed out by take");
        // SAFETY: the mapping lives as long as the process, holds COUNT slots, and all its fields are atomics.
        unsafe { &*self.base.add(slot as usize) }
    }

    pub(crate) fn report(&self, slot: u32) -> Report {
        let slot = self.get(slot);
        Report {
            step: slot.step.load(Ordering::Acquire),
            errno: slot.errno.load(Ordering::Acquire),
            detail: slot.detail.load(Ordering::Acquire),
        }
    }
}
