//! Lists: their elements in order, a page of them, and what has changed from one view to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mezz_core::key::FrameworkKey;
use mezz_core::records::{AgentRecord, AgentState, TaskList};
use mezz_resource::Resources;
use serde_json::{Value, json};

use super::lists::{agent_json, framework_json, offer_json, role_json};
use super::selection::Selection;
use super::tasks::{framework_id, pending_json, task_json};
use crate::unversioned::{RoleHoldings, holdings};
use crate::view::View;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tasks,
    Agents,
    Frameworks,
    Roles,
    Offers,
}

/// Where an element is in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Task(usize),
    Pending(usize),
    Agent(usize),
    Framework(usize),
    Offer(usize),
    Role,
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
    /// It is gone, or no longer selected; the fields that name it.
    Delete(Value),
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

    fn rows(&self) -> Vec<Row> {
        let (view, selection) = (self.view, self.selection);
        let records = &view.records;
        let row = |at: u64, id: &str, slot| Row {
            at,
            id: id.to_owned(),
            slot,
        };
        match self.kind {
            Kind::Tasks => {
                let tasks = records.tasks.iter();
                let placed = tasks.filter(|(_, task)| selection.has_task(view, task));
                let waiting = records.pending.iter();
                let waiting = waiting.filter(|(_, pending)| selection.has_pending(pending));
                placed
                    .map(|(slot, task)| row(task.created_at.0, &task.id, Slot::Task(slot)))
                    .chain(waiting.map(|(slot, pending)| {
                        row(pending.created_at.0, &pending.id, Slot::Pending(slot))
                    }))
                    .collect()
            }
            Kind::Agents => {
                let agents = records.agents.iter().filter(|(_, agent)| is_shown(agent));
                let wanted = agents.filter(|(_, agent)| selection.has_agent(agent));
                wanted
                    .map(|(slot, agent)| row(agent.registered_at.0, &agent.id, Slot::Agent(slot)))
                    .collect()
            }
            Kind::Frameworks => {
                let frameworks = records.frameworks.iter();
                let wanted = frameworks.filter(|(_, one)| selection.has_framework(one));
                wanted
                    .map(|(slot, one)| row(one.registered_at.0, &one.id, Slot::Framework(slot)))
                    .collect()
            }
            Kind::Offers => {
                let offers = records.offers.iter();
                let wanted = offers.filter(|(_, offer)| selection.has_offer(view, offer));
                wanted
                    .map(|(slot, offer)| row(offer.created_at.0, &offer.id, Slot::Offer(slot)))
                    .collect()
            }
            Kind::Roles => {
                let roles = records.roles.iter();
                let wanted = roles.filter(|(name, role)| selection.has_role(view, name, role));
                wanted.map(|(name, _)| row(0, name, Slot::Role)).collect()
            }
        }
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
        let mut changes = match self.kind {
            Kind::Tasks => self.task_changes(before),
            Kind::Agents => self.agent_changes(before),
            Kind::Offers => self.offer_changes(before),
            Kind::Frameworks | Kind::Roles => self.compared(before),
        };
        changes.sort_by_key(|change| matches!(change, Change::Put(_)));
        changes
    }

    fn task_changes(&self, before: &List<'_>) -> Vec<Change> {
        let (new, old) = (&self.view.records, &before.view.records);
        let mut changes = Vec::new();
        for change in new.tasks.changes_since(&old.tasks) {
            let was = change
                .before
                .filter(|task| before.selection.has_task(before.view, task));
            let is = change
                .after
                .filter(|task| self.selection.has_task(self.view, task));
            let name = |view: &View, task: &Arc<_>| {
                let task: &mezz_core::records::TaskRecord = task;
                json!({ "id": &*task.id, "framework_id": framework_id(view, task) })
            };
            let was = was.map(|task| name(before.view, task));
            let now = is.map(|task| name(self.view, task));
            push(&mut changes, was, now, || {
                is.map(|task| task_json(self.view, task))
            });
        }
        for change in new.pending.changes_since(&old.pending) {
            let name = |one: &Arc<mezz_core::records::PendingRecord>| json!({ "id": &*one.id, "framework_id": null });
            let wanted =
                |one: &&Arc<mezz_core::records::PendingRecord>| self.selection.has_pending(one);
            let (was, is) = (change.before.filter(wanted), change.after.filter(wanted));
            push(&mut changes, was.map(name), is.map(name), || {
                is.map(|one| pending_json(one))
            });
        }
        changes
    }

    fn agent_changes(&self, before: &List<'_>) -> Vec<Change> {
        let (new, old) = (&self.view.records, &before.view.records);
        let mut changes = Vec::new();
        for change in new.agents.changes_since(&old.agents) {
            let wanted =
                |agent: &&Arc<AgentRecord>| is_shown(agent) && self.selection.has_agent(agent);
            let name = |agent: &Arc<AgentRecord>| json!({ "id": &*agent.id });
            let (was, is) = (change.before.filter(wanted), change.after.filter(wanted));
            push(&mut changes, was.map(name), is.map(name), || {
                is.map(|agent| agent_json(agent))
            });
        }
        changes
    }

    fn offer_changes(&self, before: &List<'_>) -> Vec<Change> {
        let (new, old) = (&self.view.records, &before.view.records);
        let mut changes = Vec::new();
        for change in new.offers.changes_since(&old.offers) {
            let was = change
                .before
                .filter(|offer| before.selection.has_offer(before.view, offer));
            let is = change
                .after
                .filter(|offer| self.selection.has_offer(self.view, offer));
            let name = |offer: &Arc<mezz_core::records::OfferRecord>| json!({ "id": &*offer.id });
            push(&mut changes, was.map(name), is.map(name), || {
                is.map(|offer| offer_json(self.view, offer))
            });
        }
        changes
    }

    /// For short lists whose elements are added up over others: both are made and compared.
    fn compared(&self, before: &List<'_>) -> Vec<Change> {
        let named = |list: &List<'_>| -> BTreeMap<String, Value> {
            let rows = list.rows();
            rows.iter()
                .map(|row| (row.id.clone(), list.render(row)))
                .collect()
        };
        let (old, new) = (named(before), named(self));
        let key = if self.kind == Kind::Roles {
            "name"
        } else {
            "id"
        };
        let gone: BTreeSet<&String> = old.keys().filter(|id| !new.contains_key(*id)).collect();
        gone.into_iter()
            .map(|id| Change::Delete(json!({ key: id })))
            .chain(
                new.iter()
                    .filter(|(id, value)| old.get(*id) != Some(value))
                    .map(|(_, value)| Change::Put(value.clone())),
            )
            .collect()
    }
}

fn is_shown(agent: &AgentRecord) -> bool {
    agent.state != AgentState::Removed
}

/// Notes the change of one slot, whose element may have become another one.
fn push(
    changes: &mut Vec<Change>,
    was: Option<Value>,
    is: Option<Value>,
    render: impl FnOnce() -> Option<Value>,
) {
    if let Some(was) = was
        && is.as_ref() != Some(&was)
    {
        changes.push(Change::Delete(was));
    }
    changes.extend(render().map(Change::Put));
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
