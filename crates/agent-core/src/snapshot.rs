//! From the state to the shortest journal that leads to it.

use crate::agent::AgentCore;
use crate::entries::{Place, lasting};
use crate::journal::{Membership, Record};
use crate::model::{Container, Framework, FrameworkKey, Task};
use std::sync::Arc;

impl AgentCore {
    /// The shortest journal that leads to the present state, for compaction.
    pub fn snapshot(&self) -> Vec<Record> {
        let mut records = vec![self.identity.record()];
        let token = self
            .registration_token
            .clone()
            .filter(|_| self.identity.agent.id.is_none());
        records.extend(token.map(|token| Record::RegistrationToken { token }));
        let recorded = self
            .known_frameworks
            .values()
            .filter(|known| known.recorded);
        records.extend(recorded.map(|known| Record::Framework {
            info: Arc::clone(&known.info),
        }));
        self.snapshot_executors(&mut records);
        let mut tasks: Vec<&Task> = self.tasks.iter().map(|(_, task)| task).collect();
        tasks.sort_by_key(|task| task.serial);
        for task in tasks {
            if let Some(framework) = self.checkpointed(task.framework) {
                self.snapshot_task(task, framework.id.as_ref(), &mut records);
            }
        }
        for (_, executor) in self.executors.iter() {
            if let Some(facts) = &executor.facts
                && self.checkpointed(executor.framework).is_some()
            {
                records.push(Record::ContainerDescribed {
                    launch_id: executor.launch_id,
                    facts: facts.clone(),
                });
            }
        }
        for (_, executor) in self
            .executors
            .iter()
            .filter(|(_, executor)| executor.container == Container::Gone)
        {
            if executor.info.is_some() && self.checkpointed(executor.framework).is_some() {
                records.push(Record::ExecutorEnded {
                    launch_id: executor.launch_id,
                });
            }
        }
        self.snapshot_nested(&mut records);
        records
    }

    fn checkpointed(&self, framework: FrameworkKey) -> Option<&Framework> {
        self.frameworks
            .get(framework)
            .filter(|framework| framework.traits.checkpoint)
    }

    fn snapshot_executors(&self, records: &mut Vec<Record>) {
        for (_, executor) in self.executors.iter() {
            let framework = self.checkpointed(executor.framework);
            let (Some(framework), Some(info)) = (framework, &executor.info) else {
                continue;
            };
            records.push(Record::ExecutorLaunched {
                framework_id: framework.id.as_ref().to_owned(),
                info: Arc::clone(info),
                container_id: executor.container_id,
                launch_id: executor.launch_id,
            });
        }
    }

    fn snapshot_task(&self, task: &Task, framework_id: &str, records: &mut Vec<Record>) {
        let serial = task.serial;
        let executor = task.executor.and_then(|key| self.executors.get(key));
        let place = executor.map_or(Place::NONE, |executor| Place {
            kind: executor.kind,
            launch_id: executor.launch_id,
            container_id: executor.container_id,
            member: executor.member.and_then(|member| {
                let pod = self.executors.get(member.pod)?.launch_id;
                Some(Membership {
                    pod,
                    group: member.group,
                })
            }),
        });
        records.push(Record::TaskLaunched {
            serial,
            framework_id: framework_id.to_owned(),
            info: Arc::clone(&task.info),
            terms: task.terms.as_deref().and_then(lasting),
            launch_token: task.launch_token.number,
            launch_epoch: Some(task.launch_token.epoch),
            kind: place.kind,
            launch_id: place.launch_id,
            container_id: place.container_id,
            member: place.member,
        });
        let acknowledged = task.history.iter().filter(|status| {
            !task
                .updates
                .pending
                .iter()
                .any(|pending| pending.uuid == status.uuid)
        });
        for status in acknowledged {
            records.push(Record::Update {
                serial,
                status: Arc::clone(status),
            });
            records.push(Record::Acknowledged {
                serial,
                uuid: status.uuid.clone().unwrap_or_default(),
            });
        }
        records.extend(task.updates.pending.iter().map(|status| Record::Update {
            serial,
            status: Arc::clone(status),
        }));
        records.extend(task.kill.map(|kill| Record::KillRequested {
            serial,
            grace_ns: kill.grace_ns,
            cause: kill.cause,
        }));
        records.extend(task.checks.as_ref().map(|checks| Record::Checked {
            serial,
            state: checks.state(),
        }));
    }
}
