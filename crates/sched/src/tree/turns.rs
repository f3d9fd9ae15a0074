//! The order of turns: who is next below each role.
//!
//! The orders are kept up to date change by change; only when the totals of the cluster change are
//! they computed anew, before the next cycle.

use super::visit::Visitor;
use super::{Client, Phase, ROOT, RoleNode, RoleTree, Tally};
use crate::ids::{FrameworkIndex, Leaf, LeafNumber, RoleIndex, Slot};
use crate::scalars::NameTable;
use crate::share::{Rate, Share, UNIT_WEIGHT};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::ControlFlow;

/// One of the siblings that take turns below a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Entry {
    /// The frameworks of the role itself.
    Own,
    /// A child role.
    Role(RoleIndex),
}

/// A framework among those of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Seat {
    pub(super) framework: FrameworkIndex,
    pub(super) number: LeafNumber,
}

/// An item with the key that places it in the order.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Ranked<T> {
    share: Share,
    count: u64,
    item: T,
}

impl<T: Copy> Ranked<T> {
    fn new(tally: &Tally, item: T) -> Self {
        Self {
            share: tally.share,
            count: tally.count,
            item,
        }
    }

    fn compare(&self, other: &Self, tie: impl Fn(T, T) -> Ordering) -> Ordering {
        self.share
            .compare(&other.share)
            .then(self.count.cmp(&other.count))
            .then_with(|| tie(self.item, other.item))
    }
}

/// So many in front are looked through one by one.
const FEW: usize = 8;

/// Items in the order of their turns.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Turns<T>(Vec<Ranked<T>>);

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + PartialEq> Turns<T> {
    fn insert(&mut self, ranked: Ranked<T>, tie: impl Fn(T, T) -> Ordering) {
        let at = self
            .0
            .partition_point(|own| own.compare(&ranked, &tie) == Ordering::Less);
        self.0.insert(at, ranked);
    }

    fn remove(&mut self, ranked: Ranked<T>, tie: impl Fn(T, T) -> Ordering) {
        let at = self.place_of(&ranked, &tie);
        debug_assert!(self.0.get(at).is_some_and(|own| own.item == ranked.item));
        if at < self.0.len() {
            self.0.remove(at);
        }
    }

    /// Moves an item to where its new rank belongs.
    fn reposition(&mut self, from: Ranked<T>, to: Ranked<T>, tie: impl Fn(T, T) -> Ordering) {
        let at = self.place_of(&from, &tie);
        let Some(item) = self.0.get_mut(at) else {
            return;
        };
        debug_assert!(item.item == from.item);
        *item = to;
        let is_before = |own: &Ranked<T>| own.compare(&to, &tie) == Ordering::Less;
        // Most often it stays between its neighbours.
        if self.0.get(at + 1).is_some_and(is_before) {
            let last = self.0.len() - 1;
            // Or it goes to the end, since it has just been served.
            let passed = if is_before(&self.0[last]) {
                last - at
            } else {
                1 + self.0[at + 2..last].partition_point(is_before)
            };
            self.0[at..=at + passed].rotate_left(1);
        } else if at > 0 && !is_before(&self.0[at - 1]) {
            let before = self.0[..at - 1].partition_point(is_before);
            self.0[before..=at].rotate_right(1);
        }
    }

    fn place_of(&self, ranked: &Ranked<T>, tie: impl Fn(T, T) -> Ordering) -> usize {
        let is_it = |own: &Ranked<T>| own.item == ranked.item;
        let front = &self.0[..self.0.len().min(FEW)];
        front.iter().position(is_it).unwrap_or_else(|| {
            self.0
                .partition_point(|own| own.compare(ranked, &tie) == Ordering::Less)
        })
    }

    fn sort(&mut self, tie: impl Fn(T, T) -> Ordering) {
        self.0.sort_by(|left, right| left.compare(right, &tie));
    }
}

fn seat(framework: FrameworkIndex, client: &Client) -> Seat {
    Seat {
        framework,
        number: client.number,
    }
}

fn by_framework(left: Seat, right: Seat) -> Ordering {
    left.framework.cmp(&right.framework)
}

/// Whether the orders reflect the shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Orders {
    Fresh,
    Stale,
}

impl RoleTree {
    pub(super) fn count_active(&mut self, role: RoleIndex, change: i32) {
        self.shift_listing(role, Entry::Own, change, |node| &mut node.active_own);
        let mut child = role;
        while let Some(parent) = self.node(child).parent {
            self.shift_listing(parent, Entry::Role(child), change, |node| {
                &mut node.active_subtree
            });
            child = parent;
        }
    }

