//! Ending things on purpose: a framework, everything, the daemon.

use crate::agent::{AgentCore, EndCause, Phase, Turn};
use crate::effect::Effect;
use crate::event::StopRequest;
use crate::model::{Container, FrameworkKey, FrameworkPhase};
use crate::timers::TimerKey;
use mezz_proto::agent_protocol::Unregister;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1::AgentInfo;
use std::sync::Arc;

impl AgentCore {
    pub(crate) fn on_stop(&mut self, turn: &mut Turn<'_>, request: StopRequest) {
        match request {
            StopRequest::Leave => self.stop(
                turn,
                0,
                "asked to stop; tasks of checkpointing frameworks go on".to_owned(),
            ),
            StopRequest::Drain if self.phase == Phase::Starting => {
                self.stop(turn, 0, "asked to stop before recovery".to_owned());
            }
            StopRequest::Drain => self.end_everything(turn, EndCause::Drained),
        }
    }

    /// The master wants this agent gone.
    pub(crate) fn on_shutdown_agent(&mut self, turn: &mut Turn<'_>, message: String) {
        turn.ignored(format!("every task, on the master's order: {message}"));
        self.end_everything(turn, EndCause::Ordered);
    }

    pub(crate) fn end_everything(&mut self, turn: &mut Turn<'_>, cause: EndCause) {
        if matches!(self.phase, Phase::Ending(_) | Phase::Stopped) {
            return;
        }
        self.phase = Phase::Ending(cause);
        self.records = None;
        self.timers.cancel(TimerKey::Dial);
        self.timers.cancel(TimerKey::RecoveryWait);
        for framework in self.frameworks.keys() {
            self.shut_down_framework(turn, framework);
        }
        self.destroy_all_nested(turn);
    }

    pub(crate) fn on_shutdown_framework(&mut self, turn: &mut Turn<'_>, framework_id: &str) {
        match self.framework_of(framework_id) {
            Some(framework) => self.shut_down_framework(turn, framework),
            None => {
                // Nothing of it is here; what is known of it is forgotten so that a later journal does not bring it back.
                if self
                    .known_frameworks
                    .remove(framework_id)
                    .is_some_and(|known| known.recorded)
                {
                    turn.checkpoint(crate::journal::Record::FrameworkForgotten {
                        framework_id: framework_id.to_owned(),
                    });
                }
            }
        }
    }

    /// Ends all executors of a framework; nobody is told of its tasks any more.
    pub(crate) fn shut_down_framework(&mut self, turn: &mut Turn<'_>, framework: FrameworkKey) {
        let Some(entry) = self.frameworks.get_mut(framework) else {
            return;
        };
        if entry.phase == FrameworkPhase::Terminating {
            return;
        }
        entry.phase = FrameworkPhase::Terminating;
        let executors: Vec<_> = entry.executors.values().copied().collect();
        let mut tasks: Vec<_> = entry.detached.clone();
        entry.record = None;
        self.records = None;
        for executor in &executors {
            tasks.extend(
                self.executors
                    .get(*executor)
                    .iter()
                    .flat_map(|executor| &executor.tasks),
            );
        }
        for task in tasks {
            self.timers.cancel(TimerKey::UpdateRetry(task));
            let detached = self
                .tasks
                .get(task)
                .is_some_and(|task| task.executor.is_none());
            if detached {
                self.complete_task(turn, task);
            }
        }
        for executor in executors {
            self.shut_down(turn, executor);
            self.retire(turn, executor);
        }
    }

    /// Completes an ending once the last container is gone.
    pub(crate) fn finish_ending(&mut self, turn: &mut Turn<'_>) {
        let Phase::Ending(cause) = self.phase else {
            return;
        };
        if self
            .executors
            .iter()
            .any(|(_, executor)| executor.container != Container::Gone)
            || !self.probes.is_empty()
            || self.nested.has_living()
        {
            return;
        }
        let message = match cause {
            EndCause::Drained => {
                let message = Some("the agent was asked to end its tasks and to stop".to_owned());
                self.tell_master(turn, Body::Unregister(Unregister { message }));
                "asked to stop; all tasks have ended"
            }
            EndCause::Ordered => "the master removed this agent",
            EndCause::Cleanup => "clean-up is complete",
        };
        self.identity.agent = Arc::new(AgentInfo {
            id: None,
            ..self.config.agent.clone()
        });
        self.record_identity(turn);
        self.stop(turn, 0, message.to_owned());
    }

    pub(crate) fn stop(&mut self, turn: &mut Turn<'_>, exit_code: u8, message: String) {
        self.phase = Phase::Stopped;
        self.records = None;
        turn.push(Effect::Stop { exit_code, message });
    }
}
