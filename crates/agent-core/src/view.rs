//! Builds what the agent shows of itself, re-using what has not changed.

use crate::agent::{AgentCore, Phase};
use crate::journal::ExecutorKind;
use crate::model::{
    Container, Executor, ExecutorKey, Framework, FrameworkKey, FrameworkPhase, TaskKey,
};
use crate::records::{
    AgentRecords, ExecutorRecord, FrameworkRecord, RegistrationState, TaskRecord,
};
use bytes::Bytes;
use mezz_proto::agent_protocol::Reregister;
use mezz_proto::v1::{AgentInfo, Task};
use prost::Message as _;
use std::sync::Arc;

impl AgentCore {
    /// What the agent shows of itself; cached until something changes.
    pub fn records(&mut self) -> Arc<AgentRecords> {
        if let Some(records) = &self.records
            && records.counters == self.counters
        {
            return Arc::clone(records);
        }
        let keys: Vec<FrameworkKey> = self.framework_keys.values().copied().collect();
        let records = Arc::new(AgentRecords {
            agent: Arc::clone(&self.identity.agent),
            registration: match self.phase {
                Phase::Starting | Phase::Recovering => RegistrationState::Recovering,
                Phase::Running if self.is_registered() => RegistrationState::Registered,
                Phase::Running => RegistrationState::Disconnected,
                Phase::Ending(_) | Phase::Stopped => RegistrationState::Stopping,
            },
            master: self.session.master.clone(),
            frameworks: keys
                .into_iter()
                .map(|key| self.framework_record(key))
                .collect(),
            completed_frameworks: self.completed_frameworks.iter().cloned().collect(),
            containers: self.container_records(),
            counters: self.counters,
        });
        self.records = Some(Arc::clone(&records));
        records
    }

    pub(crate) fn framework_record(&mut self, framework: FrameworkKey) -> Arc<FrameworkRecord> {
        let entry = self
            .frameworks
            .get(framework)
            .expect("only called for a framework that is there");
        if let Some(record) = &entry.record {
            return Arc::clone(record);
        }
        let is_shown = |key: &ExecutorKey| {
            let entry = self.executors.get(*key);
            entry.is_none_or(|entry| entry.member.is_none())
        };
        let keys: Vec<ExecutorKey> = entry.executors.values().copied().filter(is_shown).collect();
        let executors = keys
            .into_iter()
            .map(|key| self.executor_record(key))
            .collect();
        let entry = self.frameworks.get_mut(framework).expect("just seen");
        let record = Arc::new(FrameworkRecord {
            info: Arc::clone(&entry.info),
            executors,
            completed_executors: entry.completed.iter().cloned().collect(),
        });
        entry.record = Some(Arc::clone(&record));
        record
    }

    pub(crate) fn executor_record(&mut self, executor: ExecutorKey) -> Arc<ExecutorRecord> {
        let entry = self
            .executors
            .get(executor)
            .expect("only called for an executor that is there");
        if let Some(record) = &entry.record {
            return Arc::clone(record);
        }
        let members: Vec<ExecutorKey> = entry.members.clone();
        let members: Vec<Arc<ExecutorRecord>> = members
            .into_iter()
            .map(|member| self.executor_record(member))
            .collect();
        let entry = self.executors.get(executor).expect("just seen");
        let show = |task: &TaskKey| self.tasks.get(*task).map(crate::model::Task::record);
        let own = entry.tasks.iter().filter_map(show);
        let of_members = members
            .iter()
            .flat_map(|member| member.tasks.iter().cloned());
        let tasks: Vec<TaskRecord> = own.chain(of_members).collect();
        let queued = entry.queued.iter().filter_map(show).collect();
        let record = Arc::new(ExecutorRecord {
            given_info: entry.info.clone(),
            framework_id: self
                .frameworks
                .get(entry.framework)
                .map_or_else(|| "".into(), |framework| Arc::clone(&framework.id)),
            kind: entry.kind,
            state: entry.state,
            container_id: entry.container_id,
            launch_id: entry.launch_id,
            pid: entry.container.pid(),
            sandbox: entry.sandbox.clone(),
            queued,
            tasks,
            completed: entry.completed.iter().cloned().collect(),
            members,
        });
        self.executors.get_mut(executor).expect("just seen").record = Some(Arc::clone(&record));
        record
    }

