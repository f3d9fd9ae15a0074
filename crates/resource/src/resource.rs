//! One resource: its name, what sets it apart from others of that name, and its value.

use crate::disk::Disk;
use crate::ranges::Ranges;
use crate::reservation::Reservation;
use crate::role::is_in_subtree_of;
use crate::scalar::Scalar;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// A resource name; the order of the variants is the order in which lists are printed.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Name {
    /// `cpus`
    Cpus,
    /// `gpus`
    Gpus,
    /// `mem`, in MiB
    Mem,
    /// `disk`, in MiB
    Disk,
    /// `ports`
    Ports,
    /// Any other.
    Other(Arc<str>),
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Cpus => "cpus",
            Self::Gpus => "gpus",
            Self::Mem => "mem",
            Self::Disk => "disk",
            Self::Ports => "ports",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        match name {
            "cpus" => Self::Cpus,
            "gpus" => Self::Gpus,
            "mem" => Self::Mem,
            "disk" => Self::Disk,
            "ports" => Self::Ports,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The value of a resource.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Value {
    /// A quantity.
    Scalar(Scalar),
    /// Integers, such as ports.
    Ranges(Ranges),
    /// Names.
    Set(BTreeSet<String>),
}

impl Value {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.is_zero(),
            Self::Ranges(ranges) => ranges.is_empty(),
            Self::Set(set) => set.is_empty(),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Scalar(_) => 0,
            Self::Ranges(_) => 1,
            Self::Set(_) => 2,
        }
    }

    /// Whether `other`, of the same kind, is within this.
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scalar(own), Self::Scalar(other)) => own >= other,
            (Self::Ranges(own), Self::Ranges(other)) => own.contains(other),
            (Self::Set(own), Self::Set(other)) => own.is_superset(other),
            _ => false,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Scalar(own), Self::Scalar(other)) => *own += *other,
            (Self::Ranges(own), Self::Ranges(other)) => *own = own.union(other),
            (Self::Set(own), Self::Set(other)) => own.extend(other.iter().cloned()),
            _ => unreachable!("values are added only under one key, which holds the kind"),
        }
    }

    /// Takes away what [`Value::contains`] has confirmed.
    pub(crate) fn subtract(&mut self, other: &Self) {
        match (self, other) {
            (Self::Scalar(own), Self::Scalar(other)) => *own -= *other,
            (Self::Ranges(own), Self::Ranges(other)) => *own = own.difference(other),
            (Self::Set(own), Self::Set(other)) => own.retain(|item| !other.contains(item)),
            _ => unreachable!("values are subtracted only under one key, which holds the kind"),
        }
    }
}

/// Whether the resource may be taken back at any time.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub enum Tenure {
    /// Kept until given back.
    #[default]
    Firm,
    /// Oversubscribed slack.
    Revocable,
}

/// Whether several tasks may use the same resource at once.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub enum Sharing {
    /// One user.
    #[default]
    Sole,
    /// Many users; copies are counted.
    Shared,
}

/// What a plain `cpus:4` does not have.
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
pub struct Traits {
    /// The reservation stack; the last one is in force.
    pub reservations: Vec<Reservation>,
    /// The disk.
    pub disk: Option<Disk>,
    /// Firm or revocable.
    pub tenure: Tenure,
    /// Sole or shared.
    pub sharing: Sharing,
    /// The resource provider it comes from.
    pub provider_id: Option<String>,
}

/// One resource.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Resource {
    name: Name,
    allocation_role: Option<Arc<str>>,
    traits: Option<Arc<Traits>>,
    value: Value,
    copies: u32,
}

impl Resource {
    /// A resource; traits that say nothing are dropped.
    pub fn new(name: Name, traits: Traits, value: Value) -> Self {
        let traits = (traits != Traits::default()).then(|| Arc::new(traits));
        Self {
            name,
            allocation_role: None,
            traits,
            value,
            copies: 1,
        }
    }

    /// An unreserved scalar.
    pub fn scalar(name: &str, value: Scalar) -> Self {
        Self::new(name.into(), Traits::default(), Value::Scalar(value))
    }

