//! The tree of roles with what each subtree, role and framework holds, and the order of turns.
//!
//! Siblings are ordered by weighted dominant share, then by how often they were served, then by
//! path. A role that has frameworks of its own and child roles competes with its children as the
//! entry [`Entry::Own`], of weight 1.

mod chance;
mod turns;
mod visit;

use crate::ids::{FrameworkIndex, Leaf, LeafNumber, RoleIndex, Slot};
use crate::quota::QuotaRule;
use crate::scalars::{Delta, Scalars, Sign};
use crate::share::{Rate, Share, UNIT_WEIGHT};
use std::collections::BTreeMap;
use std::sync::Arc;
use turns::{Orders, Turns};

pub(crate) use chance::Sorters;
pub(crate) use turns::Entry;
use turns::Seat;
pub(crate) use visit::Visitor;

/// The nameless parent of all top-level roles.
pub(crate) const ROOT: RoleIndex = RoleIndex(0);

/// What is held somewhere in the tree, and how often it was served.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Tally {
    pub(crate) held: Scalars,
    pub(crate) count: u64,
    pub(crate) share: Share,
}

impl Tally {
    fn apply(&mut self, delta: &Scalars, sign: Sign) {
        self.held.apply(delta, sign);
        if sign == Sign::Plus {
            self.count += 1;
        }
    }

    fn weigh(&mut self, rates: &[Rate], weight: u64) {
        self.share = Share::dominant(&self.held, rates, weight);
    }
}

/// Whether a client takes part in the turns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Phase {
    Active,
    #[default]
    Idle,
}

/// A framework in one role.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Client {
    pub(crate) tally: Tally,
    pub(crate) phase: Phase,
    number: LeafNumber,
}

/// A role.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct RoleNode {
    pub(crate) path: Arc<str>,
    pub(crate) parent: Option<RoleIndex>,
    pub(crate) children: Vec<RoleIndex>,
    /// In millionths.
    pub(crate) weight: u64,
    pub(crate) quota: Option<QuotaRule>,
    pub(crate) clients: BTreeMap<FrameworkIndex, Client>,
    /// What the role's own frameworks hold.
    pub(crate) own: Tally,
    /// What the whole subtree holds.
    pub(crate) subtree: Tally,
    /// Unreserved and firm, offered or used, of the whole subtree.
    pub(crate) charged: Scalars,
    /// Unreserved and firm, used, of the whole subtree.
    pub(crate) used: Scalars,
    /// Reserved for the subtree, whether used or not.
    pub(crate) reserved: Scalars,
    /// How many roles of the subtree have guarantees.
    pub(crate) guarantees_below: u32,
    /// How many frameworks of the subtree set a minimum of their own.
    pub(crate) minimums_below: u32,
    active_own: u32,
    active_subtree: u32,
    turns: Turns<Entry>,
    client_turns: Turns<Seat>,
}

impl RoleNode {
    fn new(path: Arc<str>, parent: Option<RoleIndex>) -> Self {
        Self {
            path,
            parent,
            children: Vec::new(),
            weight: UNIT_WEIGHT,
            quota: None,
            clients: BTreeMap::new(),
            own: Tally::default(),
            subtree: Tally::default(),
            charged: Scalars::default(),
            used: Scalars::default(),
            reserved: Scalars::default(),
            guarantees_below: 0,
            minimums_below: 0,
            active_own: 0,
            active_subtree: 0,
            turns: Turns::default(),
            client_turns: Turns::default(),
        }
    }

    fn is_unused(&self) -> bool {
        self.clients.is_empty()
            && self.children.is_empty()
            && self.weight == UNIT_WEIGHT
            && self.quota.is_none()
            && self.subtree.held.is_zero()
            && self.reserved.is_zero()
            && self.used.is_zero()
            && self.parent.is_some()
    }
}

/// The tree.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct RoleTree {
    nodes: Vec<Option<RoleNode>>,
    vacant: Vec<RoleIndex>,
    by_path: BTreeMap<Arc<str>, RoleIndex>,
    totals: Scalars,
    /// What shares are parts of, by the places of the name table; holds while the orders do.
    rates: Vec<Rate>,
    orders: Orders,
}

impl RoleTree {
    pub(crate) fn new() -> Self {
        Self {
            nodes: vec![Some(RoleNode::new("".into(), None))],
            vacant: Vec::new(),
            by_path: BTreeMap::new(),
            totals: Scalars::default(),
            rates: Vec::new(),
            orders: Orders::Fresh,
        }
    }

    pub(crate) fn totals(&self) -> &Scalars {
        &self.totals
    }

    /// Changes what the whole cluster has; all shares change with it.
    pub(crate) fn change_totals(&mut self, delta: &Scalars, sign: Sign) {
        self.totals.apply(delta, sign);
        self.orders = Orders::Stale;
    }

    pub(crate) fn find(&self, path: &str) -> Option<RoleIndex> {
        self.by_path.get(path).copied()
    }

    /// The node of a role that may be gone.
    pub(crate) fn get(&self, role: RoleIndex) -> Option<&RoleNode> {
        self.nodes.get(role.slot())?.as_ref()
    }

    /// The node of a role, which callers hold only while it exists.
    pub(crate) fn node(&self, role: RoleIndex) -> &RoleNode {
        self.nodes[role.slot()]
            .as_ref()
            .expect("a role index lives as long as its node")
    }

