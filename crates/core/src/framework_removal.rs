//! The end of a framework: teardown or time-out, and how many completed ones are remembered.

use std::collections::BTreeSet;
use std::sync::Arc;

use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use v1::task_status::Reason;

use crate::effect::{Effect, Effects};
use crate::event::TimerKey;
use crate::fact::Fact;
use crate::frameworks::sched_key;
use crate::key::FrameworkKey;
use crate::master::Master;
use crate::metrics::Counter;
use crate::records::FrameworkState;
use crate::wire::{self};

impl Master {
    pub(crate) fn on_failover_timeout(&mut self, key: FrameworkKey, effects: &mut Effects) {
        let waiting = self
            .records
            .frameworks
            .get(key.index())
            .map(|record| record.state);
        if matches!(
            waiting,
            Some(FrameworkState::Disconnected | FrameworkState::Recovered)
        ) {
            self.remove_framework(key, effects);
        }
    }

    pub(crate) fn on_teardown(&mut self, key: FrameworkKey, effects: &mut Effects) {
        self.records
            .metrics
            .count(Counter::MessagesUnregisterFramework);
        if let Some(connection) = self.framework_live(key).connection.take() {
            self.index.streams.remove(&connection.stream);
            self.cancel_timer(TimerKey::Heartbeat(connection.stream), effects);
            effects.list.push(Effect::CloseStream(connection.stream));
        }
        self.discard_offers(key, effects);
        self.remove_framework(key, effects);
    }

    /// Ends everything of a framework and moves it to the completed ones.
    pub(crate) fn remove_framework(&mut self, key: FrameworkKey, effects: &mut Effects) {
        self.cancel_timer(TimerKey::Failover(key), effects);
        let id = Arc::clone(&self.framework(key).id);
        let token = self.forget_framework(key, effects);
        let agents: BTreeSet<_> = self
            .agents
            .iter()
            .filter(|(_, live)| live.session.is_some())
            .map(|(agent, _)| *agent)
            .collect();
        for agent in agents {
            let body = Body::ShutdownFramework(agent::ShutdownFramework {
                framework_id: wire::framework_id_of(&id),
            });
            self.send_agent(agent, body, Some(token), effects);
        }
        let tasks: Vec<_> = self.framework_live(key).tasks.iter().copied().collect();
        for task in tasks {
            self.end_task_by_master(
                task,
                v1::TaskState::TaskKilled,
                Reason::FrameworkRemoved,
                format!("Framework {id} removed"),
                effects,
            );
        }
        let executors: Vec<_> = self.framework_live(key).executors.iter().copied().collect();
        for executor in executors {
            self.remove_executor(executor);
        }
        for live in self.agents.values_mut() {
            live.told_frameworks.remove(&key);
        }
        // They stay in the framework's list for readers; their agents will be told to end them.
        for task in self.framework_live(key).unreachable.clone() {
            if let Some(agent) = self.task(task).map(|task| task.agent) {
                let live = self.agent_live(agent);
                live.unreachable.remove(&task);
                live.pending_kills.remove(&task);
            }
        }
        self.sched.remove_framework(sched_key(key));
        let now = self.now.wall;
        let record = self.framework_mut(key);
        record.state = FrameworkState::Completed;
        record.unregistered_at = Some(now);
        let info = Box::new((*record.info).clone());
        self.refresh_roles();
        self.emit(
            Fact::FrameworkRemoved {
                framework: key,
                info,
            },
            effects,
        );
        self.remember_completed_framework(key);
    }

    /// Adds to the completed frameworks, which are bounded in number.
    pub(crate) fn remember_completed_framework(&mut self, key: FrameworkKey) {
        self.completed_frameworks.push_back(key);
        while self.completed_frameworks.len() > self.config.max_completed_frameworks {
            let oldest = self
                .completed_frameworks
                .pop_front()
                .expect("its length was just seen to be positive");
            self.forget_completed_framework(oldest);
        }
    }

    pub(crate) fn forget_completed_framework(&mut self, key: FrameworkKey) {
        let live = self.frameworks.remove(&key).unwrap_or_default();
        for task in live.completed.into_iter().chain(live.unreachable) {
            self.drop_task_record(task);
        }
        if let Some(record) = self.records.frameworks.remove(key.index()) {
            self.index.frameworks.remove(&record.id);
        }
        self.free.frameworks.give(key.0);
    }
}
