//! How many refusals stand in each role: counted when somebody asks for the first time, kept up to date from then on.

use crate::ids::{RoleIndex, Slot, grow};
use crate::scheduler::Scheduler;
use std::sync::Arc;

/// The refusals of each role at one moment; a copy costs nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterCounts(Arc<Vec<Option<Count>>>);

/// A role with its refusals.
type Count = (Arc<str>, usize);

impl FilterCounts {
    /// How many stand in a role.
    pub fn of(&self, role: &str) -> usize {
        let mut counts = self.0.iter().flatten();
        counts
            .find(|(path, _)| &**path == role)
            .map_or(0, |(_, count)| *count)
    }

    fn add(&mut self, role: RoleIndex, path: &Arc<str>) {
        let counts = Arc::make_mut(&mut self.0);
        grow(counts, role.slot());
        counts[role.slot()]
            .get_or_insert_with(|| (Arc::clone(path), 0))
            .1 += 1;
    }

    fn remove(&mut self, role: RoleIndex, gone: usize) {
        let Some(entry) = Arc::make_mut(&mut self.0).get_mut(role.slot()) else {
            return;
        };
        // A number without refusals may go to another role.
        *entry = entry
            .take()
            .map(|(path, count)| (path, count.saturating_sub(gone)))
            .filter(|(_, count)| *count > 0);
    }
}

impl Scheduler {
    /// How many refusals stand, by role.
    pub fn filter_counts(&mut self) -> FilterCounts {
        if let Some(counted) = &self.filter_counts.0 {
            return counted.clone();
        }
        let mut counted = FilterCounts::default();
        let agents = self.agents.iter().flatten();
        for filter in agents.flat_map(|agent| agent.filters.iter()) {
            let role = filter.leaf.role;
            counted.add(role, &self.roles.node(role).path);
        }
        self.filter_counts.0.insert(counted).clone()
    }

    pub(super) fn count_filter(&mut self, role: RoleIndex) {
        if let Some(counted) = &mut self.filter_counts.0 {
            counted.add(role, &self.roles.node(role).path);
        }
    }

    pub(super) fn discount_filters(&mut self, role: RoleIndex, gone: usize) {
        if let Some(counted) = &mut self.filter_counts.0 {
            counted.remove(role, gone);
        }
    }
}
