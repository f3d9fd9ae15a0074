//! One agent: what it has, who holds what of it, and what is left.

use crate::bits::Bits;
use crate::config::AgentSpec;
use crate::filters::Filters;
use crate::ids::{ClassIndex, FrameworkIndex, Leaf, LeafNumber, Slot};
use crate::scalars::{Delta, NameTable};
use mezz_resource::{Quantities, Resource, Resources};
use std::sync::Arc;

/// Whether an agent or framework takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Activity {
    Active,
    Inactive,
}

impl Activity {
    pub(crate) fn when(active: bool) -> Self {
        if active { Self::Active } else { Self::Inactive }
    }
}

/// Whether what is left can go to anybody as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Texture {
    /// Unreserved, firm and unshared throughout.
    Plain,
    /// Some of it is for some only.
    Mixed,
}

/// What the next cycle has to look at on an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Dirt {
    #[default]
    Clean,
    /// Only for these.
    Pairs(Vec<Leaf>),
    /// For everybody.
    Whole,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Agent {
    pub(crate) spec: AgentSpec,
    pub(crate) activity: Activity,
    pub(crate) whitelisted: bool,
    pub(crate) remote: bool,
    pub(crate) has_gpus: bool,
    /// Its kind; none only while it is added or removed.
    pub(crate) class: Option<ClassIndex>,
    /// Not allocated to anybody.
    pub(crate) available: Resources,
    /// The scalars of `available`.
    pub(crate) free: Delta,
    pub(crate) texture: Texture,
    /// Whether something of it is revocable or shared.
    pub(crate) has_revocable: bool,
    /// The roles for which something of it is reserved.
    pub(crate) reserved_for: Vec<Arc<str>>,
    /// Whether what is for everybody holds the cluster's minimum.
    pub(crate) is_open: bool,
    /// Whether `available` holds the cluster's minimum.
    pub(crate) meets_minimum: bool,
    /// Whether more is held than there is.
    pub(crate) overcommitted: bool,
    /// Who holds what; each resource allocated to a role.
    pub(crate) held: Holdings,
    /// The part of it that is used rather than offered.
    pub(crate) used: Holdings,
    pub(crate) filters: Filters,
    /// By number: those whose refusals are known to cover all of `refused_of`, so that they need not be asked.
    pub(crate) refused: Bits,
    pub(crate) refused_of: Resources,
    pub(crate) dirt: Dirt,
}

impl Agent {
    pub(crate) fn new(spec: AgentSpec) -> Self {
        Self {
            available: spec.total.unallocated(),
            has_gpus: !spec.total.scalar("gpus").is_zero(),
            spec,
            activity: Activity::Active,
            whitelisted: true,
            remote: false,
            class: None,
            free: Delta::default(),
            texture: Texture::Plain,
            has_revocable: false,
            reserved_for: Vec::new(),
            is_open: false,
            meets_minimum: false,
            overcommitted: false,
            held: Holdings::default(),
            used: Holdings::default(),
            filters: Filters::default(),
            refused: Bits::default(),
            refused_of: Resources::new(),
            dirt: Dirt::Clean,
        }
    }

    /// Whether its resources may be offered at all.
    pub(crate) fn is_usable(&self) -> bool {
        self.activity == Activity::Active && self.whitelisted
    }

    /// Hands over resources that are allocated to a role.
    pub(crate) fn hold(
        &mut self,
        framework: FrameworkIndex,
        unallocated: &Resources,
        allocated: Resources,
    ) {
        if *unallocated == self.available {
            self.available = Resources::new();
        } else {
            let missing = self.available.subtract_available(unallocated);
            self.overcommitted |= !missing.is_empty();
        }
        self.held.add(framework, allocated);
    }

    /// Computes what is left from the total and what is held.
    pub(crate) fn recompute_available(&mut self) {
        let mut available = self.spec.total.unallocated();
        self.overcommitted = false;
        for (_, held) in self.held.iter() {
            let missing = available.subtract_available(&held.unallocated());
            self.overcommitted |= !missing.is_empty();
        }
        self.available = available;
    }

    /// Forgets who has refused all that is free when that is no longer what it was.
    pub(crate) fn freshen_refusals(&mut self) {
        if !self.refused_of.is_empty() && self.refused_of != self.available {
            self.refused.clear();
            self.refused_of = Resources::new();
        }
    }

