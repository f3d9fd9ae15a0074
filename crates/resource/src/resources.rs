//! The canonical list of resources and its algebra.
//!
//! A list is sorted by everything but the amount and holds no empty entry. Entries that differ only
//! in the amount are merged, except those that can only be taken whole; copies of a shared resource
//! are counted. Two lists are equal exactly when they hold the same.

use crate::quantities::Quantities;
use crate::resource::{Name, Resource, Value};
use crate::scalar::Scalar;
use std::collections::BTreeMap;
use std::ops::{Add, AddAssign};
use std::sync::Arc;

/// A canonical list of resources.
#[derive(
    Debug,
    Clone,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Resources(Vec<Resource>);

impl Resources {
    /// No resources.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// No resources.
    pub const fn empty() -> Self {
        Self::new()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many entries the list has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The entries in canonical order.
    pub fn iter(&self) -> std::slice::Iter<'_, Resource> {
        self.0.iter()
    }

    /// Adds one resource.
    pub fn push(&mut self, resource: Resource) {
        if resource.is_empty() {
            return;
        }
        if let Some(start) = self.first_of(&resource) {
            if resource.is_shared() {
                if let Some(same) = self.same_value_mut(start, &resource) {
                    *same.copies_mut() += resource.copies();
                    return;
                }
            } else if !resource.stands_alone() {
                self.0[start].value_mut().add(resource.value());
                return;
            }
        }
        let at = self.0.partition_point(|own| *own < resource);
        self.0.insert(at, resource);
    }

    /// The first entry with the key of a resource.
    fn first_of(&self, resource: &Resource) -> Option<usize> {
        // To look at each is quicker than to compare by order, as long as there are few.
        const FEW: usize = 8;
        if self.0.len() <= FEW {
            return self.0.iter().position(|own| own.has_key_of(resource));
        }
        let at = self.0.partition_point(|own| own.key() < resource.key());
        self.0.get(at)?.has_key_of(resource).then_some(at)
    }

    fn position_of(&self, resource: &Resource) -> Option<usize> {
        let start = self.first_of(resource)?;
        if !resource.stands_alone() {
            return Some(start);
        }
        self.0[start..]
            .iter()
            .take_while(|own| own.has_key_of(resource))
            .position(|own| own.value() == resource.value())
            .map(|at| start + at)
    }

    fn same_value_mut(&mut self, start: usize, resource: &Resource) -> Option<&mut Resource> {
        self.0[start..]
            .iter_mut()
            .take_while(|own| own.key() == resource.key())
            .find(|own| own.value() == resource.value())
    }

    /// Takes one resource away, or changes nothing and says `false` when it is not all there.
    pub fn remove(&mut self, resource: &Resource) -> bool {
        if resource.is_empty() {
            return true;
        }
        let Some(at) = self.position_of(resource) else {
            return false;
        };
        let own = &mut self.0[at];
        if resource.is_shared() {
            let Some(left) = own.copies().checked_sub(resource.copies()) else {
                return false;
            };
            *own.copies_mut() = left;
        } else if resource.stands_alone() {
            self.0.remove(at);
            return true;
        } else if own.value().contains(resource.value()) {
            own.value_mut().subtract(resource.value());
        } else {
            return false;
        }
        if self.0[at].is_empty() {
            self.0.remove(at);
        }
        true
    }

    /// Whether all of `other` is here.
    pub fn contains(&self, other: &Self) -> bool {
        let mut entries = other.0.iter().peekable();
        while let Some(wanted) = entries.next() {
            let mut needed = wanted.copies();
            while entries.next_if(|next| *next == wanted).is_some() {
                needed += wanted.copies();
            }
            if !self.contains_entry(wanted, needed) {
                return false;
            }
        }
        true
    }

    fn contains_entry(&self, wanted: &Resource, needed: u32) -> bool {
        let Some(at) = self.position_of(wanted) else {
            return false;
        };
        if !wanted.stands_alone() {
            return self.0[at].value().contains(wanted.value());
        }
        let equal = self.0[at..]
            .iter()
            .take_while(|own| own.key() == wanted.key() && own.value() == wanted.value());
        equal.map(Resource::copies).sum::<u32>() >= needed
    }

    /// The difference, or `None` when `other` is not all here.
    pub fn subtract(&self, other: &Self) -> Option<Self> {
        let mut left = self.clone();
        left.subtract_assign(other).then_some(left)
    }

    /// Takes `other` away, or changes nothing and says `false` when it is not all here.
    #[must_use]
    pub fn subtract_assign(&mut self, other: &Self) -> bool {
        if !self.contains(other) {
            return false;
        }
        for resource in &other.0 {
            let removed = self.remove(resource);
            debug_assert!(removed, "contained resources can be removed");
        }
        true
    }

    /// Takes away of `other` what is here and returns the rest.
    pub fn subtract_available(&mut self, other: &Self) -> Self {
        let mut missing = Self::new();
        for wanted in &other.0 {
            if !self.remove(wanted) {
                let rest = self.remove_part(wanted);
                missing.push(rest);
            }
        }
        missing
    }

    fn remove_part(&mut self, wanted: &Resource) -> Resource {
        let Some(at) = self.position_of(wanted).filter(|_| !wanted.stands_alone()) else {
            return wanted.clone();
        };
        let own = self.0[at].value().clone();
        let rest = match (wanted.value(), &own) {
            (Value::Scalar(wanted), Value::Scalar(own)) => {
                Value::Scalar(wanted.saturating_sub(*own))
            }
            (Value::Ranges(wanted), Value::Ranges(own)) => Value::Ranges(wanted.difference(own)),
            (Value::Set(wanted), Value::Set(own)) => Value::Set(wanted - own),
            _ => return wanted.clone(),
        };
        let mut gone = wanted.value().clone();
        gone.subtract(&rest);
        let removed = self.remove(&wanted.clone().with_value(gone));
        debug_assert!(removed, "what both hold can be removed");
        wanted.clone().with_value(rest)
    }

