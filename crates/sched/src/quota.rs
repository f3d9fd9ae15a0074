//! Quota: limits that hold over a whole subtree of roles, and guarantees that keep headroom.

use crate::ids::RoleIndex;
use crate::scalars::NameTable;
use crate::scheduler::Scheduler;
use crate::tree::{ROOT, RoleNode};
use mezz_resource::{Name, Quantities, Resource, Resources, Scalar, Value};

/// Upper bounds by name; unlike [`Quantities`] a bound may be zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits(Vec<(Name, Scalar)>);

impl Limits {
    /// The bounds in the order given.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, Scalar)> {
        self.0.iter().map(|(name, scalar)| (name, *scalar))
    }
}

impl FromIterator<(Name, Scalar)> for Limits {
    fn from_iter<I: IntoIterator<Item = (Name, Scalar)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl From<&Quantities> for Limits {
    fn from(quantities: &Quantities) -> Self {
        quantities
            .iter()
            .map(|(name, scalar)| (name.clone(), scalar))
            .collect()
    }
}

/// The quota of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quota {
    /// What is held back for the subtree.
    pub guarantees: Quantities,
    /// What the subtree may never exceed.
    pub limits: Limits,
}

/// A quota by the places of the name table.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct QuotaRule {
    pub(crate) guarantees: Vec<(usize, i64)>,
    pub(crate) limits: Vec<(usize, i64)>,
}

impl RoleNode {
    /// What counts against the quota: all reservations, and what is offered or used of the rest.
    pub(crate) fn consumed(&self, index: usize) -> i64 {
        self.charged
            .get(index)
            .saturating_add(self.reserved.get(index))
    }
}

/// How much of each unreserved scalar a role may take now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Room {
    /// What the limits leave.
    pub(crate) limit: Vec<i64>,
    /// What the limits and the headroom of others leave.
    pub(crate) all: Vec<i64>,
    /// What the guarantees of the role and its ancestors still lack.
    pub(crate) guaranteed: Vec<i64>,
}

impl Room {
    /// Whether the role has a claim that others must make room for.
    pub(crate) fn has_claim(&self) -> bool {
        self.guaranteed.iter().any(|lack| *lack > 0)
    }
}

impl Scheduler {
    /// Sets the quota of a role; an empty one takes it away.
    pub fn set_quota(&mut self, role: &str, guarantees: &Quantities, limits: impl Into<Limits>) {
        let limits: Limits = limits.into();
        let index = self.roles.intern(role);
        let rule = QuotaRule {
            guarantees: guarantees
                .iter()
                .map(|(name, scalar)| (self.names.intern(name), scalar.0))
                .collect(),
            limits: limits
                .iter()
                .map(|(name, scalar)| (self.names.intern(name), scalar.0))
                .collect(),
        };
        let rule = (rule != QuotaRule::default()).then_some(rule);
        let node = self.roles.node_mut(index);
        let guarantees = |rule: &Option<QuotaRule>| {
            usize::from(
                rule.as_ref()
                    .is_some_and(|rule| !rule.guarantees.is_empty()),
            )
        };
        self.quotas = self.quotas + usize::from(rule.is_some()) - usize::from(node.quota.is_some());
        self.guarantees = self.guarantees + guarantees(&rule) - guarantees(&node.quota);
        node.quota = rule;
        self.roles.prune(index);
        self.mark_all_free();
    }

    /// How much a role may take now; none when no quota bears on it.
    ///
    /// `lacking` is what all guarantees together still lack, see [`Scheduler::lacking_total`].
    pub(crate) fn room(&self, role: RoleIndex, lacking: Option<&[i64]>) -> Option<Room> {
        let bears = |role| self.roles.node(role).quota.is_some();
        if self.quotas == 0 || (lacking.is_none() && !self.roles.lineage(role).any(bears)) {
            return None;
        }
        let size = self.names.len();
        let (mut limit, mut guaranteed) = (vec![i64::MAX; size], vec![0; size]);
        for role in self.roles.lineage(role) {
            let node = self.roles.node(role);
            let Some(quota) = &node.quota else { continue };
            for (index, bound) in &quota.limits {
                let left = bound.saturating_sub(node.consumed(*index)).max(0);
                limit[*index] = limit[*index].min(left);
            }
            for (index, guarantee) in &quota.guarantees {
                let lack = guarantee.saturating_sub(node.consumed(*index));
                guaranteed[*index] = guaranteed[*index].max(lack);
            }
        }
        let spare = |index: usize| match lacking.map_or(0, |lacking| lacking[index]) {
            0 => i64::MAX,
            lacking => self
                .unreserved_free
                .get(index)
                .saturating_sub(lacking)
                .max(0),
        };
        let all = (0..size)
            .map(|index| limit[index].min(guaranteed[index].saturating_add(spare(index))))
            .collect();
        Some(Room {
            limit,
            all,
            guaranteed,
        })
    }

    /// What all guarantees together still lack; none when nothing is guaranteed.
    pub(crate) fn lacking_total(&self) -> Option<Vec<i64>> {
        (self.guarantees > 0).then(|| self.lacking(ROOT))
    }

    /// What the guarantees of a subtree still lack; a parent's covers its children's.
    fn lacking(&self, role: RoleIndex) -> Vec<i64> {
        let node = self.roles.node(role);
        let mut sum = vec![0i64; self.names.len()];
        for child in &node.children {
            for (own, child) in sum.iter_mut().zip(self.lacking(*child)) {
                *own = own.saturating_add(child);
            }
        }
        for (index, guarantee) in node.quota.iter().flat_map(|quota| &quota.guarantees) {
            sum[*index] = sum[*index].max(guarantee.saturating_sub(node.consumed(*index)));
        }
        sum
    }
}

/// Cuts the unreserved, firm scalars of a list down to the room; what cannot be cut is left out.
pub(crate) fn chop(resources: &Resources, room: &[i64], names: &NameTable) -> Resources {
    let mut left = room.to_vec();
    let mut chopped = Resources::new();
    chopped.extend(
        resources
            .iter()
            .filter_map(|resource| chop_one(resource, &mut left, names)),
    );
    chopped
}

fn chop_one(resource: &Resource, left: &mut [i64], names: &NameTable) -> Option<Resource> {
    let exempt = resource.reservation_role().is_some() || resource.is_revocable();
    let (Some(amount), false) = (resource.as_scalar(), exempt) else {
        return Some(resource.clone());
    };
    let Some(room) = names
        .find(resource.name())
        .and_then(|index| left.get_mut(index))
    else {
        return Some(resource.clone());
    };
    let taken = amount.0.min(*room);
    if taken < amount.0 && resource.is_indivisible() {
        return None;
    }
    *room -= taken;
    Some(resource.clone().with_value(Value::Scalar(Scalar(taken))))
}
