//! What is wanted is stated, changed and withdrawn.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cache::Cache;
use super::judge::packing;
use super::queue::Pending;
use super::shapes::{Shape, ShapeKey};
use super::{Demand, DemandKey, DemandPlacement};
use crate::ids::{FrameworkIndex, Leaf, LeafNumber};
use crate::scheduler::Scheduler;
use crate::tree::Phase;

/// The number of one that takes turns with its demands only.
const NO_OFFERS: LeafNumber = LeafNumber(u32::MAX);

impl Scheduler {
    /// States anew how much is wanted under a key, in place of what was stated before.
    ///
    /// The count is what is wanted beyond the placements that the caller has taken
    /// ([`Scheduler::take_placement`]); those that it has not taken yet are counted against it. A demand whose shape
    /// and priority stay the same keeps its turn.
    pub fn set_demand(&mut self, framework: FrameworkIndex, key: DemandKey, mut demand: Demand) {
        demand.count = demand.count.saturating_sub(self.queue.untaken(key));
        if demand.count == 0 {
            return self.withdraw(key);
        }
        if let Some(pending) = self.queue.get_mut(key)
            && pending.leaf.framework == framework
            && is_alike(&pending.demand, &demand)
        {
            pending.demand.count = demand.count;
            pending.demand.preempts = demand.preempts;
            pending.demand.preemptible = demand.preemptible;
            let shape = pending.shape;
            // Fewer may find room at once.
            if demand.gang {
                self.queue.unblock(shape);
            }
            return;
        }
        self.withdraw(key);
        let leaf = Leaf {
            framework,
            role: self.roles.intern(&demand.role),
        };
        let shape = self.new_shape(ShapeKey::of(leaf, key, &demand), &demand);
        let shape = self.queue.shape(shape);
        let turn = self.queue.last_turn(key, demand.priority);
        self.queue.insert(Pending {
            leaf,
            shape,
            turn,
            demand,
            starves_since: None,
        });
        self.take_turns(leaf);
    }

    fn new_shape(&mut self, key: ShapeKey, demand: &Demand) -> Shape {
        let quantities = demand.request.quantities();
        let needs = quantities.iter();
        let needs = needs.map(|(name, amount)| (self.names.intern(name), amount.0));
        let needs = needs.collect();
        Shape {
            key,
            needs,
            quantities,
            is_exact: demand
                .request
                .iter()
                .any(|own| own.as_scalar().is_none() || own.traits().is_some()),
            wants_gpus: !demand.request.scalar("gpus").is_zero(),
            packing: packing(self, demand.rules.packing, &demand.role),
            turns: BTreeSet::new(),
            victims_sought_ns: None,
            candidates: Cache::default(),
            seen: Cache::default(),
        }
    }

    /// Nothing is wanted under a key any more. Placements that were made but not taken stay.
    pub fn withdraw(&mut self, key: DemandKey) {
        let Some(pending) = self.queue.remove(key) else {
            return;
        };
        self.drop_earmarks_of_demand(key);
        if !self.queue.has(pending.leaf) {
            self.leave_turns(pending.leaf);
        }
    }

    /// The next placement, oldest first.
    pub fn take_placement(&mut self) -> Option<DemandPlacement> {
        self.queue.take_placement()
    }

    /// How many instances are wanted under a key and have no place yet.
    pub fn wanted(&self, key: DemandKey) -> u64 {
        self.queue
            .get(key)
            .map_or(0, |pending| pending.demand.count)
    }

    /// How often all agents were looked at for a demand since this ledger was made, copied or restored.
    pub fn demand_scans(&self) -> u64 {
        self.queue.scans.0
    }

    /// Withdraws all demands of a framework.
    pub(crate) fn withdraw_all(&mut self, framework: FrameworkIndex) {
        let own = self.queue.iter();
        let own = own.filter(|(_, pending)| pending.leaf.framework == framework);
        let own: Vec<DemandKey> = own.map(|(key, _)| key).collect();
        for key in own {
            self.withdraw(key);
        }
    }

    fn take_turns(&mut self, leaf: Leaf) {
        let active = |client: &crate::tree::Client| client.phase == Phase::Active;
        if self.roles.client(leaf).is_some_and(active) {
            return;
        }
        if self.number(leaf).is_none() {
            self.roles.number_client(leaf, NO_OFFERS);
        }
        self.roles.set_phase(leaf, Phase::Active);
    }

    fn leave_turns(&mut self, leaf: Leaf) {
        if !self.wants(leaf) {
            self.roles.set_phase(leaf, Phase::Idle);
        }
        if self.number(leaf).is_none() {
            self.roles.forget_client(leaf);
        }
    }

    /// A framework's number in a role changes while demands may keep it in the turns.
    pub(crate) fn renumber(&mut self, leaf: Leaf, number: Option<LeafNumber>) {
        let phase = self.roles.client(leaf).map(|client| client.phase);
        self.roles.set_phase(leaf, Phase::Idle);
        let number = number.unwrap_or(NO_OFFERS);
        self.roles.number_client(leaf, number);
        self.roles.set_phase(leaf, phase.unwrap_or_default());
    }
}

/// Whether two statements differ in no more than the count and what it takes to preempt.
fn is_alike(one: &Demand, other: &Demand) -> bool {
    one.role == other.role
        && one.priority == other.priority
        && one.gang == other.gang
        && one.group == other.group
        && one.ports == other.ports
        && (Arc::ptr_eq(&one.request, &other.request) || one.request == other.request)
        && (Arc::ptr_eq(&one.rules, &other.rules) || one.rules == other.rules)
}