    /// Counts one active client more or less under an entry, and lists or unlists it accordingly.
    fn shift_listing(
        &mut self,
        parent: RoleIndex,
        entry: Entry,
        change: i32,
        counter: impl Fn(&mut RoleNode) -> &mut u32,
    ) {
        let node = match entry {
            Entry::Own => parent,
            Entry::Role(role) => role,
        };
        let before = *counter(self.node_mut(node));
        let after = before.saturating_add_signed(change);
        if after == 0 {
            self.unlist(parent, entry);
        }
        *counter(self.node_mut(node)) = after;
        if before == 0 {
            self.list(parent, entry);
        }
    }

    fn is_listed(&self, parent: RoleIndex, entry: Entry) -> bool {
        self.orders == Orders::Fresh
            && match entry {
                Entry::Own => self.node(parent).active_own > 0,
                Entry::Role(role) => self.node(role).active_subtree > 0,
            }
    }

    fn tally(&self, parent: RoleIndex, entry: Entry) -> &Tally {
        match entry {
            Entry::Own => &self.node(parent).own,
            Entry::Role(role) => &self.node(role).subtree,
        }
    }

    /// The frameworks of a role itself come first on a tie: `.` sorts before every name.
    fn by_entry_path(&self, left: Entry, right: Entry) -> Ordering {
        let path = |entry| match entry {
            Entry::Own => "",
            Entry::Role(role) => &*self.node(role).path,
        };
        path(left).cmp(path(right))
    }

    pub(super) fn list(&mut self, parent: RoleIndex, entry: Entry) {
        if !self.is_listed(parent, entry) {
            return;
        }
        if entry == Entry::Own {
            self.weigh(entry, parent);
        }
        let ranked = Ranked::new(self.tally(parent, entry), entry);
        let mut turns = std::mem::take(&mut self.node_mut(parent).turns);
        if let [only] = turns.0.as_mut_slice() {
            self.weigh(only.item, parent);
            *only = Ranked::new(self.tally(parent, only.item), only.item);
        }
        turns.insert(ranked, |left, right| self.by_entry_path(left, right));
        self.node_mut(parent).turns = turns;
    }

    /// Takes an entry out of the order; says whether it was in.
    pub(super) fn unlist(&mut self, parent: RoleIndex, entry: Entry) -> bool {
        if !self.is_listed(parent, entry) {
            return false;
        }
        let ranked = Ranked::new(self.tally(parent, entry), entry);
        let mut turns = std::mem::take(&mut self.node_mut(parent).turns);
        turns.remove(ranked, |left, right| self.by_entry_path(left, right));
        self.node_mut(parent).turns = turns;
        true
    }

    /// Computes the share of an entry; stale ones are all computed later.
    pub(super) fn weigh(&mut self, entry: Entry, parent: RoleIndex) {
        if self.orders == Orders::Stale {
            return;
        }
        let slot = match entry {
            Entry::Own => parent,
            Entry::Role(role) => role,
        };
        let Some(node) = self.nodes[slot.slot()].as_mut() else {
            return;
        };
        match entry {
            Entry::Own => node.own.weigh(&self.rates, UNIT_WEIGHT),
            Entry::Role(_) => node.subtree.weigh(&self.rates, node.weight),
        }
    }

    pub(super) fn retally(&mut self, parent: RoleIndex, entry: Entry, change: impl Fn(&mut Tally)) {
        let from = Ranked::new(self.tally(parent, entry), entry);
        match entry {
            Entry::Own => change(&mut self.node_mut(parent).own),
            Entry::Role(role) => change(&mut self.node_mut(role).subtree),
        }
        // What has no siblings to take turns with is weighed when the first of them comes.
        if entry == Entry::Own && self.node(parent).turns.0.len() <= 1 {
            return;
        }
        self.weigh(entry, parent);
        if self.is_listed(parent, entry) {
            let to = Ranked::new(self.tally(parent, entry), entry);
            let mut turns = std::mem::take(&mut self.node_mut(parent).turns);
            turns.reposition(from, to, |left, right| self.by_entry_path(left, right));
            self.node_mut(parent).turns = turns;
        }
    }

