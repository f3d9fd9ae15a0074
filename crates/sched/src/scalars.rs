//! Vectors of scalar amounts with a dense index for each resource name.

use mezz_resource::{Name, Quantities, Resources, Scalar};
use std::collections::BTreeSet;

/// The names with a fixed place.
const FIXED: [Name; 4] = [Name::Cpus, Name::Mem, Name::Disk, Name::Gpus];

/// The place of each scalar name.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct NameTable {
    names: Vec<Name>,
    excluded: BTreeSet<String>,
    fair: Vec<bool>,
}

impl NameTable {
    pub(crate) fn new(excluded: BTreeSet<String>) -> Self {
        let mut table = Self {
            names: Vec::new(),
            excluded,
            fair: Vec::new(),
        };
        for name in FIXED {
            table.append(name);
        }
        table
    }

    fn append(&mut self, name: Name) -> usize {
        self.fair.push(!self.excluded.contains(name.as_str()));
        self.names.push(name);
        self.names.len() - 1
    }

    pub(crate) fn find(&self, name: &Name) -> Option<usize> {
        match name {
            Name::Cpus => Some(0),
            Name::Mem => Some(1),
            Name::Disk => Some(2),
            Name::Gpus => Some(3),
            other => self.names[FIXED.len()..]
                .iter()
                .position(|own| own == other)
                .map(|at| at + FIXED.len()),
        }
    }

    pub(crate) fn intern(&mut self, name: &Name) -> usize {
        self.find(name).unwrap_or_else(|| self.append(name.clone()))
    }

    pub(crate) fn name(&self, index: usize) -> &Name {
        &self.names[index]
    }

    /// Whether the name counts in shares.
    pub(crate) fn is_fair(&self, index: usize) -> bool {
        self.fair[index]
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn quantities(&self, scalars: &Scalars) -> Quantities {
        self.names
            .iter()
            .enumerate()
            .map(|(index, name)| (name.clone(), Scalar(scalars.get(index))))
            .collect()
    }

    /// The scalars of a list, and among them those that quota counts: unreserved and firm.
    pub(crate) fn delta(&mut self, resources: &Resources) -> Delta {
        let mut delta = Delta::default();
        for resource in resources {
            let Some(scalar) = resource.as_scalar() else {
                continue;
            };
            let amount = scalar.0.saturating_mul(i64::from(resource.copies()));
            let index = self.intern(resource.name());
            delta.all.add_at(index, amount);
            if resource.traits().is_none()
                || (resource.reservation_role().is_none() && !resource.is_revocable())
            {
                delta.charged.add_at(index, amount);
            }
        }
        delta
    }
}

/// The scalar amounts of a list of resources.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Delta {
    /// All of them.
    pub(crate) all: Scalars,
    /// The unreserved, firm ones.
    pub(crate) charged: Scalars,
}

/// Amounts by the places of a [`NameTable`], in thousandths.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Scalars {
    head: [i64; FIXED.len()],
    rest: Vec<i64>,
}

impl Scalars {
    /// The same amount of each of so many names.
    pub(crate) fn filled(size: usize, amount: i64) -> Self {
        Self {
            head: [amount; FIXED.len()],
            rest: vec![amount; size.saturating_sub(FIXED.len())],
        }
    }

    pub(crate) fn get(&self, index: usize) -> i64 {
        match index.checked_sub(FIXED.len()) {
            None => self.head[index],
            Some(index) => self.rest.get(index).copied().unwrap_or(0),
        }
    }

    pub(crate) fn slot(&mut self, index: usize) -> &mut i64 {
        let Some(index) = index.checked_sub(FIXED.len()) else {
            return &mut self.head[index];
        };
        if self.rest.len() <= index {
            self.rest.resize(index + 1, 0);
        }
        &mut self.rest[index]
    }

    pub(crate) fn add_at(&mut self, index: usize, amount: i64) {
        let slot = self.slot(index);
        *slot = slot.saturating_add(amount);
    }

    pub(crate) fn apply(&mut self, other: &Self, sign: Sign) {
        match sign {
            Sign::Plus => {
                for (own, other) in self.head.iter_mut().zip(&other.head) {
                    *own = own.saturating_add(*other);
                }
            }
            Sign::Minus => {
                for (own, other) in self.head.iter_mut().zip(&other.head) {
                    *own = own.saturating_sub(*other);
                }
            }
        }
        if other.rest.is_empty() {
            return;
        }
        if self.rest.len() < other.rest.len() {
            self.rest.resize(other.rest.len(), 0);
        }
        for (own, other) in self.rest.iter_mut().zip(&other.rest) {
            *own = sign.apply(*own, *other);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, i64)> + '_ {
        self.head.iter().chain(&self.rest).copied().enumerate()
    }

    /// Whether nothing is set; trailing zeros do not matter.
    pub(crate) fn is_zero(&self) -> bool {
        self.iter().all(|(_, amount)| amount == 0)
    }
}

/// Whether an amount is added or taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Plus,
    Minus,
}

impl Sign {
    fn apply(self, left: i64, right: i64) -> i64 {
        match self {
            Self::Plus => left.saturating_add(right),
            Self::Minus => left.saturating_sub(right),
        }
    }
}
