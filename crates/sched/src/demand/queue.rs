//! The demands that wait, by leaf and shape, and the order of their turns within a leaf.
//!
//! Of each shape the first demand stands in the order of its leaf, unless nothing fits the shape: then all demands of
//! the shape are set aside until something has changed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::cache::{Cache, Changes};
use super::instances::Instances;
use super::shapes::{Shape, ShapeIndex, Shapes, Turn};
use super::waiting::Ending;
use super::{Demand, DemandKey, DemandPlacement, Eviction, GroupKey};
use crate::ids::Leaf;

/// A demand that waits.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Pending {
    pub(crate) leaf: Leaf,
    pub(crate) shape: ShapeIndex,
    pub(crate) turn: Turn,
    pub(crate) demand: Demand,
    /// Since when nothing fits, if it was tried in vain since its last placement.
    pub(crate) starves_since: Option<u64>,
}

/// The demands of one framework in one role.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct LeafQueue {
    /// The first demand of each shape that is not set aside.
    open: BTreeSet<(Turn, ShapeIndex)>,
    demands: u64,
}

/// Why a shape is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Block {
    /// The role may not take as much.
    Quota,
    /// No agent fits.
    Agents,
}

/// All demands.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Queue {
    demands: BTreeMap<DemandKey, Pending>,
    leaves: BTreeMap<Leaf, LeafQueue>,
    pub(crate) shapes: Shapes,
    /// The leaves with a shape that is not set aside.
    open: BTreeSet<Leaf>,
    blocked: BTreeMap<ShapeIndex, Block>,
    pub(crate) instances: Instances,
    turns: u64,
    placed: VecDeque<DemandPlacement>,
    pub(super) evictions: VecDeque<Eviction>,
    pub(super) ending: Ending,
    /// Nothing is to end for anybody's sake.
    pub(super) evicts_nothing: bool,
    /// When work that could end for somebody is next to be looked for, though nothing else changes.
    pub(crate) search_ns: Option<u64>,
    /// Those that all agents together could not hold.
    pub(super) hopeless: BTreeSet<DemandKey>,
    /// How many of the placements of each demand nobody has taken yet.
    untaken: BTreeMap<DemandKey, u64>,
    #[serde(skip)]
    pub(crate) changes: Cache<Changes>,
    /// The shapes that know their candidates, in the order in which they last looked at all agents.
    #[serde(skip)]
    pub(crate) informed: Cache<VecDeque<ShapeIndex>>,
    /// How often all agents were looked at for a shape.
    #[serde(skip)]
    pub(crate) scans: Cache<u64>,
}

impl Queue {
    /// Demands in a range of keys, with how many instances each still wants.
    pub(crate) fn within(
        &self,
        first: DemandKey,
        last: DemandKey,
    ) -> impl Iterator<Item = (DemandKey, u64)> {
        let found = self.demands.range(first..=last);
        found.map(|(key, pending)| (*key, pending.demand.count))
    }

