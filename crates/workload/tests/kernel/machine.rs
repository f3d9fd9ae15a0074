//! What the kernel does with effects, and how its tasks live and end.

use mezz_proto::v1::TaskState;
use mezz_workload::effect::Effect;
use mezz_workload::event::{CheckFound, Event, FoundByMany, Placed, Status};

use super::{Kernel, Task};

impl Kernel {
    pub(super) fn perform(&mut self, effect: Effect, placed: Option<&Placed>) {
        match effect {
            Effect::Reply { request, reply } => {
                self.replies.insert(request.0, reply);
            }
            Effect::Persist(writes) => {
                for (key, value) in writes {
                    match value {
                        Some(value) => self.store.insert(key, value),
                        None => self.store.remove(&key),
                    };
                }
            }
            Effect::Demand { key, demand } => {
                assert!(demand.count > 0, "an empty demand is withdrawn");
                self.demands.insert(key, *demand);
            }
            Effect::Withdraw(key) => {
                self.demands.remove(&key);
            }
            Effect::Launch(launch) => {
                let placed = placed.expect("launches answer places");
                let id = launch.task.task_id.value.clone();
                self.terms.insert(id, launch.terms);
                self.start(launch.task, placed);
            }
            Effect::Expect { task, .. } => {
                assert!(!task.agent_id.value.is_empty() && !task.resources.is_empty());
            }
            Effect::Kill { instance, .. } => {
                self.kills.push((self.now, instance.to_string()));
                if let Some(task) = self.tasks.get_mut(&*instance) {
                    task.told_to_end = true;
                    if self.manners.ends && !self.unreachable.contains(&task.agent) {
                        self.finish(&instance, TaskState::TaskKilled, "it was told to end");
                    }
                }
            }
            Effect::SetTimer { key, at } => {
                self.timers.insert(key, at);
            }
            Effect::CancelTimer(key) => {
                self.timers.remove(&key);
            }
            Effect::Fact(fact) => self.facts.push((*fact).clone()),
            Effect::Decline => {}
        }
    }

    fn start(&mut self, info: mezz_proto::v1::TaskInfo, placed: &Placed) {
        let id = info.task_id.value.clone();
        assert!(id.len() <= mezz_workload::MAX_ID_BYTES);
        let (group, cpus) = self.placing.expect("something is being placed");
        self.launches.push((self.now, info.clone()));
        let task = Task {
            info,
            agent: placed.agent.id.clone(),
            group,
            cpus,
            state: TaskState::TaskStaging,
            healthy: None,
            check: None,
            findings: None,
            launched_at: self.now,
            told_to_end: false,
        };
        assert!(
            self.tasks.insert(id.clone(), task).is_none(),
            "{id} was launched twice"
        );
        if self.manners.starts {
            self.tasks.get_mut(&id).unwrap().state = TaskState::TaskRunning;
            self.later(&id);
        }
    }

    /// The status of a task as it is now.
    fn status(&self, id: &str) -> Status {
        let task = &self.tasks[id];
        Status {
            state: task.state,
            at: None,
            reason: None,
            message: "".into(),
            healthy: task.healthy,
            check: task.check,
            findings: task.findings.clone(),
            exit_status: None,
            addresses: Vec::new(),
        }
    }

    fn later(&mut self, id: &str) {
        let status = self.status(id);
        self.events.push_back(Event::Status {
            instance: id.into(),
            status,
        });
    }

    /// Its agent tells how the task is.
    pub fn tell(&mut self, id: &str) {
        let status = self.status(id);
        self.send(Event::Status {
            instance: id.into(),
            status,
        });
    }

    /// The task runs.
    pub fn run(&mut self, id: &str) {
        self.tasks.get_mut(id).unwrap().state = TaskState::TaskRunning;
        self.tell(id);
        self.settle();
    }

    /// The verdict of the health check.
    pub fn set_health(&mut self, id: &str, healthy: bool) {
        self.tasks.get_mut(id).unwrap().healthy = Some(healthy);
        self.tell(id);
        self.settle();
    }

    /// What the task's check found.
    pub fn set_check(&mut self, id: &str, found: CheckFound) {
        self.tasks.get_mut(id).unwrap().check = Some(found);
        self.tell(id);
        self.settle();
    }

    /// What several checks of the task found.
    pub fn set_findings(&mut self, id: &str, found: FoundByMany) {
        self.tasks.get_mut(id).unwrap().findings = Some(Box::new(found));
        self.tell(id);
        self.settle();
    }

    /// The task ends, and all that follows.
    pub fn end(&mut self, id: &str, state: TaskState, message: &str) {
        self.finish(id, state, message);
        self.settle();
    }

    fn finish(&mut self, id: &str, state: TaskState, message: &str) {
        self.tasks.get_mut(id).unwrap().state = state;
        let status = Status {
            message: message.into(),
            ..self.status(id)
        };
        self.tasks.remove(id);
        self.events.push_back(Event::Status {
            instance: id.into(),
            status,
        });
    }
}
