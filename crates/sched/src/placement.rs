//! What is taken of an agent's free resources for work whose needs are known, and whether a role's quota allows it.

use crate::accounting::is_taken_by;
use crate::ids::{FrameworkIndex, Leaf, RoleIndex};
use crate::reason::Reason;
use crate::scheduler::Scheduler;
use mezz_resource::{Name, Resource, Resources, Value};
use std::fmt;

/// Why nothing could be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusals(pub Vec<Reason>);

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusals {}

impl Scheduler {
    pub(crate) fn check_quota(&self, leaf: Leaf, request: &Resources) -> Result<(), Refusals> {
        let Some(room) = self.room(leaf.role, self.lacking_total().as_ref()) else {
            return Ok(());
        };
        for (name, wanted) in request.quantities().iter() {
            let Some(index) = self.names.find(name) else {
                continue;
            };
            if room.limit.get(index) < wanted.0 {
                let (role, name, left) = self.tightest_limit(leaf);
                let agents = self.free.count();
                return Err(Refusals(vec![Reason::OverQuota {
                    agents,
                    role,
                    name,
                    left,
                }]));
            }
            if room.all.get(index) < wanted.0 {
                return Err(Refusals(vec![Reason::HeldForGuarantees {
                    agents: self.free.count(),
                }]));
            }
        }
        Ok(())
    }

    /// What is free on the agent for the role, what is reserved for it first.
    pub(crate) fn usable_here(
        &self,
        free: &Resources,
        framework: FrameworkIndex,
        role: RoleIndex,
    ) -> Resources {
        let capabilities = self
            .framework(framework)
            .map(|entry| entry.spec.capabilities)
            .unwrap_or_default();
        let path = self.role_path(role);
        free.filter(|resource| {
            resource.is_allocatable_to(path)
                && is_taken_by(resource, capabilities)
                && !resource.is_revocable()
                && resource.disk().is_none()
        })
    }
}

/// Takes the amount of `wanted` from entries of that name, reserved ones first.
pub(crate) fn take_one(left: &Resources, wanted: &Resource) -> Option<Resources> {
    let named = || left.iter().filter(|own| own.name() == wanted.name());
    let mut sources: Vec<&Resource> = named()
        .filter(|own| own.reservation_role().is_some())
        .collect();
    sources.extend(named().filter(|own| own.reservation_role().is_none()));
    let Value::Scalar(mut missing) = *wanted.value() else {
        let source = sources
            .into_iter()
            .find(|own| own.value().contains(wanted.value()))?;
        return Some(std::iter::once(source.clone().with_value(wanted.value().clone())).collect());
    };
    let mut taken = Resources::new();
    for source in sources {
        let part = source.as_scalar().unwrap_or_default().min(missing);
        taken.push(source.clone().with_value(Value::Scalar(part)));
        missing -= part;
    }
    missing.is_zero().then_some(taken)
}

pub(crate) fn pick_ports(left: &Resources, count: u64) -> Option<Resources> {
    let mut missing = count;
    let mut picked = Resources::new();
    for resource in left
        .iter()
        .filter(|resource| *resource.name() == Name::Ports)
    {
        let Value::Ranges(ranges) = resource.value() else {
            continue;
        };
        let size = ranges.count().min(missing);
        picked.push(
            resource
                .clone()
                .with_value(Value::Ranges(ranges.take_lowest(size)?)),
        );
        missing -= size;
    }
    (missing == 0).then_some(picked)
}
