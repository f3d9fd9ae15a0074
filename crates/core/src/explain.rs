//! Why something waits, in words, joined from all that the master and the ledger know: for every task, framework, role and
//! agent. What users' objects wait for is in `work::explain`.

use mezz_proto::v1;
use mezz_resource::format_duration;
use mezz_sched::Reason;
use prost::Message;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::frameworks::sched_key;
use crate::key::{AgentKey, FrameworkKey, TaskKey};
use crate::master::Master;
use crate::records::{AgentState, FrameworkState, OfferRecord, TaskList, TaskRecord};
use crate::time::Wall;
use crate::wire::is_terminal;

impl Master {
    /// Why something waits, from the most to the least important reason.
    ///
    /// A task may be named alone or as `FRAMEWORK/TASK`, an object of a user as `KIND/NAME` or by its name, a run as
    /// `KIND/NAME/RUN`, as `NAME/RUN` or by its id.
    pub fn explain(&self, id: &str) -> Option<Vec<String>> {
        // No framework, agent or task has a slash in its id.
        if id.contains('/')
            && let Some(reasons) = self.explain_named(id)
        {
            return Some(reasons);
        }
        if let Some((arrival, _)) = self.pending_named(id) {
            return Some(self.explain_pending(arrival));
        }
        if let Some(key) = self.index.frameworks.get(id) {
            return Some(self.explain_framework(*key));
        }
        if let Some(key) = self.index.agents.get(id) {
            return Some(self.explain_agent(*key));
        }
        if let Some(task) = self.find_task(id).and_then(|key| self.task(key)) {
            let mut reasons = self.explain_task(task);
            reasons.extend(self.explain_instance(id));
            return Some(reasons);
        }
        self.explain_named(id).or_else(|| self.explain_act(id))
    }

    /// What has a name that somebody chose: objects of users, and a role.
    fn explain_named(&self, id: &str) -> Option<Vec<String>> {
        let of_object = self.explain_object(id);
        if !self.records.roles.contains_key(id) {
            return of_object;
        }
        let of_role = self.explain_role(id);
        Some(match of_object {
            None => of_role,
            Some(mut reasons) => {
                let of_role = of_role.into_iter();
                reasons.extend(of_role.map(|reason| format!("role {id}: {reason}")));
                reasons
            }
        })
    }

    fn find_task(&self, id: &str) -> Option<TaskKey> {
        if let Some((framework, task)) = id.split_once('/')
            && let Some(framework) = self.index.frameworks.get(framework)
        {
            return self.index.tasks.get(&(*framework, task.into())).copied();
        }
        self.frameworks
            .keys()
            .find_map(|framework| self.index.tasks.get(&(*framework, id.into())).copied())
    }

    fn explain_task(&self, task: &TaskRecord) -> Vec<String> {
        let mut reasons = vec![self.state_of_task(task)];
        let wire = v1::Task::decode(&*task.wire).unwrap_or_default();
        if let Some(last) = wire.statuses.last() {
            reasons.extend(words_of(last));
        }
        if task.list == TaskList::Live && is_terminal(task.state) {
            reasons.push("its framework has not acknowledged the last update yet".to_owned());
        }
        if !is_terminal(task.state) {
            let live = self.agents.get(&task.agent);
            if live.is_some_and(|live| live.pending_kills.contains_key(&task.key)) {
                reasons.push("it is to be killed as soon as its agent is back".to_owned());
            }
            reasons.extend(self.state_of_agent(task.agent));
        }
        reasons
    }

    /// The state of a task, where it is and since when.
    fn state_of_task(&self, task: &TaskRecord) -> String {
        let state = task.state.as_str_name();
        let agent = self.records.agents.get(task.agent.index());
        let place = agent.map_or_else(String::new, |agent| format!(" on {}", agent.info.hostname));
        match (task.list, task.finished_at, task.started_at) {
            (TaskList::Unreachable, ..) => {
                format!("it is {state}: its agent cannot be reached")
            }
            (_, Some(at), _) => format!("it ended as {state}{place}, {} ago", self.since(at)),
            (TaskList::Live, None, _) if task.state == v1::TaskState::TaskStaging => {
                format!("it is {state}{place}: its agent has not reported it yet")
            }
            (TaskList::Live, None, Some(at)) => {
                format!("it is {state}{place}, {} after its start", self.since(at))
            }
            _ => format!("it is {state}{place}"),
        }
    }

    fn since(&self, at: Wall) -> String {
        about(self.now.wall.0.saturating_sub(at.0))
    }

    fn explain_framework(&self, key: FrameworkKey) -> Vec<String> {
        let record = self.framework(key);
        let mut reasons: Vec<String> = match record.state {
            FrameworkState::Active => Vec::new(),
            FrameworkState::Disconnected => {
                vec!["it is not connected; offers follow when it subscribes again".to_owned()]
            }
            FrameworkState::Recovered => {
                vec!["it has not subscribed since this master leads".to_owned()]
            }
            FrameworkState::Completed => return vec!["it is completed".to_owned()],
        };
        reasons.extend(self.outstanding(|offer| offer.framework == key));
        let roles = record.roles();
        let mut found_nothing = false;
        for role in &roles {
            for reason in self.sched.explain(self.now.mono.0, sched_key(key), role) {
                found_nothing |= matches!(reason, Reason::NothingFree { .. });
                reasons.push(match roles.len() {
                    1 => reason.to_string(),
                    _ => format!("role {role}: {reason}"),
                });
            }
        }
        if found_nothing {
            reasons.extend(self.offered_to_others(key));
        }
        reasons
    }

