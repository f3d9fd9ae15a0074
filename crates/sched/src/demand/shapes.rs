//! Shapes: demands that go to the same agents for the same reasons share what is known of the agents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mezz_resource::{Quantities, Resources};

use super::cache::Cache;
use super::candidates::Candidates;
use super::{Demand, DemandKey, GroupKey, Packing, PortsWanted, Rules};
use crate::ids::{FrameworkIndex, Leaf, Slot};

/// A shape, by a dense number that later ones take over.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub(crate) struct ShapeIndex(u32);

impl Slot for ShapeIndex {
    fn slot(self) -> usize {
        self.0 as usize
    }
}

/// All that decides which agents a demand may go to, and which is best.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) struct ShapeKey {
    pub(crate) leaf: Leaf,
    pub(crate) request: Arc<Resources>,
    pub(crate) ports: PortsWanted,
    pub(crate) rules: Arc<Rules>,
    /// When the rules count instances of the group.
    pub(crate) group: Option<GroupKey>,
    /// A gang has agents of its own.
    pub(crate) gang: Option<DemandKey>,
}

impl ShapeKey {
    pub(crate) fn of(leaf: Leaf, key: DemandKey, demand: &Demand) -> Self {
        let rules = &demand.rules;
        let named = |groups: &Vec<GroupKey>| groups.contains(&demand.group);
        let counts = !rules.spread.is_empty()
            || !rules.same.is_empty()
            || rules.near.iter().any(named)
            || named(&rules.away);
        Self {
            leaf,
            request: Arc::clone(&demand.request),
            ports: demand.ports.clone(),
            rules: Arc::clone(rules),
            group: counts.then_some(demand.group),
            gang: demand.gang.then_some(key),
        }
    }

    /// Whether it matters where instances of a group run.
    pub(crate) fn watches(&self, group: GroupKey) -> bool {
        self.group == Some(group)
            || self.rules.near.iter().flatten().any(|own| *own == group)
            || self.rules.away.contains(&group)
    }
}

/// When a demand has its turn within its leaf: the highest priority first, then whoever waits longest.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub(crate) struct Turn {
    pub(crate) priority: std::cmp::Reverse<i32>,
    pub(crate) number: u64,
    pub(crate) demand: DemandKey,
}

/// The demands that have everything in common but whose they are.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Shape {
    pub(crate) key: ShapeKey,
    /// The scalars of the request, by the places of the name table.
    pub(crate) needs: Vec<(usize, i64)>,
    pub(crate) quantities: Quantities,
    /// Whether the request holds more than scalars.
    pub(crate) is_exact: bool,
    pub(crate) wants_gpus: bool,
    pub(crate) packing: Packing,
    pub(crate) turns: BTreeSet<Turn>,
    /// When work to be ended for its sake was last looked for, since it was set aside.
    pub(crate) victims_sought_ns: Option<u64>,
    #[serde(skip)]
    pub(crate) candidates: Cache<Option<Box<Candidates>>>,
    /// Without candidates: up to which change nothing was found.
    #[serde(skip)]
    pub(crate) seen: Cache<Option<u64>>,
}

/// All shapes.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Shapes {
    by_key: BTreeMap<ShapeKey, ShapeIndex>,
    entries: Vec<Option<Shape>>,
    vacant: Vec<ShapeIndex>,
}

impl Shapes {
    pub(crate) fn find(&self, key: &ShapeKey) -> Option<ShapeIndex> {
        self.by_key.get(key).copied()
    }

    pub(crate) fn add(&mut self, shape: Shape) -> ShapeIndex {
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(None);
            ShapeIndex(u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 shapes"))
        });
        self.by_key.insert(shape.key.clone(), index);
        self.entries[index.slot()] = Some(shape);
        index
    }

    pub(crate) fn remove(&mut self, index: ShapeIndex) {
        if let Some(shape) = self.entries[index.slot()].take() {
            self.by_key.remove(&shape.key);
            self.vacant.push(index);
        }
    }

    /// The shape of an index, which callers hold only while it has demands.
    pub(crate) fn get(&self, index: ShapeIndex) -> &Shape {
        self.entries[index.slot()]
            .as_ref()
            .expect("a shape lives as long as its demands")
    }

    pub(crate) fn get_mut(&mut self, index: ShapeIndex) -> &mut Shape {
        self.entries[index.slot()]
            .as_mut()
            .expect("a shape lives as long as its demands")
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ShapeIndex, &Shape)> {
        self.by_key.values().map(|index| (*index, self.get(*index)))
    }

    /// Drops what is known of the agents for one shape, if it is still there.
    pub(crate) fn forget_candidates_of(&mut self, index: ShapeIndex) {
        if let Some(Some(shape)) = self.entries.get_mut(index.slot()) {
            shape.candidates.0 = None;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Drops what is known of the agents for one framework.
    pub(crate) fn forget_candidates(&mut self, framework: FrameworkIndex) {
        let shapes = self.entries.iter_mut().flatten();
        for shape in shapes.filter(|shape| shape.key.leaf.framework == framework) {
            shape.candidates.0 = None;
            shape.seen.0 = None;
        }
    }
}
