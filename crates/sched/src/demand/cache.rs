//! What can be found out anew at any time: it is never written into a snapshot and never compared.

use crate::ids::AgentIndex;

/// Something that a copy, or a restored ledger, starts without.
#[derive(Debug, Default)]
pub(crate) struct Cache<T>(pub(crate) T);

impl<T: Default> Clone for Cache<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> PartialEq for Cache<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// How an agent changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// What is free there, or which instances run there.
    Contents(AgentIndex),
    /// What it is: it came, went, or has other attributes.
    Kind(AgentIndex),
}

/// So many are remembered at least.
const FEW: usize = 256;

/// The newest changes of agents, numbered; each reader remembers up to where it has read.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    base: u64,
    list: Vec<Change>,
}

impl Changes {
    pub(crate) fn note(&mut self, change: Change, agents: usize) {
        // Whoever is so far behind looks at all agents anew, which costs no more.
        if self.list.len() >= FEW.max(2 * agents) {
            self.base = self.end();
            self.list.clear();
        }
        self.list.push(change);
    }

    pub(crate) fn end(&self) -> u64 {
        self.base + self.list.len() as u64
    }

    /// What came after a number; none when that is forgotten.
    pub(crate) fn since(&self, cursor: u64) -> Option<&[Change]> {
        let skip = usize::try_from(cursor.checked_sub(self.base)?).ok()?;
        self.list.get(skip..)
    }
}
