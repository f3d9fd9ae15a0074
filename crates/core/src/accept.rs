//! ACCEPT: offers become tasks, or every task gets the reason why not.

use std::sync::Arc;

use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use mezz_resource::Resources;
use v1::offer::operation::Type as Operation;
use v1::task_status::Reason;

use crate::accounts::{agent_sched_key, discharge};
use crate::effect::Effects;
use crate::fact::OfferEnd;
use crate::framework_info::has_capability;
use crate::frameworks::sched_key;
use crate::key::{AgentKey, FrameworkKey, OfferKey};
use crate::master::Master;
use crate::metrics::Counter;
use crate::offers::refuse_ns;
use crate::records::AgentState;
use crate::wire;

/// What one ACCEPT works with.
pub(crate) struct Acceptance {
    pub(crate) framework: FrameworkKey,
    pub(crate) agent: AgentKey,
    pub(crate) role: Arc<str>,
    /// What the offers held and no task has taken yet.
    pub(crate) remaining: Resources,
    launches: Vec<agent::RunTask>,
}

impl Master {
    pub(crate) fn on_accept(
        &mut self,
        framework: FrameworkKey,
        accept: v1::scheduler::call::Accept,
        effects: &mut Effects,
    ) {
        self.records.metrics.count(Counter::MessagesLaunchTasks);
        self.count_operations(framework, &accept.operations);
        let offers = match self.accepted_offers(framework, &accept.offer_ids) {
            Ok(offers) => offers,
            Err(message) => return self.refuse_accept(framework, &accept, &message, effects),
        };
        let only_decline = accept.operations.is_empty();
        let end = if only_decline {
            self.sched.declined(sched_key(framework));
            OfferEnd::Declined
        } else {
            OfferEnd::Accepted
        };
        let Some(mut acceptance) = self.take_accepted(framework, offers, end, effects) else {
            return;
        };
        let agent = acceptance.agent;
        let refused = accept
            .filters
            .as_ref()
            .map(|filters| refuse_ns(Some(filters)))
            .filter(|span_ns| *span_ns > 0);
        let first_token = self.numbers.launch_token;
        for operation in accept.operations {
            self.apply_operation(&mut acceptance, operation, effects);
        }
        let launches = std::mem::take(&mut acceptance.launches);
        self.send_launches(framework, agent, launches, None, effects);
        // Leftovers are offered again at once unless the framework asked for a filter.
        let filter = if only_decline {
            Some(refuse_ns(accept.filters.as_ref()))
        } else {
            refused
        };
        self.recover(framework, agent, &acceptance.remaining, filter);
        // A framework that launches one task an ACCEPT waits for what is left of each. Its own round trip bounds the
        // cycles.
        if self.numbers.launch_token > first_token {
            self.timers.allocate_now = true;
        }
    }

    /// Puts the resources of offers, all of one agent and role, together.
    fn take_accepted(
        &mut self,
        framework: FrameworkKey,
        offers: Vec<OfferKey>,
        end: OfferEnd,
        effects: &mut Effects,
    ) -> Option<Acceptance> {
        let mut remaining = Resources::default();
        let mut place = None;
        for key in offers {
            if let Some(offer) = self.take_offer(key, end, effects) {
                remaining += &*offer.resources;
                place = Some((offer.agent, Arc::clone(&offer.role)));
            }
        }
        let (agent, role) = place?;
        Some(Acceptance {
            framework,
            agent,
            role,
            remaining,
            launches: Vec::new(),
        })
    }

    fn count_operations(&mut self, framework: FrameworkKey, operations: &[v1::offer::Operation]) {
        let metrics = &mut self.framework_mut(framework).metrics;
        for operation in operations {
            if let Some(count) = metrics.operations.get_mut(operation.r#type() as usize) {
                *count += 1;
            }
        }
    }

    /// The offers of an ACCEPT, if they can be used together.
    fn accepted_offers(
        &self,
        framework: FrameworkKey,
        ids: &[v1::OfferId],
    ) -> Result<Vec<OfferKey>, String> {
        if ids.is_empty() {
            return Err("No offers specified".into());
        }
        let mut keys: Vec<OfferKey> = Vec::with_capacity(ids.len());
        let mut first: Option<&crate::records::OfferRecord> = None;
        for id in ids {
            let key = self.index.offers.get(id.value.as_str()).copied();
            let Some(offer) = key.and_then(|key| self.records.offers.get(key.index())) else {
                return Err(format!("Offer {} is no longer valid", id.value));
            };
            if keys.contains(&offer.key) {
                return Err(format!("Duplicate offer {} in offer list", id.value));
            }
            if offer.framework != framework {
                let (theirs, ours) = (
                    &self.framework(offer.framework).id,
                    &self.framework(framework).id,
                );
                return Err(format!(
                    "Offer {} has invalid framework {theirs} while framework {ours} is expected",
                    id.value
                ));
            }
            if let Some(first) = first {
                if first.agent != offer.agent {
                    let (one, other) = (&self.agent(offer.agent).id, &self.agent(first.agent).id);
                    return Err(format!(
                        "Aggregated offers must belong to one single agent. Offer {} uses agent {one} and agent {other}",
                        id.value
                    ));
                }
                if first.role != offer.role {
                    return Err(format!(
                        "Aggregated offers must be allocated to the same role. Offer {} uses role {} but another is using role {}",
                        id.value, offer.role, first.role
                    ));
                }
            }
            first = first.or(Some(offer));
            keys.push(offer.key);
        }
        Ok(keys)
    }