    /// Whose turn came earlier was offered what this one waits for.
    fn offered_to_others(&self, key: FrameworkKey) -> Option<String> {
        let offers = self.records.offers.iter().map(|(_, offer)| offer);
        let others: Vec<&OfferRecord> = offers
            .filter(|offer| offer.framework != key)
            .map(|offer| &**offer)
            .collect();
        let earliest = others.iter().map(|offer| offer.created_at).min()?;
        let since = self.since(earliest);
        let agents: BTreeSet<AgentKey> = others.iter().map(|offer| offer.agent).collect();
        Some(match agents.len() {
            1 => format!("1 agent was offered to others first, {since} ago"),
            count => format!("{count} agents were offered to others first, from {since} ago on"),
        })
    }

    fn explain_role(&self, role: &str) -> Vec<String> {
        let mut frameworks = self
            .records
            .roles
            .get(role)
            .map(|record| record.frameworks.clone())
            .unwrap_or_default();
        if frameworks.is_empty() {
            return vec!["no framework subscribes with it".to_owned()];
        }
        // The built-in one is never offered anything: its tasks have reasons of their own.
        frameworks.retain(|key| !self.is_native(*key));
        let mut reasons: Vec<String> = self.outstanding(|offer| *offer.role == *role).collect();
        for key in &frameworks {
            let name = &self.framework(*key).info.name;
            for reason in self.sched.explain(self.now.mono.0, sched_key(*key), role) {
                reasons.push(match frameworks.len() {
                    1 => reason.to_string(),
                    _ => format!("framework {name}: {reason}"),
                });
            }
        }
        reasons
    }

    fn explain_agent(&self, key: AgentKey) -> Vec<String> {
        let mut reasons: Vec<String> = self.state_of_agent(key).into_iter().collect();
        reasons.extend(self.outstanding(|offer| offer.agent == key));
        let available = self.sched.available(crate::accounts::agent_sched_key(key));
        if available.is_empty() {
            reasons.push("nothing of it is free".to_owned());
        } else {
            reasons.push(format!("free and not offered: {available}"));
        }
        reasons
    }

    /// What is wrong with an agent, if anything.
    fn state_of_agent(&self, key: AgentKey) -> Option<String> {
        let agent = self.records.agents.get(key.index())?;
        let since = agent.lost_at.map(|at| format!(" for {}", self.since(at)));
        let since = since.unwrap_or_default();
        let state = match agent.state {
            AgentState::Connected if agent.deactivated => "is deactivated",
            AgentState::Connected => return None,
            AgentState::Recovered => "has not come back since this master leads",
            AgentState::Disconnected => "is not connected",
            AgentState::Unreachable => "is unreachable",
            AgentState::Gone => "is gone for good",
            AgentState::Removed => "has unregistered",
        };
        Some(format!("agent {} {state}{since}", agent.id))
    }

    /// How many offers stand, and for how long the oldest has.
    fn outstanding(&self, wanted: impl Fn(&OfferRecord) -> bool) -> impl Iterator<Item = String> {
        let offers = self.records.offers.iter().map(|(_, offer)| offer);
        let ages: Vec<u64> = offers
            .filter(|offer| wanted(offer))
            .map(|offer| self.now.wall.0.saturating_sub(offer.created_at.0))
            .collect();
        let oldest = ages.iter().max().map(|age| {
            let (stand, age) = (ages.len(), about(*age));
            match stand {
                1 => format!("1 offer has not been answered for {age}"),
                _ => format!("{stand} offers have not been answered, the oldest for {age}"),
            }
        });
        oldest.into_iter()
    }
}

/// A span as exactly as somebody wants to read it.
pub(crate) fn about(nanoseconds: u64) -> String {
    let grain = match nanoseconds {
        ..1_000_000_000 => 1_000_000,
        1_000_000_000..60_000_000_000 => 1_000_000_000,
        60_000_000_000..3_600_000_000_000 => 60_000_000_000,
        _ => 360_000_000_000,
    };
    format_duration(Duration::from_nanos(nanoseconds / grain * grain))
}

/// Who said an update, what and by which reason, in one line; nothing where it says nothing.
fn words_of(status: &v1::TaskStatus) -> Option<String> {
    let source = status.source.map(|_| match status.source() {
        v1::task_status::Source::Master => "the master",
        v1::task_status::Source::Agent => "its agent",
        v1::task_status::Source::Executor => "its executor",
    });
    let message = status.message.as_ref().filter(|text| !text.is_empty());
    let reason = status.reason.map(|_| status.reason().as_str_name());
    let said = match (message, reason) {
        (Some(message), Some(reason)) => format!("{message} ({reason})"),
        (Some(message), None) => message.clone(),
        (None, Some(reason)) => reason.to_owned(),
        (None, None) => return None,
    };
    Some(match source {
        Some(source) => format!("{source} said: {said}"),
        None => said,
    })
}