    /// The entries that satisfy a condition.
    pub fn filter(&self, mut keep: impl FnMut(&Resource) -> bool) -> Self {
        // A part of a canonical list is canonical.
        Self(
            self.0
                .iter()
                .filter(|resource| keep(resource))
                .cloned()
                .collect(),
        )
    }

    /// The same resources, allocated to a role.
    pub fn allocated_to(&self, role: &Arc<str>) -> Self {
        self.clone().into_allocated(Some(role))
    }

    /// The same resources, allocated to nobody.
    pub fn unallocated(&self) -> Self {
        self.clone().into_allocated(None)
    }

    /// The same resources, allocated to a role or to nobody.
    pub fn into_allocated(mut self, role: Option<&Arc<str>>) -> Self {
        let first = self.0.first().and_then(Resource::allocation_role).cloned();
        let mut alike = true;
        for resource in &mut self.0 {
            alike &= resource.allocation_role() == first.as_ref();
            resource.set_allocation(role.cloned());
        }
        // One stamp for all leaves the canonical order as it was.
        if alike {
            self
        } else {
            self.0.into_iter().collect()
        }
    }

    /// The resources by the role that they are allocated to.
    pub fn by_allocation_role(&self) -> BTreeMap<Arc<str>, Self> {
        let mut roles: BTreeMap<Arc<str>, Self> = BTreeMap::new();
        for resource in &self.0 {
            if let Some(role) = resource.allocation_role() {
                roles
                    .entry(Arc::clone(role))
                    .or_default()
                    .push(resource.clone());
            }
        }
        roles
    }

    /// The one role that all are allocated to, if there is one.
    pub fn allocation_role(&self) -> Option<&Arc<str>> {
        let role = self.0.first()?.allocation_role()?;
        self.0
            .iter()
            .all(|resource| resource.allocation_role() == Some(role))
            .then_some(role)
    }

    /// The sum of the scalars of one name, whatever their reservations.
    pub fn scalar(&self, name: &str) -> Scalar {
        let named = self
            .0
            .iter()
            .filter(|resource| resource.name().as_str() == name);
        named
            .filter_map(Resource::as_scalar)
            .fold(Scalar::ZERO, Add::add)
    }

    /// The scalars summed by name.
    pub fn quantities(&self) -> Quantities {
        self.0
            .iter()
            .filter_map(|resource| Some((resource.name().clone(), resource.as_scalar()?)))
            .collect()
    }

    /// Whether so much of each name is here; values of ranges and items of sets count one each.
    pub fn contains_quantities(&self, wanted: &Quantities) -> bool {
        wanted
            .iter()
            .all(|(name, wanted)| self.amount(name) >= wanted)
    }

    fn amount(&self, name: &Name) -> Scalar {
        let named = self.0.iter().filter(|resource| resource.name() == name);
        named
            .map(|resource| match resource.value() {
                Value::Scalar(scalar) => *scalar,
                Value::Ranges(ranges) => {
                    Scalar::whole(i64::try_from(ranges.count()).unwrap_or(i64::MAX))
                }
                Value::Set(set) => Scalar::whole(i64::try_from(set.len()).unwrap_or(i64::MAX)),
            })
            .fold(Scalar::ZERO, Add::add)
    }

    /// What is reserved, by role.
    pub fn reserved_by_role(&self) -> BTreeMap<String, Self> {
        let mut roles: BTreeMap<String, Self> = BTreeMap::new();
        for resource in &self.0 {
            if let Some(role) = resource.reservation_role() {
                roles
                    .entry(role.to_owned())
                    .or_default()
                    .push(resource.clone());
            }
        }
        roles
    }

    /// What is reserved for anybody.
    pub fn reserved(&self) -> Self {
        self.filter(|resource| resource.reservation_role().is_some())
    }

    /// What is reserved for nobody.
    pub fn unreserved(&self) -> Self {
        self.filter(|resource| resource.reservation_role().is_none())
    }

    /// What is unreserved or reserved for the role or one of its ancestors.
    pub fn allocatable_to(&self, role: &str) -> Self {
        self.filter(|resource| resource.is_allocatable_to(role))
    }

    /// What can be taken back at any time.
    pub fn revocable(&self) -> Self {
        self.filter(Resource::is_revocable)
    }

    /// What cannot.
    pub fn non_revocable(&self) -> Self {
        self.filter(|resource| !resource.is_revocable())
    }
}

impl FromIterator<Resource> for Resources {
    fn from_iter<I: IntoIterator<Item = Resource>>(resources: I) -> Self {
        let mut list = Self::new();
        list.extend(resources);
        list
    }
}

impl Extend<Resource> for Resources {
    fn extend<I: IntoIterator<Item = Resource>>(&mut self, resources: I) {
        for resource in resources {
            self.push(resource);
        }
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = &'a Resource;
    type IntoIter = std::slice::Iter<'a, Resource>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl AddAssign<&Resources> for Resources {
    fn add_assign(&mut self, other: &Resources) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
        } else {
            self.extend(other.0.iter().cloned());
        }
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Resources) {
        if self.0.is_empty() {
            *self = other;
        } else {
            self.extend(other.0);
        }
    }
}

impl Add for Resources {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Add<&Resources> for &Resources {
    type Output = Resources;
    fn add(self, other: &Resources) -> Resources {
        let mut sum = self.clone();
        sum += other;
        sum
    }
}