    /// Remembers who has refused all that is free.
    pub(crate) fn note_refusals(&mut self, numbers: &[LeafNumber]) {
        if numbers.is_empty() {
            return;
        }
        if self.refused_of.is_empty() {
            self.refused_of.clone_from(&self.available);
        }
        for number in numbers {
            self.refused.set(number.slot(), true);
        }
    }

    /// Whether a role or one below it could take what is reserved here, or revocable.
    pub(crate) fn has_special_for(&self, role: &str) -> bool {
        self.texture == Texture::Mixed
            && (self.has_revocable
                || self
                    .reserved_for
                    .iter()
                    .any(|own| are_of_one_line(own, role)))
    }

    /// Derives the cached properties of `available`.
    pub(crate) fn refresh(&mut self, names: &mut NameTable, minimum: &[Quantities]) {
        if self.available.is_empty() {
            self.free = Delta::default();
            self.texture = Texture::Plain;
            (self.meets_minimum, self.is_open) = (false, false);
            return;
        }
        self.free = names.delta(&self.available);
        let plain = self
            .available
            .iter()
            .all(|resource| resource.traits().is_none_or(|_| is_plain(resource)));
        self.texture = if plain {
            Texture::Plain
        } else {
            Texture::Mixed
        };
        self.meets_minimum = is_allocatable(&self.available, minimum);
        self.is_open = self.meets_minimum;
        if self.texture == Texture::Mixed {
            self.refresh_mixed(minimum);
        }
    }

    fn refresh_mixed(&mut self, minimum: &[Quantities]) {
        let mut special = self.available.iter().filter(|resource| !is_plain(resource));
        self.has_revocable = special
            .clone()
            .any(|resource| resource.reservation_role().is_none());
        self.reserved_for.clear();
        let reserved = special.by_ref().filter_map(Resource::reservation_role);
        self.reserved_for.extend(reserved.map(Arc::from));
        self.reserved_for.dedup();
        self.is_open = is_allocatable(&self.available.filter(is_plain), minimum);
    }
}

/// Resources by who has them, sorted.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Holdings(Vec<(FrameworkIndex, Resources)>);

impl Holdings {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(FrameworkIndex, Resources)> {
        self.0.iter()
    }

    fn position(&self, framework: FrameworkIndex) -> Result<usize, usize> {
        self.0.binary_search_by_key(&framework, |(own, _)| *own)
    }

    pub(crate) fn of(&self, framework: FrameworkIndex) -> Option<&Resources> {
        self.position(framework).ok().map(|at| &self.0[at].1)
    }

    pub(crate) fn add(&mut self, framework: FrameworkIndex, resources: Resources) {
        match self.position(framework) {
            Ok(at) => self.0[at].1 += resources,
            Err(at) => self.0.insert(at, (framework, resources)),
        }
    }

    /// Takes away what is there of the resources; returns what was not.
    pub(crate) fn take(&mut self, framework: FrameworkIndex, resources: &Resources) -> Resources {
        let Ok(at) = self.position(framework) else {
            return resources.clone();
        };
        if self.0[at].1 == *resources {
            self.0.remove(at);
            return Resources::new();
        }
        let missing = self.0[at].1.subtract_available(resources);
        if self.0[at].1.is_empty() {
            self.0.remove(at);
        }
        missing
    }

    /// Takes away all that a framework has.
    pub(crate) fn take_all(&mut self, framework: FrameworkIndex) -> Resources {
        self.position(framework)
            .map(|at| self.0.remove(at).1)
            .unwrap_or_default()
    }
}

fn is_plain(resource: &Resource) -> bool {
    resource.reservation_role().is_none() && !resource.is_revocable() && !resource.is_shared()
}

/// Whether one of two roles is the other or above it.
fn are_of_one_line(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() {
        (one.as_bytes(), other.as_bytes())
    } else {
        (other.as_bytes(), one.as_bytes())
    };
    long.get(short.len()).is_none_or(|next| *next == b'/') && long.starts_with(short)
}

/// Whether an offer of so much is worth making.
pub(crate) fn is_allocatable(resources: &Resources, minimum: &[Quantities]) -> bool {
    !resources.is_empty()
        && (minimum.is_empty()
            || minimum
                .iter()
                .any(|wanted| resources.contains_quantities(wanted)))
}
