//! The order of turns by chance instead of by share: weighted among roles, even among the frameworks of a role.

use super::turns::{Seat, Visitor};
use super::{ROOT, RoleTree};
use crate::config::Sorter;
use crate::dice::Dice;
use crate::ids::{Leaf, LeafNumber, RoleIndex};
use std::ops::ControlFlow;

/// The chance of the root, of which those of the roles are parts.
const WHOLE: u128 = 1 << 96;

/// By what the turns are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sorters {
    pub(crate) roles: Sorter,
    pub(crate) frameworks: Sorter,
}

impl RoleTree {
    /// Visits the active clients in an order that is in part or wholly by chance.
    pub(crate) fn walk_by_chance<V: Visitor>(
        &self,
        sorters: Sorters,
        dice: &mut Dice,
        visitor: &mut V,
    ) -> ControlFlow<V::End> {
        if sorters.roles == Sorter::Drf {
            let mut shuffled = Shuffled {
                tree: self,
                dice,
                visitor,
                role: None,
            };
            return self.walk(&mut shuffled);
        }
        let mut roles = Vec::new();
        self.gather(ROOT, WHOLE, &mut roles);
        while let Some(role) = dice.draw(&mut roles) {
            let entered = self
                .lineage(role)
                .all(|role| visitor.enter(role, self.node(role)));
            if entered {
                self.walk_clients(role, sorters.frameworks, dice, visitor)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// The roles with active frameworks of their own, each with its chance: at every level its weight among its siblings.
    fn gather(&self, role: RoleIndex, chance: u128, into: &mut Vec<(u128, RoleIndex)>) {
        let node = self.node(role);
        let own = (node.active_own > 0).then_some(u128::from(crate::share::UNIT_WEIGHT));
        let children = node.children.iter().filter_map(|child| {
            let node = self.node(*child);
            (node.active_subtree > 0).then_some((u128::from(node.weight), *child))
        });
        let children: Vec<(u128, RoleIndex)> = children.collect();
        let sum = own.unwrap_or(0) + children.iter().map(|(weight, _)| weight).sum::<u128>();
        // Divided first, so that no product leaves 128 bits: 2^96 times a weight could.
        let part = |weight: u128| ((chance >> 32) * weight / sum.max(1)) << 32;
        if let Some(weight) = own {
            into.push((part(weight), role));
        }
        for (weight, child) in children {
            self.gather(child, part(weight), into);
        }
    }

    fn walk_clients<V: Visitor>(
        &self,
        role: RoleIndex,
        sorter: Sorter,
        dice: &mut Dice,
        visitor: &mut V,
    ) -> ControlFlow<V::End> {
        let mut seats: Vec<(u128, Seat)> = self.seats(role).map(|seat| (1, seat)).collect();
        if sorter == Sorter::Drf {
            for (_, seat) in seats {
                visitor.visit(leaf(role, seat), seat.number)?;
            }
            return ControlFlow::Continue(());
        }
        while let Some(seat) = dice.draw(&mut seats) {
            visitor.visit(leaf(role, seat), seat.number)?;
        }
        ControlFlow::Continue(())
    }
}

fn leaf(role: RoleIndex, seat: Seat) -> Leaf {
    Leaf {
        framework: seat.framework,
        role,
    }
}

/// Takes the roles in the order of their shares, and the frameworks of each by chance.
struct Shuffled<'a, V> {
    tree: &'a RoleTree,
    dice: &'a mut Dice,
    visitor: &'a mut V,
    /// The role whose frameworks were visited last; the walk comes to all of a role in a row.
    role: Option<RoleIndex>,
}

impl<V: Visitor> Visitor for Shuffled<'_, V> {
    type End = V::End;

    fn enter(&mut self, role: RoleIndex, node: &super::RoleNode) -> bool {
        self.visitor.enter(role, node)
    }

    fn visit(&mut self, leaf: Leaf, _: LeafNumber) -> ControlFlow<V::End> {
        if self.role == Some(leaf.role) {
            return ControlFlow::Continue(());
        }
        self.role = Some(leaf.role);
        self.tree
            .walk_clients(leaf.role, Sorter::Random, self.dice, self.visitor)
    }
}
