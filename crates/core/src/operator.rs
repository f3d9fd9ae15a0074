//! What an operator changes: teardown, weights, agents declared gone or switched off.

use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use v1::task_status::Reason;

use crate::accounts::agent_sched_key;
use crate::durable::{StoredWeight, WEIGHT, put};
use crate::effect::{Effect, Effects, Reply, StoreOperation};
use crate::event::{OperatorAction, OperatorCall};
use crate::fact::{AgentRemoval, Fact};
use crate::key::RequestKey;
use crate::master::Master;
use crate::metrics::Counter;
use crate::records::{AgentState, FrameworkState};

impl Master {
    pub(crate) fn on_operator(&mut self, call: OperatorCall, effects: &mut Effects) {
        let request = call.request;
        match call.action {
            OperatorAction::Teardown { framework_id } => {
                self.tear_down_by_operator(request, &framework_id, effects);
            }
            OperatorAction::UpdateWeights(weights) => {
                self.update_weights(request, weights, effects);
            }
            OperatorAction::MarkAgentGone { agent_id } => {
                self.mark_gone(request, &agent_id, effects);
            }
            OperatorAction::DeactivateAgent { agent_id } => {
                self.set_deactivated(request, &agent_id, true, effects);
            }
            OperatorAction::ReactivateAgent { agent_id } => {
                self.set_deactivated(request, &agent_id, false, effects);
            }
        }
    }

    fn tear_down_by_operator(&mut self, request: RequestKey, id: &str, effects: &mut Effects) {
        let known = self.index.frameworks.get(id).copied();
        match known.filter(|key| {
            self.framework(*key).state != FrameworkState::Completed
                && !self.framework(*key).built_in
        }) {
            None => effects.reply(
                request,
                Reply::BadRequest("No framework found with specified ID".into()),
            ),
            Some(key) => {
                self.on_teardown(key, effects);
                effects.reply(request, Reply::Ok);
            }
        }
    }

    fn update_weights(
        &mut self,
        request: RequestKey,
        weights: Vec<v1::WeightInfo>,
        effects: &mut Effects,
    ) {
        let operations: Result<Vec<_>, _> = weights.iter().map(stored_weight).collect();
        let operations = match operations {
            Ok(operations) => operations,
            Err(text) => return effects.reply(request, Reply::BadRequest(text)),
        };
        let token = self.persist(operations, effects);
        let mut facts = Vec::new();
        let mut active = false;
        for weight in weights {
            let role = weight.role.unwrap_or_default().trim().to_owned();
            self.set_ledger_weight(&role, weight.weight);
            let record = self.role_mut(&role);
            record.weight = Some(weight.weight);
            active |= !record.frameworks.is_empty();
            facts.push((role, weight.weight));
        }
        self.emit(Fact::WeightsUpdated { weights: facts }, effects);
        if active {
            let offers: Vec<_> = self
                .records
                .offers
                .iter()
                .map(|(_, offer)| offer.key)
                .collect();
            for offer in offers {
                self.rescind_offer(offer, effects);
            }
        }
        effects.list.push(Effect::Reply {
            request,
            reply: Reply::Ok,
            after: Some(token),
        });
    }

    fn mark_gone(&mut self, request: RequestKey, id: &str, effects: &mut Effects) {
        let Some(key) = self.index.agents.get(id).copied() else {
            return effects.reply(request, Reply::NotFound(format!("Agent '{id}' not found")));
        };
        if self.agent(key).state == AgentState::Gone {
            return effects.reply(request, Reply::Ok);
        }
        let body = Body::ShutdownAgent(agent::ShutdownAgent {
            message: "Agent has been marked gone".into(),
        });
        self.send_agent(key, body, None, effects);
        self.take_agent_out(
            key,
            AgentState::Gone,
            Counter::SlaveRemovalsUnregistered,
            effects,
        );
        let token = self.persist_agent(key, effects);
        self.end_agent_tasks(
            key,
            v1::TaskState::TaskGoneByOperator,
            Reason::AgentRemovedByOperator,
            "Agent has been marked gone",
            token,
            effects,
        );
        self.remove_agent_executors(key);
        self.announce_agent_loss(key, AgentRemoval::MarkedGone, token, effects);
        effects.list.push(Effect::Reply {
            request,
            reply: Reply::Ok,
            after: Some(token),
        });
    }

    fn set_deactivated(
        &mut self,
        request: RequestKey,
        id: &str,
        deactivated: bool,
        effects: &mut Effects,
    ) {
        let Some(key) = self.index.agents.get(id).copied() else {
            return effects.reply(
                request,
                Reply::BadRequest(format!("Agent '{id}' is not known")),
            );
        };
        if !deactivated && !self.agent(key).deactivated {
            return effects.reply(
                request,
                Reply::BadRequest(format!("Agent '{id}' is not deactivated")),
            );
        }
        self.agent_mut(key).deactivated = deactivated;
        if deactivated {
            self.sched.deactivate_agent(agent_sched_key(key));
            self.rescind_agent_offers(key, effects);
        } else if self.agent(key).is_active() {
            self.sched.activate_agent(agent_sched_key(key));
        }
        let token = self.persist_agent(key, effects);
        effects.list.push(Effect::Reply {
            request,
            reply: Reply::Ok,
            after: Some(token),
        });
    }
}

/// How a weight is kept, or why it is none.
fn stored_weight(weight: &v1::WeightInfo) -> Result<StoreOperation, String> {
    let role = weight.role.as_deref().unwrap_or("").trim();
    if let Err(error) = mezz_resource::role::validate_role(role) {
        return Err(format!(
            "Failed to validate update weights request: Invalid role '{role}': {error}"
        ));
    }
    if !crate::config::WEIGHTS.contains(&weight.weight) {
        return Err(format!(
            "Failed to validate update weights request for role '{role}': Invalid weight '{}': Weights must be positive (1e-6 to 1e9)",
            weight.weight
        ));
    }
    let stored = StoredWeight {
        weight: weight.weight,
    };
    Ok(put(WEIGHT, role, &stored))
}
