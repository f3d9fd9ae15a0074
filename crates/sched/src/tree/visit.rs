//! Whoever visits the active frameworks in the order of their turns.

use super::turns::Orders;
use super::{RoleNode, RoleTree};
use crate::ids::{Leaf, LeafNumber, RoleIndex};
use crate::scalars::NameTable;
use std::ops::ControlFlow;

/// Who walks the turns.
pub(crate) trait Visitor {
    /// What the walk may end with.
    type End;

    /// Whether the frameworks of a role and its subtree are worth a visit.
    fn enter(&mut self, role: RoleIndex, node: &RoleNode) -> bool;

    /// One framework in its role has its turn.
    fn visit(&mut self, leaf: Leaf, number: LeafNumber) -> ControlFlow<Self::End>;
}

/// Notes the order itself.
struct Order(Vec<Leaf>);

impl Visitor for Order {
    type End = ();

    fn enter(&mut self, _: RoleIndex, _: &RoleNode) -> bool {
        true
    }

    fn visit(&mut self, leaf: Leaf, _: LeafNumber) -> ControlFlow<()> {
        self.0.push(leaf);
        ControlFlow::Continue(())
    }
}

impl RoleTree {
    /// Whether the cached shares and orders are what they would be if computed anew.
    pub(crate) fn is_consistent(&self, names: &NameTable) -> bool {
        let mut anew = self.clone();
        anew.orders = Orders::Stale;
        anew.freshen(names);
        let order = |tree: &Self| {
            let mut order = Order(Vec::new());
            let _ = tree.walk(&mut order);
            order.0
        };
        self.orders == Orders::Stale || order(self) == order(&anew)
    }
}