    pub(crate) fn get(&self, key: DemandKey) -> Option<&Pending> {
        self.demands.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: DemandKey) -> Option<&mut Pending> {
        self.demands.get_mut(&key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (DemandKey, &Pending)> {
        self.demands.iter().map(|(key, pending)| (*key, pending))
    }

    /// Whether a leaf has demands, set aside or not.
    pub(crate) fn has(&self, leaf: Leaf) -> bool {
        self.leaves.contains_key(&leaf)
    }

    /// Whether a leaf has something to try.
    pub(crate) fn is_open(&self, leaf: Leaf) -> bool {
        !self.open.is_empty() && self.open.contains(&leaf)
    }

    pub(crate) fn is_any_open(&self) -> bool {
        !self.open.is_empty()
    }

    pub(crate) fn open_leaves(&self) -> &BTreeSet<Leaf> {
        &self.open
    }

    /// Whose turn it is within a leaf.
    pub(super) fn head(&self, leaf: Leaf) -> Option<(Turn, ShapeIndex)> {
        self.leaves.get(&leaf)?.open.first().copied()
    }

    pub(super) fn blocked(&self) -> Vec<(ShapeIndex, Block)> {
        let blocked = self.blocked.iter();
        blocked.map(|(shape, block)| (*shape, *block)).collect()
    }

    pub(super) fn block_of(&self, shape: ShapeIndex) -> Option<Block> {
        self.blocked.get(&shape).copied()
    }

    /// The place at the end of those of equal priority.
    pub(super) fn last_turn(&mut self, demand: DemandKey, priority: i32) -> Turn {
        self.turns += 1;
        Turn {
            priority: Reverse(priority),
            number: self.turns,
            demand,
        }
    }

    pub(super) fn insert(&mut self, pending: Pending) {
        let (key, shape, turn) = (pending.turn.demand, pending.shape, pending.turn);
        self.leaves.entry(pending.leaf).or_default().demands += 1;
        self.demands.insert(key, pending);
        self.change_turns(shape, |turns| {
            turns.insert(turn);
        });
        // A higher priority may do what a lower one may not.
        if self.shapes.get(shape).turns.first() == Some(&turn) {
            self.unblock(shape);
        }
    }

    /// Forgets a demand, and its shape with the last one.
    pub(super) fn remove(&mut self, key: DemandKey) -> Option<Pending> {
        let pending = self.demands.remove(&key)?;
        self.hopeless.remove(&key);
        self.change_turns(pending.shape, |turns| {
            turns.remove(&pending.turn);
        });
        if self.shapes.get(pending.shape).turns.is_empty() {
            self.blocked.remove(&pending.shape);
            self.shapes.remove(pending.shape);
        }
        if let Some(leaf) = self.leaves.get_mut(&pending.leaf) {
            leaf.demands -= 1;
            if leaf.demands == 0 {
                self.leaves.remove(&pending.leaf);
            }
        }
        Some(pending)
    }

    /// Gives a demand another turn.
    pub(super) fn requeue(&mut self, key: DemandKey, priority: i32) {
        let turn = self.last_turn(key, priority);
        let Some(pending) = self.demands.get_mut(&key) else {
            return;
        };
        let former = std::mem::replace(&mut pending.turn, turn);
        let shape = pending.shape;
        self.change_turns(shape, |turns| {
            turns.remove(&former);
            turns.insert(turn);
        });
    }

    /// Changes the demands of a shape and keeps the order of its leaf in line.
    fn change_turns(&mut self, index: ShapeIndex, change: impl FnOnce(&mut BTreeSet<Turn>)) {
        let shape = self.shapes.get_mut(index);
        let before = shape.turns.first().copied();
        change(&mut shape.turns);
        let after = shape.turns.first().copied();
        if before != after && !self.blocked.contains_key(&index) {
            let leaf = shape.key.leaf;
            self.relist(leaf, index, before, after);
        }
    }

    fn relist(&mut self, leaf: Leaf, shape: ShapeIndex, before: Option<Turn>, after: Option<Turn>) {
        let Some(queue) = self.leaves.get_mut(&leaf) else {
            return;
        };
        if let Some(turn) = before {
            queue.open.remove(&(turn, shape));
        }
        if let Some(turn) = after {
            queue.open.insert((turn, shape));
        }
        if queue.open.is_empty() {
            self.open.remove(&leaf);
        } else {
            self.open.insert(leaf);
        }
    }

    /// Sets all demands of a shape aside.
    pub(super) fn block(&mut self, index: ShapeIndex, block: Block) {
        let shape = self.shapes.get(index);
        let (leaf, head) = (shape.key.leaf, shape.turns.first().copied());
        if self.blocked.insert(index, block).is_none() {
            self.relist(leaf, index, head, None);
        }
    }

    /// Has the demands of a shape tried again.
    pub(super) fn unblock(&mut self, index: ShapeIndex) {
        let shape = self.shapes.get(index);
        let (leaf, head) = (shape.key.leaf, shape.turns.first().copied());
        if self.blocked.remove(&index).is_some() {
            self.relist(leaf, index, None, head);
        }
    }

    /// Something about where the instances of a group run has changed.
    pub(super) fn wake_watchers(&mut self, group: GroupKey) {
        let blocked = self.blocked.keys().copied();
        let watching = blocked.filter(|shape| self.shapes.get(*shape).key.watches(group));
        for shape in watching.collect::<Vec<_>>() {
            self.unblock(shape);
        }
    }

    /// Has work that could end for somebody looked for then at the latest.
    pub(super) fn search_by(&mut self, due_ns: u64) {
        let due_ns = self.search_ns.map_or(due_ns, |own| own.min(due_ns));
        self.search_ns = Some(due_ns);
    }

    pub(super) fn push_placement(&mut self, placement: DemandPlacement) {
        *self.untaken.entry(placement.demand).or_insert(0) += 1;
        self.placed.push_back(placement);
    }

    pub(super) fn take_placement(&mut self) -> Option<DemandPlacement> {
        let placement = self.placed.pop_front()?;
        if let Some(untaken) = self.untaken.get_mut(&placement.demand) {
            *untaken -= 1;
            if *untaken == 0 {
                self.untaken.remove(&placement.demand);
            }
        }
        Some(placement)
    }

    pub(super) fn untaken(&self, key: DemandKey) -> u64 {
        self.untaken.get(&key).copied().unwrap_or(0)
    }

    /// Whether the orders are what they would be if made anew.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.instances.check()?;
        let mut leaves: BTreeMap<Leaf, LeafQueue> = BTreeMap::new();
        let mut turns: BTreeMap<ShapeIndex, BTreeSet<Turn>> = BTreeMap::new();
        for (key, pending) in &self.demands {
            leaves.entry(pending.leaf).or_default().demands += 1;
            turns.entry(pending.shape).or_default().insert(pending.turn);
            if pending.turn.demand != *key || pending.demand.count == 0 {
                return Err(format!("demand {} is listed wrongly", key.0));
            }
        }
        for (index, shape) in self.shapes.iter() {
            if turns.remove(&index).as_ref() != Some(&shape.turns) {
                return Err("the demands of a shape are listed wrongly".to_owned());
            }
            let leaf = leaves.entry(shape.key.leaf).or_default();
            if let (false, Some(head)) = (self.blocked.contains_key(&index), shape.turns.first()) {
                leaf.open.insert((*head, index));
            }
        }
        let open = leaves.iter().filter(|(_, leaf)| !leaf.open.is_empty());
        let open: BTreeSet<Leaf> = open.map(|(leaf, _)| *leaf).collect();
        if leaves != self.leaves || open != self.open {
            return Err("the order of demands is stale".to_owned());
        }
        Ok(())
    }
}

impl Queue {
    /// The shape of a demand, made if it is the first of its kind.
    pub(super) fn shape(&mut self, shape: Shape) -> ShapeIndex {
        match self.shapes.find(&shape.key) {
            Some(index) => index,
            None => self.shapes.add(shape),
        }
    }
}
