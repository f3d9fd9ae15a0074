//! Custom executors: their records, and what goes between them and their framework.

use std::sync::Arc;

use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use mezz_resource::Resources;

use crate::effect::Effects;
use crate::key::{AgentKey, ExecutorKey, FrameworkKey};
use crate::launch::allocated;
use crate::master::Master;
use crate::metrics::Counter;
use crate::records::ExecutorRecord;
use crate::wire;

impl Master {
    pub(crate) fn executor_demand(
        &self,
        framework: FrameworkKey,
        agent: AgentKey,
        role: &str,
        executor: &v1::ExecutorInfo,
    ) -> Result<Option<Resources>, String> {
        let own = &self.framework(framework).id;
        if let Some(id) = executor
            .framework_id
            .as_ref()
            .filter(|id| *id.value != **own)
        {
            return Err(format!(
                "ExecutorInfo has an invalid FrameworkID (Actual: {} vs Expected: {own})",
                id.value
            ));
        }
        if let Some(running) = self.running_executor(framework, agent, &executor.executor_id.value)
        {
            if *running.info != *executor {
                return Err(format!(
                    "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\nExisting ExecutorInfo: {:?}\nExecutorInfo: {:?}",
                    running.info, executor
                ));
            }
            return Ok(None);
        }
        let resources = allocated(&executor.resources, role)
            .map_err(|error| format!("Executor uses invalid resources: {error}"))?;
        Ok(Some(resources))
    }

    pub(crate) fn running_executor(
        &self,
        framework: FrameworkKey,
        agent: AgentKey,
        id: &str,
    ) -> Option<&Arc<ExecutorRecord>> {
        let key = self.index.executors.get(&(agent, framework, id.into()))?;
        self.records.executors.get(key.index())
    }

    pub(crate) fn admit_executor(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        role: &Arc<str>,
        info: &v1::ExecutorInfo,
        resources: Option<Resources>,
    ) {
        let running = self.running_executor(framework, agent, &info.executor_id.value);
        if running.is_none() {
            let resources = resources.unwrap_or_default();
            self.insert_executor(framework, agent, role, info.clone(), resources);
        }
    }

    pub(crate) fn insert_executor(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        role: &Arc<str>,
        info: v1::ExecutorInfo,
        resources: Resources,
    ) -> ExecutorKey {
        let task_count = self.tasks_of_executor(framework, agent, &info.executor_id.value);
        let key = ExecutorKey(self.free.executors.take());
        let id: Box<str> = info.executor_id.value.as_str().into();
        self.index
            .executors
            .insert((agent, framework, id.clone()), key);
        self.framework_live(framework).executors.insert(key);
        self.agent_live(agent).executors.insert(key);
        let record = ExecutorRecord {
            key,
            framework,
            agent,
            id,
            role: Arc::clone(role),
            info: Arc::new(info),
            resources: Arc::new(resources),
            task_count,
        };
        self.records.executors.insert(key.index(), record);
        key
    }

    /// Tasks of an earlier run of the same executor may still be live when a new one begins.
    fn tasks_of_executor(&self, framework: FrameworkKey, agent: AgentKey, id: &str) -> u32 {
        let Some(live) = self.agents.get(&agent) else {
            return 0;
        };
        let count = live
            .tasks
            .iter()
            .filter_map(|key| self.task(*key))
            .filter(|task| task.framework == framework && !wire::is_terminal(task.state))
            .filter(|task| task.executor_id.as_deref() == Some(id))
            .count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Forgets an executor and gives its own resources back.
    pub(crate) fn remove_executor(&mut self, key: ExecutorKey) {
        let Some(executor) = self.records.executors.remove(key.index()) else {
            return;
        };
        self.free.executors.give(key.0);
        self.index
            .executors
            .remove(&(executor.agent, executor.framework, executor.id.clone()));
        self.framework_live(executor.framework)
            .executors
            .remove(&key);
        self.agent_live(executor.agent).executors.remove(&key);
        self.release(executor.framework, executor.agent, &executor.resources);
    }

    pub(crate) fn on_shutdown_executor(
        &mut self,
        framework: FrameworkKey,
        call: v1::scheduler::call::Shutdown,
        effects: &mut Effects,
    ) {
        let Some(agent) = self.index.agents.get(call.agent_id.value.as_str()).copied() else {
            return self.records.metrics.count(Counter::DroppedMessages);
        };
        let framework_id = wire::framework_id_of(&self.framework(framework).id);
        let body = Body::ShutdownExecutor(agent::ShutdownExecutor {
            framework_id,
            executor_id: call.executor_id,
        });
        if !self.send_agent(agent, body, None, effects) {
            self.records.metrics.count(Counter::DroppedMessages);
        }
    }

    pub(crate) fn on_framework_message(
        &mut self,
        framework: FrameworkKey,
        call: v1::scheduler::call::Message,
        effects: &mut Effects,
    ) {
        self.records
            .metrics
            .count(Counter::MessagesFrameworkToExecutor);
        let framework_id = wire::framework_id_of(&self.framework(framework).id);
        let agent = self.index.agents.get(call.agent_id.value.as_str()).copied();
        let body = Body::FrameworkMessage(agent::FrameworkMessage {
            framework_id,
            executor_id: call.executor_id,
            data: call.data,
        });
        let sent = agent.is_some_and(|agent| self.send_agent(agent, body, None, effects));
        self.records.metrics.count(if sent {
            Counter::ValidFrameworkToExecutorMessages
        } else {
            Counter::InvalidFrameworkToExecutorMessages
        });
    }

    pub(crate) fn on_executor_message(
        &mut self,
        agent: AgentKey,
        message: agent::ExecutorMessage,
        effects: &mut Effects,
    ) {
        self.records
            .metrics
            .count(Counter::MessagesExecutorToFramework);
        let framework = self
            .index
            .frameworks
            .get(message.framework_id.value.as_str())
            .copied();
        let agent_id = Arc::clone(&self.agent(agent).id);
        let event = wire::message(&agent_id, message.executor_id, message.data);
        let sent = framework.is_some_and(|framework| self.send_event(framework, event, effects));
        self.records.metrics.count(if sent {
            Counter::ValidExecutorToFrameworkMessages
        } else {
            Counter::InvalidExecutorToFrameworkMessages
        });
    }

    pub(crate) fn on_executor_exited(
        &mut self,
        agent: AgentKey,
        exited: agent::ExecutorExited,
        effects: &mut Effects,
    ) {
        self.records.metrics.count(Counter::MessagesExitedExecutor);
        let Some(framework) = self
            .index
            .frameworks
            .get(exited.framework_id.value.as_str())
            .copied()
        else {
            return;
        };
        let name = (agent, framework, exited.executor_id.value.as_str().into());
        if let Some(executor) = self.index.executors.get(&name).copied() {
            self.remove_executor(executor);
        }
        let agent_id = Arc::clone(&self.agent(agent).id);
        self.send_event(
            framework,
            wire::failure(&agent_id, Some(exited.executor_id), Some(exited.status)),
            effects,
        );
    }
}