    /// Every referenced offer of the framework is used up; every task and operation is told why nothing came of it.
    fn refuse_accept(
        &mut self,
        framework: FrameworkKey,
        accept: &v1::scheduler::call::Accept,
        message: &str,
        effects: &mut Effects,
    ) {
        for id in &accept.offer_ids {
            if let Some(key) = self.own_offer(framework, &id.value) {
                self.return_offer(key, OfferEnd::Discarded, None, effects);
            }
        }
        let state = self.lost_or(framework, v1::TaskState::TaskDropped);
        for operation in &accept.operations {
            for task in tasks_of(operation) {
                let text = format!("Task launched with invalid offers: {message}");
                self.refuse_task(framework, task, state, Reason::InvalidOffers, text, effects);
            }
            self.fail_operation(
                framework,
                operation,
                None,
                format!("Operation attempted with invalid offers: {message}"),
                effects,
            );
        }
    }

    /// LOST for frameworks that know nothing of partitions, else the finer state.
    pub(crate) fn lost_or(&self, framework: FrameworkKey, finer: v1::TaskState) -> v1::TaskState {
        use v1::framework_info::capability::Type;
        if has_capability(&self.framework(framework).info, Type::PartitionAware) {
            finer
        } else {
            v1::TaskState::TaskLost
        }
    }

    fn fail_operation(
        &mut self,
        framework: FrameworkKey,
        operation: &v1::offer::Operation,
        agent: Option<AgentKey>,
        message: String,
        effects: &mut Effects,
    ) {
        if matches!(
            operation.r#type(),
            Operation::Launch | Operation::LaunchGroup
        ) {
            return;
        }
        self.records.metrics.count_reason(format!(
            "operations/{}/error",
            operation_name(operation.r#type())
        ));
        if let Some(id) = operation.id.clone() {
            let agent_id = agent.map(|agent| wire::agent_id_of(&self.agent(agent).id));
            self.send_event(
                framework,
                wire::operation_error(id, agent_id, message),
                effects,
            );
        }
    }

    fn apply_operation(
        &mut self,
        acceptance: &mut Acceptance,
        operation: v1::offer::Operation,
        effects: &mut Effects,
    ) {
        let (framework, agent) = (acceptance.framework, acceptance.agent);
        match operation.r#type() {
            Operation::Launch => {
                let with_id = operation.id.is_some();
                for task in operation
                    .launch
                    .map(|launch| launch.task_infos)
                    .unwrap_or_default()
                {
                    if with_id {
                        let text = "'id' may not be set on an operation of type LAUNCH";
                        self.refuse_task(
                            framework,
                            &task,
                            v1::TaskState::TaskError,
                            Reason::TaskInvalid,
                            text,
                            effects,
                        );
                    } else {
                        self.launch(acceptance, task, effects);
                    }
                }
            }
            Operation::LaunchGroup => {
                let with_id = operation.id.is_some();
                if let Some(group) = operation.launch_group {
                    self.launch_group(acceptance, *group, with_id, effects);
                }
            }
            kind => {
                let text = format!(
                    "{} is not built yet in this version of Mezzanine",
                    kind.as_str_name()
                );
                self.fail_operation(framework, &operation, Some(agent), text, effects);
            }
        }
    }

    fn launch(
        &mut self,
        acceptance: &mut Acceptance,
        mut task: v1::TaskInfo,
        effects: &mut Effects,
    ) {
        let (framework, agent) = (acceptance.framework, acceptance.agent);
        if self.agent(agent).state != AgentState::Connected {
            let state = self.lost_or(framework, v1::TaskState::TaskDropped);
            return self.refuse_task(
                framework,
                &task,
                state,
                Reason::AgentDisconnected,
                "Agent disconnected",
                effects,
            );
        }
        let own_id = wire::framework_id_of(&self.framework(framework).id);
        if let Some(executor) = &mut task.executor {
            executor.framework_id.get_or_insert(own_id);
            // The checks name what cannot be read.
            if let Ok(resources) = crate::launch::allocated(&executor.resources, &acceptance.role) {
                executor.resources = resources.to_proto();
            }
        }
        match self.check_task(
            framework,
            agent,
            &acceptance.role,
            &acceptance.remaining,
            &task,
        ) {
            Err(message) => self.refuse_task(
                framework,
                &task,
                v1::TaskState::TaskError,
                Reason::TaskInvalid,
                message,
                effects,
            ),
            Ok(demand) => {
                let total = demand.total();
                discharge(&mut acceptance.remaining, &total);
                self.sched
                    .mark_used(sched_key(framework), agent_sched_key(agent), &total);
                let run =
                    self.admit_task(framework, agent, &acceptance.role, task, demand, effects);
                acceptance.launches.push(run);
            }
        }
    }

    /// Sends launches of one framework to one agent in one body.
    pub(crate) fn send_launches(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        tasks: Vec<agent::RunTask>,
        after: Option<crate::key::Token>,
        effects: &mut Effects,
    ) {
        if tasks.is_empty() {
            return;
        }
        let news = self.agent_live(agent).told_frameworks.insert(framework);
        let record = self.framework(framework);
        let body = Body::RunTasks(agent::RunTasks {
            framework_id: wire::framework_id_of(&record.id),
            framework: news.then(|| (*record.info).clone()),
            tasks,
        });
        self.send_agent(agent, body, after, effects);
    }
}

fn tasks_of(operation: &v1::offer::Operation) -> &[v1::TaskInfo] {
    match (&operation.launch, &operation.launch_group) {
        (Some(launch), _) => &launch.task_infos,
        (None, Some(group)) => &group.task_group.tasks,
        (None, None) => &[],
    }
}

fn operation_name(kind: Operation) -> String {
    kind.as_str_name().to_ascii_lowercase()
}
