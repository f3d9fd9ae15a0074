//! What differs between two views of a list, by place and name, and what a reader is told who saw the earlier one.
//! A name outlives its record, so that a reader can be told of what is gone.

use std::collections::{BTreeMap, BTreeSet};

use mezz_core::records::{PendingRecord, TaskRecord};
use serde_json::{Value, json};

use super::rows::{Change, Kind, List};
use super::tasks::framework_id;
use crate::view::View;

/// Where an element is in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Task(usize),
    Pending(usize),
    Agent(usize),
    Framework(usize),
    Offer(usize),
    Role,
}

/// What tells an element from the others of its list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Task {
        id: Box<str>,
        framework_id: Option<Box<str>>,
    },
    /// An agent, a framework or an offer.
    Id(Box<str>),
    Role(Box<str>),
}

impl Name {
    pub(super) fn of_task(view: &View, task: &TaskRecord) -> Self {
        Self::Task {
            id: (&*task.id).into(),
            framework_id: Some(framework_id(view, task).into()),
        }
    }

    pub(super) fn of_pending(pending: &PendingRecord) -> Self {
        Self::Task {
            id: (&*pending.id).into(),
            framework_id: None,
        }
    }

    /// The fields by which a record of a stream names it.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Task { id, framework_id } => json!({ "id": id, "framework_id": framework_id }),
            Self::Id(id) => json!({ "id": id }),
            Self::Role(name) => json!({ "name": name }),
        }
    }
}

/// A place whose element is another one, or differs, since an earlier view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) slot: Slot,
    /// What was there in the earlier view.
    pub(super) was: Option<Name>,
}

/// Every place of a list in which two views differ.
pub(super) fn touched(kind: Kind, before: &View, after: &View) -> Vec<Touched> {
    let (old, new) = (&before.records, &after.records);
    let id = |id: &str| Name::Id(id.into());
    match kind {
        Kind::Tasks => {
            let tasks = new.tasks.changes_since(&old.tasks).map(|change| Touched {
                slot: Slot::Task(change.slot),
                was: change.before.map(|task| Name::of_task(before, task)),
            });
            let pending = new.pending.changes_since(&old.pending);
            let pending = pending.map(|change| Touched {
                slot: Slot::Pending(change.slot),
                was: change.before.map(|pending| Name::of_pending(pending)),
            });
            tasks.chain(pending).collect()
        }
        Kind::Agents => {
            let changes = new.agents.changes_since(&old.agents);
            let touched = changes.map(|change| Touched {
                slot: Slot::Agent(change.slot),
                was: change.before.map(|agent| id(&agent.id)),
            });
            touched.collect()
        }
        Kind::Frameworks => {
            let changes = new.frameworks.changes_since(&old.frameworks);
            let touched = changes.map(|change| Touched {
                slot: Slot::Framework(change.slot),
                was: change.before.map(|framework| id(&framework.id)),
            });
            touched.collect()
        }
        Kind::Offers => {
            let changes = new.offers.changes_since(&old.offers);
            let touched = changes.map(|change| Touched {
                slot: Slot::Offer(change.slot),
                was: change.before.map(|offer| id(&offer.id)),
            });
            touched.collect()
        }
        // What a role holds is added up over others: each may differ, so only those that are gone are noted.
        Kind::Roles => {
            let gone = old
                .roles
                .keys()
                .filter(|name| !new.roles.contains_key(*name));
            let touched = gone.map(|name| Touched {
                slot: Slot::Role,
                was: Some(Name::Role(name.as_str().into())),
            });
            touched.collect()
        }
    }
}

impl List<'_> {
    /// What a reader is told who saw the view before the first of these: what was touched as it is now, after the
    /// names of what is no longer there. Names may be among them that the reader has never had.
    pub(super) fn resumed(&self, touched: Vec<Touched>) -> Vec<Change> {
        let mut gone: BTreeSet<Name> = BTreeSet::new();
        let mut places: BTreeSet<Slot> = BTreeSet::new();
        for one in touched {
            gone.extend(one.was);
            places.insert(one.slot);
        }
        let there: BTreeMap<Name, Value> = if self.kind() == Kind::Roles {
            self.named()
        } else {
            places
                .into_iter()
                .filter_map(|slot| self.at(slot))
                .collect()
        };
        for name in there.keys() {
            gone.remove(name);
        }
        let gone = gone.into_iter().map(Change::Delete);
        let there = there.into_values().map(Change::Put);
        gone.chain(there).collect()
    }
}
