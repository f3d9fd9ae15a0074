//! Scheduler calls: who may make them, and to which part they go.

use v1::scheduler::call::Type;

use mezz_proto::v1;

use crate::effect::{Effects, Reply};
use crate::event::SchedulerCall;
use crate::key::FrameworkKey;
use crate::master::Master;
use crate::records::FrameworkState;

impl Master {
    pub(crate) fn on_call(&mut self, call: SchedulerCall, effects: &mut Effects) {
        let framework = match self.authorised_framework(&call) {
            Ok(framework) => framework,
            Err(reply) => return effects.reply(call.request, reply),
        };
        let kind = call.call.r#type();
        if let Some(count) = self
            .framework_mut(framework)
            .metrics
            .calls
            .get_mut(kind as usize)
        {
            *count += 1;
        }
        let request = call.request;
        let mut body = call.call;
        if kind == Type::UpdateFramework {
            let update = body
                .update_framework
                .take()
                .expect("validated: the sub-message of the type is present");
            return self.on_update_framework(request, framework, *update, effects);
        }
        effects.reply(request, Reply::Accepted);
        self.on_asynchronous_call(framework, kind, body, effects);
    }

    fn on_asynchronous_call(
        &mut self,
        framework: FrameworkKey,
        kind: Type,
        body: v1::scheduler::Call,
        effects: &mut Effects,
    ) {
        const PRESENT: &str = "validated: the sub-message of the type is present";
        match kind {
            Type::Teardown => self.on_teardown(framework, effects),
            Type::Accept => self.on_accept(framework, body.accept.expect(PRESENT), effects),
            Type::Decline => self.on_decline(framework, body.decline.expect(PRESENT), effects),
            Type::Revive => self.on_revive(framework, &body.revive.unwrap_or_default().roles),
            Type::Suppress => self.on_suppress(framework, &body.suppress.unwrap_or_default().roles),
            Type::Kill => self.on_kill(framework, body.kill.expect(PRESENT), effects),
            Type::Shutdown => {
                self.on_shutdown_executor(framework, body.shutdown.expect(PRESENT), effects);
            }
            Type::Acknowledge => {
                self.on_acknowledge(framework, body.acknowledge.expect(PRESENT), effects);
            }
            Type::Reconcile => {
                self.on_reconcile(framework, body.reconcile.expect(PRESENT), effects);
            }
            Type::Message => {
                self.on_framework_message(framework, body.message.expect(PRESENT), effects);
            }
            Type::Request => self.on_request(framework, &body.request.unwrap_or_default()),
            // Nothing refers to an inverse offer before maintenance exists, so these have no effect to lose;
            // the same holds for operations, which all end in OPERATION_ERROR.
            Type::AcceptInverseOffers
            | Type::DeclineInverseOffers
            | Type::AcknowledgeOperationStatus
            | Type::Unknown
            | Type::Subscribe
            | Type::UpdateFramework => {}
            Type::ReconcileOperations => self.on_reconcile_operations(
                framework,
                body.reconcile_operations.expect(PRESENT),
                effects,
            ),
        }
    }

    /// Rules 11 to 14 of the order of checks: known, same principal, subscribed, right stream.
    fn authorised_framework(&self, call: &SchedulerCall) -> Result<FrameworkKey, Reply> {
        let id = call
            .call
            .framework_id
            .as_ref()
            .map_or("", |id| id.value.as_str());
        let unknown = || Reply::BadRequest("Framework cannot be found".into());
        let key = *self.index.frameworks.get(id).ok_or_else(unknown)?;
        let record = self.framework(key);
        if record.state == FrameworkState::Completed || record.built_in {
            return Err(unknown());
        }
        if let (Some(principal), Some(own)) = (&call.principal, &record.info.principal)
            && principal != own
        {
            return Err(Reply::BadRequest(format!(
                "Authenticated principal '{principal}' does not match principal '{own}' set in `FrameworkInfo`"
            )));
        }
        let Some(connection) = self
            .frameworks
            .get(&key)
            .and_then(|live| live.connection.as_ref())
        else {
            return Err(Reply::Forbidden("Framework is not subscribed".into()));
        };
        match &call.stream_id {
            None => Err(Reply::BadRequest(
                "All non-subscribe calls should include the 'Mesos-Stream-Id' header".into(),
            )),
            Some(given) if *given != connection.stream_id => Err(Reply::BadRequest(format!(
                "The stream ID '{given}' included in this request didn't match the stream ID currently associated with framework ID {id}"
            ))),
            Some(_) => Ok(key),
        }
    }
}
