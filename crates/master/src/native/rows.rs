//! Lists: their elements in order, a page of them, and what has changed from one view to the next.

use std::collections::BTreeMap;

use mezz_core::key::FrameworkKey;
use mezz_core::records::{AgentRecord, AgentState, TaskList, TaskRecord};
use mezz_core::time::Wall;
use mezz_resource::Resources;
use serde_json::Value;

use super::lists::{agent_json, framework_json, offer_json, role_json};
use super::owners::OwnersSeen;
use super::selection::Selection;
use super::tasks::{pending_json, task_json};
use super::touched::{Name, Slot, touched};
use crate::unversioned::{RoleHoldings, holdings};
use crate::view::View;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Tasks,
    Agents,
    Frameworks,
    Roles,
    Offers,
}

impl Kind {
    /// All lists.
    pub(super) const ALL: [Self; 5] = [
        Self::Tasks,
        Self::Agents,
        Self::Frameworks,
        Self::Roles,
        Self::Offers,
    ];
}

/// An element: its place in the order, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    at: u64,
    id: String,
    slot: Slot,
}

/// What a subscriber of a list is told of one element.
#[derive(Debug)]
pub(super) enum Change {
    /// It is new or differs.
    Put(Value),
    /// It is gone, or no longer selected.
    Delete(Name),
}

/// A page of a list.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) elements: Vec<Value>,
    /// Where the next page begins, when there is one.
    pub(super) next: Option<String>,
}

/// A list in one view.
pub(super) struct List<'v> {
    kind: Kind,
    view: &'v View,
    selection: &'v Selection,
    task_counts: BTreeMap<FrameworkKey, u64>,
    held: BTreeMap<String, RoleHoldings>,
    total: Resources,
    /// Of tasks: whose are wanted; none when everybody's are.
    owners: Option<OwnersSeen<'v>>,
}

impl<'v> List<'v> {
    pub(super) fn new(kind: Kind, view: &'v View, selection: &'v Selection) -> Self {
        let mut list = Self {
            kind,
            view,
            selection,
            task_counts: BTreeMap::new(),
            held: BTreeMap::new(),
            total: Resources::default(),
            owners: match kind {
                Kind::Tasks => selection.owners.seen(view),
                Kind::Agents | Kind::Frameworks | Kind::Roles | Kind::Offers => None,
            },
        };
        match kind {
            Kind::Frameworks => list.count_tasks(),
            Kind::Roles => list.add_up(),
            Kind::Tasks | Kind::Agents | Kind::Offers => {}
        }
        list
    }

    fn count_tasks(&mut self) {
        for (_, task) in self.view.records.tasks.iter() {
            if task.list != TaskList::Completed {
                *self.task_counts.entry(task.framework).or_default() += 1;
            }
        }
    }

    fn add_up(&mut self) {
        self.held = holdings(self.view);
        for (_, agent) in self.view.records.agents.iter() {
            if matches!(
                agent.state,
                AgentState::Connected | AgentState::Disconnected
            ) {
                for resource in agent.total.iter() {
                    self.total.push(resource.clone());
                }
            }
        }
    }

    /// Everything that is selected.
    pub(super) fn all(&self) -> Vec<Value> {
        let mut rows = self.rows();
        rows.sort_unstable();
        rows.iter().map(|row| self.render(row)).collect()
    }

    /// At most `limit` elements after a cursor.
    pub(super) fn page(&self, limit: usize, after: Option<(u64, String)>) -> Page {
        let mut rows = self.rows();
        rows.sort_unstable();
        let from = after.map_or(0, |after| {
            rows.partition_point(|row| (row.at, &row.id) <= (after.0, &after.1))
        });
        let rest = &rows[from..];
        let shown = &rest[..limit.min(rest.len())];
        let next = (rest.len() > shown.len())
            .then(|| shown.last())
            .flatten()
            .map(|row| cursor(row.at, &row.id));
        Page {
            elements: shown.iter().map(|row| self.render(row)).collect(),
            next,
        }
    }

