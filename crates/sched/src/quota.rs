//! Quota: limits that hold over a whole subtree of roles, and guarantees that keep headroom.

use crate::ids::RoleIndex;
use crate::scalars::{NameTable, Scalars, Sign};
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
    /// Whether the quota of this very role guarantees something.
    pub(crate) fn guarantees(&self) -> bool {
        has_guarantees(self.quota.as_ref())
    }

    /// Whether the limits leave less than the least that is offered; `least` by the places of the name table.
    pub(crate) fn is_spent(&self, least: &[Vec<(usize, i64)>]) -> bool {
        let Some(rule) = &self.quota else {
            return false;
        };
        let left = |index| {
            let limit = rule.limits.iter().find(|(own, _)| *own == index);
            limit.map_or(i64::MAX, |(_, bound)| {
                bound.saturating_sub(self.consumed(index))
            })
        };
        let short = |wanted: &Vec<(usize, i64)>| {
            wanted.iter().any(|(index, amount)| left(*index) < *amount)
        };
        !least.is_empty() && least.iter().all(short)
    }

    pub(crate) fn has_limits(&self) -> bool {
        self.quota
            .as_ref()
            .is_some_and(|rule| !rule.limits.is_empty())
    }

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
    pub(crate) limit: Scalars,
    /// What the limits and the headroom of others leave.
    pub(crate) all: Scalars,
    /// What the guarantees of the role and its ancestors still lack.
    guaranteed: Scalars,
}

impl Room {
    /// Whether the role has a claim that others must make room for.
    pub(crate) fn has_claim(&self) -> bool {
        self.guaranteed.iter().any(|(_, lack)| lack > 0)
    }

    /// Whether so much may be taken as it stands.
    pub(crate) fn holds(&self, charged: &Scalars) -> bool {
        charged
            .iter()
            .all(|(index, amount)| amount == 0 || amount <= self.all.get(index))
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
        let former = std::mem::replace(&mut node.quota, rule);
        let now = node.quota.is_some();
        let guarantees = i32::from(node.guarantees()) - i32::from(has_guarantees(former.as_ref()));
        self.quotas = self.quotas + usize::from(now) - usize::from(former.is_some());
        self.guarantees = self
            .guarantees
            .saturating_add_signed(guarantees.try_into().unwrap_or(0));
        self.roles
            .count_upwards(index, guarantees, |node| &mut node.guarantees_below);
        self.roles.prune(index);
        self.mark_all_free();
    }

    /// How much a role may take now; none when no quota bears on it.
    ///
    /// `lacking` is what all guarantees together still lack, see [`Scheduler::lacking_total`].
    pub(crate) fn room(&self, role: RoleIndex, lacking: Option<&Scalars>) -> Option<Room> {
        if self.quotas == 0 || (lacking.is_none() && !self.is_limited(role)) {
            return None;
        }
        let size = self.names.len();
        let mut limit = Scalars::filled(size, i64::MAX);
        let mut guaranteed = Scalars::filled(size, 0);
        for role in self.roles.lineage(role) {
            let node = self.roles.node(role);
            let Some(quota) = &node.quota else { continue };
            for (index, bound) in &quota.limits {
                let left = bound.saturating_sub(node.consumed(*index)).max(0);
                let slot = limit.slot(*index);
                *slot = left.min(*slot);
            }
            for (index, guarantee) in &quota.guarantees {
                let lack = guarantee.saturating_sub(node.consumed(*index));
                let slot = guaranteed.slot(*index);
                *slot = lack.max(*slot);
            }
        }
        let mut all = limit.clone();
        for (index, lacking) in lacking.iter().flat_map(|lacking| lacking.iter()) {
            if lacking > 0 {
                let free = self.unreserved_free.get(index);
                let spare = free.saturating_sub(lacking).max(0);
                let most = guaranteed.get(index).saturating_add(spare);
                let slot = all.slot(index);
                *slot = most.min(*slot);
            }
        }
        Some(Room {
            limit,
            all,
            guaranteed,
        })
    }

    fn is_limited(&self, role: RoleIndex) -> bool {
        let mut lineage = self.roles.lineage(role);
        lineage.any(|role| self.roles.node(role).quota.is_some())
    }

    /// Whether something is guaranteed to the role or one above it.
    pub(crate) fn is_guaranteed(&self, role: RoleIndex) -> bool {
        let mut lineage = self.roles.lineage(role);
        lineage.any(|role| self.roles.node(role).guarantees())
    }

    /// What all guarantees together still lack; none when nothing is.
    pub(crate) fn lacking_total(&self) -> Option<Scalars> {
        if self.guarantees == 0 {
            return None;
        }
        Some(self.lacking(ROOT)).filter(|lacking| !lacking.is_zero())
    }

    /// What the guarantees of a subtree still lack; a parent's covers its children's.
    fn lacking(&self, role: RoleIndex) -> Scalars {
        let node = self.roles.node(role);
        let mut sum = Scalars::default();
        for child in &node.children {
            if self.roles.node(*child).guarantees_below > 0 {
                sum.apply(&self.lacking(*child), Sign::Plus);
            }
        }
        for (index, guarantee) in node.quota.iter().flat_map(|quota| &quota.guarantees) {
            let lack = guarantee.saturating_sub(node.consumed(*index));
            let slot = sum.slot(*index);
            *slot = lack.max(*slot);
        }
        sum
    }
}

fn has_guarantees(rule: Option<&QuotaRule>) -> bool {
    rule.is_some_and(|rule| !rule.guarantees.is_empty())
}

/// Cuts the unreserved, firm scalars of a list down to the room; what cannot be cut is left out.
pub(crate) fn chop(resources: &Resources, room: &Scalars, names: &NameTable) -> Resources {
    let mut left = room.clone();
    let mut chopped = Resources::new();
    chopped.extend(
        resources
            .iter()
            .filter_map(|resource| chop_one(resource, &mut left, names)),
    );
    chopped
}

fn chop_one(resource: &Resource, left: &mut Scalars, names: &NameTable) -> Option<Resource> {
    let exempt = resource.reservation_role().is_some() || resource.is_revocable();
    let (Some(amount), false) = (resource.as_scalar(), exempt) else {
        return Some(resource.clone());
    };
    let Some(index) = names.find(resource.name()) else {
        return Some(resource.clone());
    };
    let room = left.slot(index);
    let taken = amount.0.min(*room);
    if taken < amount.0 && resource.is_indivisible() {
        return None;
    }
    *room -= taken;
    Some(resource.clone().with_value(Value::Scalar(Scalar(taken))))
}