    /// What the agent runs and still holds, for a master that may have forgotten it.
    pub(crate) fn reregistration(
        &self,
        agent: AgentInfo,
        version: String,
        capabilities: Vec<String>,
    ) -> Reregister {
        let agent_id = self.agent_id().unwrap_or_default();
        let mut message = Reregister {
            agent,
            version,
            capabilities,
            ip: Some(self.config.ip.clone()),
            ..Reregister::default()
        };
        let living = self.framework_keys.values();
        for framework in living.filter_map(|key| self.frameworks.get(*key)) {
            if framework.phase != FrameworkPhase::Terminating {
                self.report_framework(framework, agent_id, &mut message);
            }
        }
        for framework in &self.completed_frameworks {
            let id = framework
                .info
                .id
                .as_ref()
                .map(|id| id.value.as_str())
                .unwrap_or_default();
            message
                .completed_frameworks
                .push(framework.info.as_ref().clone());
            message.completed_tasks.extend(completed_tasks(
                framework.completed_executors.iter(),
                id,
                agent_id,
            ));
        }
        message
    }

    fn report_framework(&self, framework: &Framework, agent_id: &str, message: &mut Reregister) {
        message.frameworks.push(framework.info.as_ref().clone());
        let executors = framework.executors.values();
        for executor in executors.filter_map(|key| self.executors.get(*key)) {
            self.report_executor(executor, &framework.id, agent_id, message);
        }
        let detached = framework
            .detached
            .iter()
            .filter_map(|task| self.tasks.get(*task));
        message.tasks.extend(
            detached.map(|task| encoded(&task.record().to_task(&framework.id, agent_id, None))),
        );
        message.completed_tasks.extend(completed_tasks(
            framework.completed.iter(),
            &framework.id,
            agent_id,
        ));
    }

    fn report_executor(
        &self,
        executor: &Executor,
        framework_id: &str,
        agent_id: &str,
        message: &mut Reregister,
    ) {
        let pod = executor
            .member
            .and_then(|member| self.executors.get(member.pod));
        let shown = pod.unwrap_or(executor);
        let executor_id = (shown.kind != ExecutorKind::Command).then_some(shown.id.as_ref());
        let held = executor
            .tasks
            .iter()
            .chain(&executor.queued)
            .filter_map(|task| self.tasks.get(*task));
        message.tasks.extend(
            held.map(|task| encoded(&task.record().to_task(framework_id, agent_id, executor_id))),
        );
        message.completed_tasks.extend(
            executor
                .completed
                .iter()
                .map(|task| encoded(&task.to_task(framework_id, agent_id, executor_id))),
        );
        let alive = executor.container != Container::Gone;
        message.executors.extend(
            executor
                .info
                .iter()
                .filter(|_| alive)
                .map(|info| info.as_ref().clone()),
        );
    }
}

/// A task as a registration carries it.
fn encoded(task: &Task) -> Bytes {
    task.encode_to_vec().into()
}

fn completed_tasks<'a>(
    executors: impl Iterator<Item = &'a Arc<ExecutorRecord>>,
    framework_id: &str,
    agent_id: &str,
) -> Vec<Bytes> {
    executors
        .flat_map(|executor| {
            let given = executor
                .given_info
                .as_ref()
                .filter(|_| executor.kind != ExecutorKind::Command);
            let executor_id = given.map(|info| info.executor_id.value.as_str());
            executor
                .completed
                .iter()
                .map(move |task| encoded(&task.to_task(framework_id, agent_id, executor_id)))
        })
        .collect()
}
