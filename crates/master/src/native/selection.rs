//! Which elements of a list are wanted.

use mezz_core::records::{
    AgentRecord, FrameworkRecord, OfferRecord, PendingRecord, RoleRecord, TaskList, TaskRecord,
};
use mezz_proto::v1;
use prost::Message as _;

use super::given::Given;
use super::lists::{agent_state, framework_state};
use super::owners::Owners;
use crate::view::View;

/// The selectors of a query. Values of one selector are alternatives; different selectors all have to hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    all: bool,
    states: Vec<String>,
    frameworks: Vec<String>,
    roles: Vec<String>,
    agents: Vec<String>,
    labels: Vec<(String, Option<String>)>,
    attributes: Vec<(String, Option<String>)>,
    pub(super) owners: Owners,
}

impl Selection {
    pub(super) fn new(given: &Given) -> Self {
        let texts = |name: &str| given.all(name).map(str::to_owned).collect();
        let pairs = |name: &str| {
            let pair = |text: &str| match text.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (text.to_owned(), None),
            };
            given.all(name).map(pair).collect()
        };
        Self {
            all: given.flag("all"),
            states: texts("state"),
            frameworks: texts("framework"),
            roles: texts("role"),
            agents: texts("agent"),
            labels: pairs("label"),
            attributes: pairs("attribute"),
            owners: Owners::new(given),
        }
    }

    /// Whether a task is wanted.
    pub(super) fn has_task(&self, view: &View, task: &TaskRecord) -> bool {
        let records = &view.records;
        (self.all || !self.states.is_empty() || task.list != TaskList::Completed)
            && any(&self.states, |state| *state == task.state.as_str_name())
            && any(&self.roles, |role| *role == *task.role)
            && (self.frameworks.is_empty()
                || records
                    .frameworks
                    .get(task.framework.index())
                    .is_some_and(|owner| self.names_framework(owner)))
            && (self.agents.is_empty()
                || records
                    .agents
                    .get(task.agent.index())
                    .is_some_and(|agent| self.names_agent(agent)))
            && (self.labels.is_empty() || {
                let wire = v1::Task::decode(&*task.wire).unwrap_or_default();
                self.has_labels(wire.labels.as_ref())
            })
    }

    /// Whether a native task that waits for a place is wanted.
    pub(super) fn has_pending(&self, pending: &PendingRecord) -> bool {
        any(&self.states, |state| state == "TASK_STAGING")
            && any(&self.roles, |role| *role == pending.task.role)
            && any(&self.frameworks, |framework| framework == "mezz")
            && self.agents.is_empty()
            && self.has_labels(pending.task.labels.as_ref())
    }

    pub(super) fn has_agent(&self, agent: &AgentRecord) -> bool {
        any(&self.states, |state| state == agent_state(agent.state))
            && (self.agents.is_empty() || self.names_agent(agent))
            && self.attributes.iter().all(|(key, value)| {
                agent.info.attributes.iter().any(|attribute| {
                    attribute.name == *key
                        && value
                            .as_ref()
                            .is_none_or(|value| attribute_text(attribute) == *value)
                })
            })
    }

    pub(super) fn has_framework(&self, framework: &FrameworkRecord) -> bool {
        any(&self.states, |state| {
            state == framework_state(framework.state)
        }) && (self.frameworks.is_empty() || self.names_framework(framework))
            && (self.roles.is_empty()
                || framework
                    .roles()
                    .iter()
                    .any(|role| self.roles.contains(role)))
            && self.has_labels(framework.info.labels.as_ref())
    }

    pub(super) fn has_role(&self, view: &View, name: &str, role: &RoleRecord) -> bool {
        any(&self.roles, |wanted| wanted == name)
            && (self.frameworks.is_empty()
                || role
                    .frameworks
                    .iter()
                    .filter_map(|key| view.records.frameworks.get(key.index()))
                    .any(|framework| self.names_framework(framework)))
    }

    pub(super) fn has_offer(&self, view: &View, offer: &OfferRecord) -> bool {
        let records = &view.records;
        any(&self.roles, |role| *role == *offer.role)
            && (self.frameworks.is_empty()
                || records
                    .frameworks
                    .get(offer.framework.index())
                    .is_some_and(|owner| self.names_framework(owner)))
            && (self.agents.is_empty()
                || records
                    .agents
                    .get(offer.agent.index())
                    .is_some_and(|agent| self.names_agent(agent)))
    }

    fn names_framework(&self, framework: &FrameworkRecord) -> bool {
        self.frameworks
            .iter()
            .any(|wanted| **wanted == *framework.id || *wanted == framework.info.name)
    }

    fn names_agent(&self, agent: &AgentRecord) -> bool {
        self.agents
            .iter()
            .any(|wanted| **wanted == *agent.id || *wanted == agent.info.hostname)
    }

    fn has_labels(&self, labels: Option<&v1::Labels>) -> bool {
        self.labels.iter().all(|(key, value)| {
            labels
                .into_iter()
                .flat_map(|labels| &labels.labels)
                .any(|label| {
                    label.key == *key && value.as_ref().is_none_or(|value| label.value() == value)
                })
        })
    }
}

/// Whether no value is given, or one that fits.
fn any(values: &[String], fits: impl Fn(&String) -> bool) -> bool {
    values.is_empty() || values.iter().any(fits)
}

fn attribute_text(attribute: &v1::Attribute) -> String {
    if let Some(text) = &attribute.text {
        return text.value.clone();
    }
    attribute
        .scalar
        .as_ref()
        .map_or_else(String::new, |scalar| scalar.value.to_string())
}
