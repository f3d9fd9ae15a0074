//! Dense numbers for every framework in each of its roles, and what is kept by them.

use crate::bits::Bits;
use crate::ids::{AgentIndex, Leaf, LeafNumber, Slot, grow};

/// A framework in one of its roles.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct LeafEntry {
    pub(crate) leaf: Leaf,
    /// The agents that its constraints admit, when they look at host names.
    hosts: Option<Bits>,
}

/// All frameworks in all of their roles.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Leaves {
    entries: Vec<Option<LeafEntry>>,
    vacant: Vec<LeafNumber>,
    /// Those whose constraints look at host names.
    choosy: Vec<LeafNumber>,
    /// Those that want offers.
    pub(crate) active: Bits,
}

impl Leaves {
    pub(crate) fn add(&mut self, leaf: Leaf) -> LeafNumber {
        let number = self.vacant.pop().unwrap_or_else(|| {
            LeafNumber(u32::try_from(self.entries.len()).expect("fewer than 2^32 subscriptions"))
        });
        grow(&mut self.entries, number.slot());
        self.entries[number.slot()] = Some(LeafEntry { leaf, hosts: None });
        number
    }

    pub(crate) fn remove(&mut self, number: LeafNumber) {
        self.set_hosts(number, None);
        self.active.set(number.slot(), false);
        self.entries[number.slot()] = None;
        self.vacant.push(number);
    }

    pub(crate) fn get(&self, number: LeafNumber) -> Option<&LeafEntry> {
        self.entries.get(number.slot())?.as_ref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (LeafNumber, &LeafEntry)> {
        (0u32..)
            .zip(&self.entries)
            .filter_map(|(number, entry)| Some((LeafNumber(number), entry.as_ref()?)))
    }

    pub(crate) fn choosy(&self) -> &[LeafNumber] {
        &self.choosy
    }

    pub(crate) fn set_hosts(&mut self, number: LeafNumber, hosts: Option<Bits>) {
        self.choosy.retain(|own| *own != number);
        if hosts.is_some() {
            self.choosy.push(number);
        }
        if let Some(Some(entry)) = self.entries.get_mut(number.slot()) {
            entry.hosts = hosts;
        }
    }

    pub(crate) fn admit_host(&mut self, number: LeafNumber, agent: AgentIndex, admitted: bool) {
        if let Some(Some(LeafEntry {
            hosts: Some(hosts), ..
        })) = self.entries.get_mut(number.slot())
        {
            hosts.set(agent.slot(), admitted);
        }
    }

    pub(crate) fn admits_host(&self, number: LeafNumber, agent: AgentIndex) -> bool {
        self.choosy.is_empty()
            || self
                .get(number)
                .and_then(|entry| entry.hosts.as_ref())
                .is_none_or(|hosts| hosts.has(agent.slot()))
    }
}
