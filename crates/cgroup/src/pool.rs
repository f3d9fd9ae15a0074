//! Groups made ahead of time and removed later, so that no launch and no end waits for the kernel.
//!
//! Groups are never used twice: the kernel's counters of a used group cannot all be reset, and pages of its files stay
//! charged to it.

use crate::group::{Group, Left};
use crate::groups::{GroupError, Groups};
use crate::layout::{GroupName, GroupNameError};
use crate::limits::Limits;
use crate::plan::Inner;
use std::collections::VecDeque;

/// Ready groups, and groups on their way out.
#[derive(Debug)]
pub struct Pool {
    groups: Groups,
    /// All names begin with it: what a sweep after a crash looks for.
    prefix: String,
    /// What all have from the beginning.
    base: Limits,
    next: u64,
    target: usize,
    ready: VecDeque<Group>,
    going: VecDeque<Group>,
}

impl Pool {
    /// A pool that keeps so many groups ready, whose names begin with the prefix and which have these limits.
    pub fn new(
        groups: Groups,
        prefix: &str,
        base: Limits,
        target: usize,
    ) -> Result<Self, GroupNameError> {
        GroupName::new(format!("{prefix}0"))?;
        Ok(Self {
            groups,
            prefix: prefix.to_owned(),
            base,
            next: 0,
            target,
            ready: VecDeque::new(),
            going: VecDeque::new(),
        })
    }

    /// A ready group; `None` if there is none, and one has to be made.
    pub fn take(&mut self) -> Option<Group> {
        self.ready.pop_front()
    }

    /// Makes at most so many groups, up to the target; says how many are missing then. A name that is in use is passed
    /// over.
    pub fn refill(&mut self, most: usize) -> Result<usize, GroupError> {
        let wanted = self.target.saturating_sub(self.ready.len());
        for _ in 0..wanted.min(most) {
            let group = self.make()?;
            self.ready.push_back(group);
        }
        Ok(self.target.saturating_sub(self.ready.len()))
    }

    fn make(&mut self) -> Result<Group, GroupError> {
        loop {
            let name = format!("{}{}", self.prefix, self.next);
            self.next += 1;
            let name = GroupName::new(name).expect("the prefix was looked at with a number");
            let layout = self.groups.layout();
            if layout.directories(&name).iter().any(|path| path.exists()) {
                continue;
            }
            let made = self.groups.create(&name, Inner::None, &self.base);
            return made.map(|(group, _)| group);
        }
    }

    /// Takes over a group whose processes have ended or are to be killed.
    pub fn retire(&mut self, group: Group) {
        self.going.push_back(group);
    }

    /// Tries to remove at most so many of the retired; says how many are left.
    pub fn reap(&mut self, most: usize) -> usize {
        for _ in 0..most.min(self.going.len()) {
            let Some(group) = self.going.pop_front() else {
                break;
            };
            if group.kill_once() == Left::Something {
                self.going.push_back(group);
            }
        }
        self.going.len()
    }

    /// How many are ready.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }
}