    pub(super) fn list_client(&mut self, leaf: Leaf) {
        if self.orders == Orders::Stale {
            return;
        }
        let node = self.node_mut(leaf.role);
        let Some(client) = node.clients.get(&leaf.framework) else {
            return;
        };
        let ranked = Ranked::new(&client.tally, seat(leaf.framework, client));
        node.client_turns.insert(ranked, by_framework);
    }

    pub(super) fn unlist_client(&mut self, leaf: Leaf) {
        if self.orders == Orders::Stale {
            return;
        }
        let node = self.node_mut(leaf.role);
        let Some(client) = node.clients.get(&leaf.framework) else {
            return;
        };
        let ranked = Ranked::new(&client.tally, seat(leaf.framework, client));
        node.client_turns.remove(ranked, by_framework);
    }

    pub(super) fn retally_client(&mut self, leaf: Leaf, change: impl Fn(&mut Tally)) {
        let Some(node) = self.nodes[leaf.role.slot()].as_mut() else {
            return;
        };
        let client = node.clients.entry(leaf.framework).or_default();
        let from = Ranked::new(&client.tally, seat(leaf.framework, client));
        change(&mut client.tally);
        if self.orders == Orders::Stale {
            return;
        }
        client.tally.weigh(&self.rates, UNIT_WEIGHT);
        if client.phase == Phase::Active {
            let to = Ranked::new(&client.tally, seat(leaf.framework, client));
            node.client_turns.reposition(from, to, by_framework);
        }
    }

    /// The tree with shares that hold, whether or not the totals have just changed.
    pub(crate) fn freshened(&self, names: &NameTable) -> Cow<'_, Self> {
        if self.orders == Orders::Fresh {
            return Cow::Borrowed(self);
        }
        let mut fresh = self.clone();
        fresh.freshen(names);
        Cow::Owned(fresh)
    }

    /// Computes all shares and orders anew when the totals have changed.
    pub(crate) fn freshen(&mut self, names: &NameTable) {
        if self.orders == Orders::Fresh {
            return;
        }
        let totals = (0..names.len()).map(|index| {
            let counts = names.is_fair(index);
            Rate::of(if counts { self.totals.get(index) } else { 0 })
        });
        self.rates = totals.collect();
        for node in self.nodes.iter_mut().flatten() {
            node.own.weigh(&self.rates, UNIT_WEIGHT);
            node.subtree.weigh(&self.rates, node.weight);
            node.client_turns.0.clear();
            for (framework, client) in &mut node.clients {
                client.tally.weigh(&self.rates, UNIT_WEIGHT);
                if client.phase == Phase::Active {
                    node.client_turns
                        .0
                        .push(Ranked::new(&client.tally, seat(*framework, client)));
                }
            }
            node.client_turns.sort(by_framework);
        }
        self.orders = Orders::Fresh;
        for slot in 0..self.nodes.len() {
            let Some(node) = &self.nodes[slot] else {
                continue;
            };
            let role = RoleIndex(u32::try_from(slot).expect("fewer than 2^32 roles"));
            let entries = node
                .children
                .iter()
                .map(|child| Entry::Role(*child))
                .chain([Entry::Own]);
            let listed = entries.filter(|entry| self.is_listed(role, *entry));
            let mut turns = Turns(
                listed
                    .map(|entry| Ranked::new(self.tally(role, entry), entry))
                    .collect(),
            );
            turns.sort(|left, right| self.by_entry_path(left, right));
            self.node_mut(role).turns = turns;
        }
    }

    /// The active frameworks of a role, in the order of their turns.
    pub(super) fn seats(&self, role: RoleIndex) -> impl Iterator<Item = Seat> + '_ {
        let turns = &self.node(role).client_turns.0;
        turns.iter().map(|ranked| ranked.item)
    }

    /// Visits the active clients in the order of their turns.
    pub(crate) fn walk<V: Visitor>(&self, visitor: &mut V) -> ControlFlow<V::End> {
        self.walk_node(ROOT, visitor)
    }

    fn walk_node<V: Visitor>(&self, role: RoleIndex, visitor: &mut V) -> ControlFlow<V::End> {
        let node = self.node(role);
        for ranked in &node.turns.0 {
            match ranked.item {
                Entry::Role(child) => {
                    if visitor.enter(child, self.node(child)) {
                        self.walk_node(child, visitor)?;
                    }
                }
                Entry::Own => {
                    for client in &node.client_turns.0 {
                        let leaf = Leaf {
                            framework: client.item.framework,
                            role,
                        };
                        visitor.visit(leaf, client.item.number)?;
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }
}