    pub(crate) fn node_mut(&mut self, role: RoleIndex) -> &mut RoleNode {
        self.nodes[role.slot()]
            .as_mut()
            .expect("a role index lives as long as its node")
    }

    /// The roles in the order of their paths.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RoleIndex, &RoleNode)> {
        self.by_path.values().map(|role| (*role, self.node(*role)))
    }

    pub(crate) fn intern(&mut self, path: &str) -> RoleIndex {
        if let Some(role) = self.find(path) {
            return role;
        }
        let parent = match path.rfind('/') {
            Some(at) => self.intern(&path[..at]),
            None => ROOT,
        };
        let path: Arc<str> = path.into();
        let node = RoleNode::new(Arc::clone(&path), Some(parent));
        let role = if let Some(role) = self.vacant.pop() {
            self.nodes[role.slot()] = Some(node);
            role
        } else {
            self.nodes.push(Some(node));
            RoleIndex(u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 roles"))
        };
        self.by_path.insert(path, role);
        self.node_mut(parent).children.push(role);
        role
    }

    /// Forgets a role, and ancestors, that nothing refers to any more.
    pub(crate) fn prune(&mut self, role: RoleIndex) {
        let mut next = Some(role);
        while let Some(role) = next.filter(|role| self.node(*role).is_unused()) {
            let Some(node) = self.nodes[role.slot()].take() else {
                return;
            };
            self.by_path.remove(&node.path);
            self.vacant.push(role);
            if let Some(parent) = node.parent {
                self.node_mut(parent)
                    .children
                    .retain(|child| *child != role);
            }
            next = node.parent;
        }
    }

    /// The role and its ancestors, without the root.
    pub(crate) fn lineage(&self, role: RoleIndex) -> impl Iterator<Item = RoleIndex> + '_ {
        std::iter::successors(Some(role), |role| self.node(*role).parent)
            .filter(|role| *role != ROOT)
    }

    pub(crate) fn client(&self, leaf: Leaf) -> Option<&Client> {
        self.node(leaf.role).clients.get(&leaf.framework)
    }

    /// Adds or takes away what a client holds, all the way up.
    pub(crate) fn apply(&mut self, leaf: Leaf, delta: &Delta, sign: Sign) {
        self.retally_client(leaf, |tally| tally.apply(&delta.all, sign));
        self.retally(leaf.role, Entry::Own, |tally| {
            tally.apply(&delta.all, sign);
        });
        let mut child = leaf.role;
        while let Some(parent) = self.node(child).parent {
            self.node_mut(child).charged.apply(&delta.charged, sign);
            self.retally(parent, Entry::Role(child), |tally| {
                tally.apply(&delta.all, sign);
            });
            child = parent;
        }
    }

    /// Changes what is reserved for, or used by, a role and so its ancestors.
    pub(crate) fn apply_upwards(
        &mut self,
        role: RoleIndex,
        delta: &Scalars,
        sign: Sign,
        field: impl Fn(&mut RoleNode) -> &mut Scalars,
    ) {
        let mut next = Some(role);
        while let Some(role) = next {
            let node = self.node_mut(role);
            field(node).apply(delta, sign);
            next = node.parent;
        }
    }

    pub(crate) fn set_weight(&mut self, role: RoleIndex, weight: u64) {
        let Some(parent) = self.node(role).parent else {
            return;
        };
        let active = self.unlist(parent, Entry::Role(role));
        self.node_mut(role).weight = weight;
        self.weigh(Entry::Role(role), role);
        if active {
            self.list(parent, Entry::Role(role));
        }
    }

    /// Counts guarantees or minimums that came or went, all the way up.
    pub(crate) fn count_upwards(
        &mut self,
        role: RoleIndex,
        change: i32,
        counter: impl Fn(&mut RoleNode) -> &mut u32,
    ) {
        let mut next = Some(role);
        while let Some(role) = next {
            let node = self.node_mut(role);
            let counter = counter(node);
            *counter = counter.saturating_add_signed(change);
            next = node.parent;
        }
    }

    /// Tells the number of a client before it takes part in the turns.
    pub(crate) fn number_client(&mut self, leaf: Leaf, number: LeafNumber) {
        let clients = &mut self.node_mut(leaf.role).clients;
        clients.entry(leaf.framework).or_default().number = number;
    }

    /// Lets a client take part in the turns, or not.
    pub(crate) fn set_phase(&mut self, leaf: Leaf, phase: Phase) {
        let client = self
            .node_mut(leaf.role)
            .clients
            .entry(leaf.framework)
            .or_default();
        if client.phase == phase {
            return;
        }
        match phase {
            Phase::Active => {
                client.phase = phase;
                self.list_client(leaf);
                self.count_active(leaf.role, 1);
            }
            Phase::Idle => {
                self.unlist_client(leaf);
                self.count_active(leaf.role, -1);
                if let Some(client) = self.node_mut(leaf.role).clients.get_mut(&leaf.framework) {
                    client.phase = phase;
                }
            }
        }
    }

    /// Forgets an idle client that holds nothing.
    pub(crate) fn forget_client(&mut self, leaf: Leaf) {
        let node = self.node_mut(leaf.role);
        let idle = |client: &Client| client.phase == Phase::Idle && client.tally.held.is_zero();
        if node.clients.get(&leaf.framework).is_some_and(idle) {
            node.clients.remove(&leaf.framework);
            self.prune(leaf.role);
        }
    }
}