    /// The element with this id.
    pub(super) fn one(&self, id: &str) -> Option<Value> {
        let mut rows = self.rows();
        rows.retain(|row| row.id == id);
        rows.first().map(|row| self.render(row))
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    fn rows(&self) -> Vec<Row> {
        let records = &self.view.records;
        let of = |slots: &mut dyn Iterator<Item = Slot>| {
            slots.filter_map(|slot| self.row_at(slot)).collect()
        };
        match self.kind {
            Kind::Tasks => {
                let tasks = records.tasks.iter().map(|(slot, _)| Slot::Task(slot));
                let pending = records.pending.iter();
                of(&mut tasks.chain(pending.map(|(slot, _)| Slot::Pending(slot))))
            }
            Kind::Agents => of(&mut records.agents.iter().map(|(slot, _)| Slot::Agent(slot))),
            Kind::Frameworks => {
                let frameworks = records.frameworks.iter();
                of(&mut frameworks.map(|(slot, _)| Slot::Framework(slot)))
            }
            Kind::Offers => of(&mut records.offers.iter().map(|(slot, _)| Slot::Offer(slot))),
            Kind::Roles => {
                let (view, selection) = (self.view, self.selection);
                let roles = records.roles.iter();
                let wanted = roles.filter(|(name, role)| selection.has_role(view, name, role));
                wanted
                    .map(|(name, _)| row(Wall(0), name, Slot::Role))
                    .collect()
            }
        }
    }

    /// The element in one place, if it is selected; roles have no places.
    fn row_at(&self, slot: Slot) -> Option<Row> {
        let (view, selection, records) = (self.view, self.selection, &self.view.records);
        let (created_at, id) = match slot {
            Slot::Task(place) => {
                let task = records.tasks.get(place)?;
                let is_wanted = selection.has_task(view, task) && self.has_owner(task);
                is_wanted.then(|| (task.created_at, &*task.id))
            }
            Slot::Pending(place) => {
                let pending = records.pending.get(place)?;
                let is_wanted = selection.has_pending(pending) && self.owners.is_none();
                is_wanted.then(|| (pending.created_at, &*pending.id))
            }
            Slot::Agent(place) => {
                let agent = records.agents.get(place)?;
                let is_wanted = is_shown(agent) && selection.has_agent(agent);
                is_wanted.then(|| (agent.registered_at, &*agent.id))
            }
            Slot::Framework(place) => {
                let framework = records.frameworks.get(place)?;
                let is_wanted = selection.has_framework(framework);
                is_wanted.then(|| (framework.registered_at, &*framework.id))
            }
            Slot::Offer(place) => {
                let offer = records.offers.get(place)?;
                let is_wanted = selection.has_offer(view, offer);
                is_wanted.then(|| (offer.created_at, &*offer.id))
            }
            Slot::Role => None,
        }?;
        Some(row(created_at, id, slot))
    }

    fn has_owner(&self, task: &TaskRecord) -> bool {
        self.owners.as_ref().is_none_or(|owners| {
            let framework = self.view.records.frameworks.get(task.framework.index());
            framework.is_some_and(|framework| framework.built_in) && owners.has_task(&task.id)
        })
    }

    fn render(&self, row: &Row) -> Value {
        let (view, records) = (self.view, &self.view.records);
        let value = match row.slot {
            Slot::Task(slot) => records.tasks.get(slot).map(|task| task_json(view, task)),
            Slot::Pending(slot) => records.pending.get(slot).map(|one| pending_json(one)),
            Slot::Agent(slot) => records.agents.get(slot).map(|agent| agent_json(agent)),
            Slot::Framework(slot) => records.frameworks.get(slot).map(|one| {
                let tasks = self.task_counts.get(&one.key).copied();
                framework_json(one, tasks.unwrap_or_default())
            }),
            Slot::Offer(slot) => records.offers.get(slot).map(|one| offer_json(view, one)),
            Slot::Role => records.roles.get(&row.id).map(|role| {
                let nothing = RoleHoldings::default();
                let held = self.held.get(&row.id).unwrap_or(&nothing);
                role_json(view, &row.id, role, held, &self.total)
            }),
        };
        value.expect("a row was made from this view")
    }

    /// What a subscriber who knows `before` has to be told; deletions come first.
    pub(super) fn changes_since(&self, before: &List<'_>) -> Vec<Change> {
        if matches!(self.kind, Kind::Frameworks | Kind::Roles) {
            return self.compared(before);
        }
        let mut changes = Vec::new();
        for one in touched(self.kind, before.view, self.view) {
            let was = before.row_at(one.slot).map(|row| before.name(&row));
            let is = self.row_at(one.slot);
            if let Some(was) = was
                && is.as_ref().map(|row| self.name(row)).as_ref() != Some(&was)
            {
                changes.push(Change::Delete(was));
            }
            changes.extend(is.map(|row| Change::Put(self.render(&row))));
        }
        changes.sort_by_key(|change| matches!(change, Change::Put(_)));
        changes
    }

    /// For short lists whose elements are added up over others: both are made and compared.
    fn compared(&self, before: &List<'_>) -> Vec<Change> {
        let (old, new) = (before.named(), self.named());
        let gone = old.keys().filter(|name| !new.contains_key(*name));
        let gone = gone.map(|name| Change::Delete(name.clone()));
        let there = new
            .iter()
            .filter(|(name, value)| old.get(*name) != Some(value));
        let there = there.map(|(_, value)| Change::Put(value.clone()));
        gone.chain(there).collect()
    }

    /// Everything that is selected, by its name.
    pub(super) fn named(&self) -> BTreeMap<Name, Value> {
        let rows = self.rows();
        rows.iter()
            .map(|row| (self.name(row), self.render(row)))
            .collect()
    }

    /// What is in one place, if it is selected.
    pub(super) fn at(&self, slot: Slot) -> Option<(Name, Value)> {
        let row = self.row_at(slot)?;
        Some((self.name(&row), self.render(&row)))
    }

    fn name(&self, row: &Row) -> Name {
        let id = Box::from(row.id.as_str());
        match row.slot {
            Slot::Task(slot) => match self.view.records.tasks.get(slot) {
                Some(task) => Name::of_task(self.view, task),
                None => Name::Id(id),
            },
            Slot::Pending(_) => Name::Task {
                id,
                framework_id: None,
            },
            Slot::Agent(_) | Slot::Framework(_) | Slot::Offer(_) => Name::Id(id),
            Slot::Role => Name::Role(id),
        }
    }
}

fn row(created_at: Wall, id: &str, slot: Slot) -> Row {
    Row {
        at: created_at.0,
        id: id.to_owned(),
        slot,
    }
}

fn is_shown(agent: &AgentRecord) -> bool {
    agent.state != AgentState::Removed
}

fn cursor(at: u64, id: &str) -> String {
    format!("{at:x}.{id}")
}

/// Reads what [`cursor`] wrote.
pub(super) fn read_cursor(text: &str) -> Option<(u64, String)> {
    let (at, id) = text.split_once('.')?;
    let is_ours = !id.is_empty() && at.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    let at = u64::from_str_radix(at, 16).ok().filter(|_| is_ours)?;
    Some((at, id.to_owned()))
}
