//! Numbers by which a reader tells whether something has changed since it last looked. They only grow, also from
//! one leader to the next.

use std::sync::Arc;

use mezz_core::pages::Pages;
use mezz_core::records::Records;

use crate::view::View;

/// The index at which each part of a view last changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Indexes {
    pub(crate) newest: u64,
    pub(crate) agents: u64,
    pub(crate) frameworks: u64,
    pub(crate) tasks: u64,
    pub(crate) offers: u64,
    pub(crate) roles: u64,
    /// Of users' objects and what became of them.
    pub(crate) work: u64,
}

impl Indexes {
    /// The indexes of a view with these records that follows `before`.
    pub(crate) fn after(before: &View, records: &Records) -> Self {
        let old = &before.records;
        let since = before.indexes;
        let next = since.newest.max(base(records)) + 1;
        let is_new_leader = base(records) != base(old);
        let at = |same: bool, index: u64| if same && !is_new_leader { index } else { next };
        let agents = at(is_same(&records.agents, &old.agents), since.agents);
        let frameworks = at(
            is_same(&records.frameworks, &old.frameworks),
            since.frameworks,
        );
        let tasks_same =
            is_same(&records.tasks, &old.tasks) && is_same(&records.pending, &old.pending);
        let own_roles = at(Arc::ptr_eq(&records.roles, &old.roles), since.roles);
        let (work, old_work) = (&records.work, &old.work);
        let work_same = work.frozen == old_work.frozen
            && Arc::ptr_eq(&work.index, &old_work.index)
            && is_same(&work.objects, &old_work.objects)
            && is_same(&work.rollouts, &old_work.rollouts)
            && is_same(&work.runs, &old_work.runs)
            && is_same(&work.instances, &old_work.instances);
        let mut indexes = Self {
            work: at(work_same, since.work),
            newest: since.newest,
            agents,
            frameworks,
            tasks: at(tasks_same, since.tasks),
            offers: at(is_same(&records.offers, &old.offers), since.offers),
            // What a role holds is added up over agents and frameworks.
            roles: own_roles.max(agents).max(frameworks),
        };
        let all = [
            indexes.agents,
            indexes.frameworks,
            indexes.tasks,
            indexes.offers,
            indexes.roles,
            indexes.work,
        ];
        if all.contains(&next) {
            indexes.newest = next;
        }
        indexes
    }
}

fn is_same<T>(now: &Pages<T>, before: &Pages<T>) -> bool {
    now.changes_since(before).next().is_none()
}

/// Where the numbers of this leadership begin: the microsecond of the election, since nothing that is numbered
/// happens a million times a second.
pub(crate) fn base(records: &Records) -> u64 {
    records
        .master
        .elected_at
        .map_or(0, |elected| elected.0 / 1_000)
}

#[cfg(test)]
mod tests {
    use mezz_core::records::{MasterRecord, PendingRecord};
    use mezz_core::time::Wall;

    use super::*;

    fn elected_at(microseconds: u64) -> Records {
        let master = MasterRecord {
            elected_at: Some(Wall(microseconds * 1_000)),
            ..MasterRecord::default()
        };
        Records {
            master: Arc::new(master),
            ..Records::default()
        }
    }

    fn view(records: &Records, before: &View) -> View {
        View {
            records: records.clone(),
            indexes: Indexes::after(before, records),
            ..View::default()
        }
    }

    #[test]
    fn an_index_grows_with_what_changed_and_with_nothing_else() {
        let mut records = elected_at(500);
        let first = view(&records, &View::default());
        assert!(first.indexes.newest > 500);
        let second = view(&records, &first);
        assert_eq!(second.indexes, first.indexes);
        records.pending.insert(
            0,
            PendingRecord {
                id: "a".into(),
                task: Arc::new(task()),
                resources: Arc::default(),
                created_at: Wall(0),
            },
        );
        let third = view(&records, &second);
        assert_eq!(third.indexes.tasks, second.indexes.newest + 1);
        assert_eq!(third.indexes.agents, second.indexes.agents);
    }

    #[test]
    fn the_next_leader_goes_on_above_the_last_one() {
        let first = view(&elected_at(500), &View::default());
        let next = view(&elected_at(900), &View::default());
        assert!(next.indexes.newest > first.indexes.newest);
    }

    fn task() -> mezz_core::native::NativeTask {
        mezz_core::native::NativeTask {
            name: "a".into(),
            id: None,
            role: "*".into(),
            resources: Vec::new(),
            priority: 0,
            port_count: 0,
            command: mezz_proto::v1::CommandInfo::default(),
            container: None,
            labels: None,
            kill_policy: None,
        }
    }
}