    /// An unreserved set of ranges.
    pub fn ranges(name: &str, value: Ranges) -> Self {
        Self::new(name.into(), Traits::default(), Value::Ranges(value))
    }

    /// The same for another role's allocation (`None`: not allocated).
    pub fn with_allocation(mut self, role: Option<Arc<str>>) -> Self {
        self.allocation_role = role;
        self
    }

    /// The same with another value.
    pub fn with_value(mut self, value: Value) -> Self {
        self.value = value;
        self
    }

    /// The name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The value, when it is a scalar.
    pub fn as_scalar(&self) -> Option<Scalar> {
        match self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The role that it is allocated to.
    pub fn allocation_role(&self) -> Option<&Arc<str>> {
        self.allocation_role.as_ref()
    }

    /// How many copies of a shared resource this stands for; 1 for all others.
    pub fn copies(&self) -> u32 {
        self.copies
    }

    /// The traits, when it has any.
    pub fn traits(&self) -> Option<&Traits> {
        self.traits.as_deref()
    }

    /// The reservation stack.
    pub fn reservations(&self) -> &[Reservation] {
        self.traits().map_or(&[], |traits| &traits.reservations)
    }

    /// The role that it is reserved for.
    pub fn reservation_role(&self) -> Option<&str> {
        self.reservations()
            .last()
            .map(|reservation| reservation.role.as_str())
    }

    /// The disk.
    pub fn disk(&self) -> Option<&Disk> {
        self.traits().and_then(|traits| traits.disk.as_ref())
    }

    /// Whether it is a persistent volume.
    pub fn is_persistent_volume(&self) -> bool {
        self.disk().is_some_and(|disk| disk.persistence.is_some())
    }

    /// Whether it can be taken back at any time.
    pub fn is_revocable(&self) -> bool {
        self.traits()
            .is_some_and(|traits| traits.tenure == Tenure::Revocable)
    }

    /// Whether several tasks may use it at once.
    pub fn is_shared(&self) -> bool {
        self.traits()
            .is_some_and(|traits| traits.sharing == Sharing::Shared)
    }

    /// Whether it carries more than one reservation.
    pub fn is_refined(&self) -> bool {
        self.reservations().len() > 1
    }

    /// Whether it can only be taken whole.
    pub fn is_indivisible(&self) -> bool {
        self.disk().is_some_and(Disk::is_indivisible)
    }

    /// Whether it is unreserved, or reserved for `role` or an ancestor of it.
    pub fn is_allocatable_to(&self, role: &str) -> bool {
        self.reservation_role()
            .is_none_or(|owner| is_in_subtree_of(role, owner))
    }

    /// Whether there is nothing of it.
    pub fn is_empty(&self) -> bool {
        self.copies == 0 || self.value.is_empty()
    }

    /// Everything but the amount; entries of one key merge.
    pub(crate) fn key(&self) -> (&Name, Option<&str>, Option<&Traits>, u8) {
        (
            &self.name,
            self.allocation_role.as_deref(),
            self.traits(),
            self.value.kind(),
        )
    }

    /// Whether both have the same key.
    pub(crate) fn has_key_of(&self, other: &Self) -> bool {
        let same_role = match (&self.allocation_role, &other.allocation_role) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other) || own == other,
            (None, None) => true,
            _ => false,
        };
        same_role
            && self.name == other.name
            && self.value.kind() == other.value.kind()
            && self.traits() == other.traits()
    }

    /// Whether entries of this key stay apart instead of merging.
    pub(crate) fn stands_alone(&self) -> bool {
        self.is_shared() || self.is_indivisible()
    }

    pub(crate) fn set_allocation(&mut self, role: Option<Arc<str>>) {
        self.allocation_role = role;
    }

    pub(crate) fn value_mut(&mut self) -> &mut Value {
        &mut self.value
    }

    pub(crate) fn copies_mut(&mut self) -> &mut u32 {
        &mut self.copies
    }
}
