//! The calls that frameworks make: mostly good, some late, some wrong.

use mezz_proto::to_json;
use mezz_proto::v1::scheduler::{Call, call};
use mezz_proto::v1::{self, command_info, offer};
use prost::Message;

use crate::processes::{EXECUTOR_PROGRAM, SERVICE_PROGRAM};
use crate::schedule::End;
use crate::task_view::TaskView;
use crate::world::World;

impl World {
    pub(crate) fn framework_call(
        &mut self,
        framework: usize,
        kind: call::Type,
        fill: impl FnOnce(&mut Call),
    ) {
        let node = &self.frameworks[framework];
        let Some(link) = node.link else { return };
        let framework_id = node.id.clone().map(|value| v1::FrameworkId { value });
        let mut call = Call {
            framework_id,
            r#type: Some(kind as i32),
            ..Call::default()
        };
        fill(&mut call);
        let bytes = if node.json {
            to_json(&call)
        } else {
            call.encode_to_vec()
        };
        self.send(link, End::Master, bytes);
    }

    pub(crate) fn use_offers(&mut self, framework: usize) {
        let offers: Vec<v1::Offer> = self.frameworks[framework]
            .offers
            .values()
            .cloned()
            .collect();
        for offer in offers {
            if !self.frameworks[framework]
                .offers
                .contains_key(&offer.id.value)
            {
                continue;
            }
            match self.rng.below(10) {
                0..6 => self.accept(framework, &offer),
                6..8 => {
                    let seconds = [0.0, 1.0, 5.0, 30.0][self.rng.index(4)];
                    self.decline(framework, vec![offer.id.clone()], seconds);
                }
                _ => {}
            }
        }
    }

    fn accept(&mut self, framework: usize, offer: &v1::Offer) {
        let mut used = vec![offer.id.clone()];
        if self.rng.chance(150) {
            let others = self.frameworks[framework].offers.values();
            used.extend(
                others
                    .filter(|other| other.agent_id == offer.agent_id && other.id != offer.id)
                    .map(|other| other.id.clone()),
            );
        }
        let count = self.rng.below(4);
        let task_infos: Vec<v1::TaskInfo> = (0..count)
            .map(|_| self.new_task(framework, &offer.agent_id))
            .collect();
        let mut operations = Vec::new();
        if !task_infos.is_empty() {
            operations.push(v1::offer::Operation {
                r#type: Some(offer::operation::Type::Launch as i32),
                launch: Some(offer::operation::Launch { task_infos }),
                ..v1::offer::Operation::default()
            });
        }
        if self.rng.chance(150) {
            operations.push(self.new_group(framework, &offer.agent_id));
        }
        for id in &used {
            // Now and then it uses an offer twice.
            if !self.rng.chance(20) {
                self.frameworks[framework].offers.remove(&id.value);
            }
        }
        let filters = self.rng.chance(300).then_some(v1::Filters {
            refuse_seconds: Some(2.0),
        });
        let accept = call::Accept {
            offer_ids: used,
            operations,
            filters,
        };
        self.framework_call(framework, call::Type::Accept, |call| {
            call.accept = Some(accept);
        });
    }

    /// Some tasks that start and end together, in a pod that may run already.
    fn new_group(&mut self, framework: usize, agent_id: &v1::AgentId) -> v1::offer::Operation {
        let framework_id = self.frameworks[framework].id.clone();
        let executor = v1::ExecutorInfo {
            executor_id: v1::ExecutorId {
                value: format!("p{}", self.rng.below(3)),
            },
            r#type: Some(v1::executor_info::Type::Default as i32),
            framework_id: framework_id.map(|value| v1::FrameworkId { value }),
            resources: resources("cpus:0.1;mem:32;disk:10"),
            ..v1::ExecutorInfo::default()
        };
        let count = 1 + self.rng.below(3);
        let tasks = (0..count).map(|_| {
            let task = self.bare_task(framework, agent_id);
            self.with_command(task)
        });
        let tasks = tasks.collect();
        let group = offer::operation::LaunchGroup {
            executor,
            task_group: v1::TaskGroupInfo { tasks },
        };
        v1::offer::Operation {
            r#type: Some(offer::operation::Type::LaunchGroup as i32),
            launch_group: Some(Box::new(group)),
            ..v1::offer::Operation::default()
        }
    }

    fn new_task(&mut self, framework: usize, agent_id: &v1::AgentId) -> v1::TaskInfo {
        let task = self.bare_task(framework, agent_id);
        if self.rng.chance(250) {
            return v1::TaskInfo {
                executor: Some(Box::new(self.executor())),
                ..task
            };
        }
        self.with_command(task)
    }

    /// A task that says everything but what it runs.
    fn bare_task(&mut self, framework: usize, agent_id: &v1::AgentId) -> v1::TaskInfo {
        let node = &mut self.frameworks[framework];
        node.next_task += 1;
        let id = format!("f{framework}-t{}", node.next_task);
        node.tasks
            .insert(id.clone(), TaskView::new(agent_id.value.clone()));
        self.summary.launched += 1;
        self.note(|| format!("framework {framework} launches {id} on {}", agent_id.value));
        let cpus = if self.rng.chance(30) {
            100_000
        } else {
            50 + self.rng.below(500)
        };
        v1::TaskInfo {
            name: id.clone(),
            task_id: v1::TaskId { value: id },
            agent_id: agent_id.clone(),
            resources: resources(&format!(
                "cpus:{}.{:03};mem:{}",
                cpus / 1000,
                cpus % 1000,
                32 + self.rng.below(64)
            )),
            ..v1::TaskInfo::default()
        }
    }

    fn with_command(&mut self, task: v1::TaskInfo) -> v1::TaskInfo {
        let program = if self.rng.chance(200) {
            SERVICE_PROGRAM
        } else {
            "true"
        };
        let mut command = command(program);
        if self.rng.chance(150) {
            command.uris.push(command_info::Uri {
                value: "http://x/y".into(),
                ..command_info::Uri::default()
            });
        }
        v1::TaskInfo {
            command: Some(command),
            ..self.with_checks(task)
        }
    }

    fn executor(&mut self) -> v1::ExecutorInfo {
        let number = self.rng.below(3);
        v1::ExecutorInfo {
            executor_id: v1::ExecutorId {
                value: format!("e{number}"),
            },
            command: Some(command(EXECUTOR_PROGRAM)),
            resources: resources("cpus:0.1;mem:32"),
            ..v1::ExecutorInfo::default()
        }
    }

    fn decline(&mut self, framework: usize, offer_ids: Vec<v1::OfferId>, seconds: f64) {
        for id in &offer_ids {
            self.frameworks[framework].offers.remove(&id.value);
        }
        let filters = Some(v1::Filters {
            refuse_seconds: Some(seconds),
        });
        let decline = call::Decline { offer_ids, filters };
        self.framework_call(framework, call::Type::Decline, |call| {
            call.decline = Some(decline);
        });
    }

    pub(crate) fn decline_all(&mut self, framework: usize, seconds: f64) {
        let ids: Vec<v1::OfferId> = self.frameworks[framework]
            .offers
            .values()
            .map(|offer| offer.id.clone())
            .collect();
        if !ids.is_empty() {
            self.decline(framework, ids, seconds);
        }
    }

    pub(crate) fn kill_some_task(&mut self, framework: usize) {
        let open = self.frameworks[framework].open_tasks();
        if !open.is_empty() {
            let task = open[self.rng.index(open.len())].clone();
            self.kill_task(framework, &task);
        }
    }

    pub(crate) fn kill_task(&mut self, framework: usize, task: &str) {
        let with_agent = self.rng.chance(500);
        let Some(view) = self.frameworks[framework].tasks.get_mut(task) else {
            return;
        };
        view.killed = true;
        let agent_id = with_agent.then(|| v1::AgentId {
            value: view.agent_id.clone(),
        });
        self.note(|| format!("framework {framework} kills {task}"));
        let kill = call::Kill {
            task_id: v1::TaskId {
                value: task.to_owned(),
            },
            agent_id,
            kill_policy: None,
        };
        self.framework_call(framework, call::Type::Kill, |call| call.kill = Some(kill));
    }

    pub(crate) fn reconcile_open(&mut self, framework: usize) {
        let node = &self.frameworks[framework];
        let tasks: Vec<call::reconcile::Task> = node
            .open_tasks()
            .into_iter()
            .map(|id| call::reconcile::Task {
                agent_id: node.tasks.get(&id).map(|view| v1::AgentId {
                    value: view.agent_id.clone(),
                }),
                task_id: v1::TaskId { value: id },
            })
            .collect();
        if !tasks.is_empty() {
            self.framework_call(framework, call::Type::Reconcile, |call| {
                call.reconcile = Some(call::Reconcile { tasks });
            });
        }
    }

    pub(crate) fn reconcile_implicitly(&mut self, framework: usize) {
        self.framework_call(framework, call::Type::Reconcile, |call| {
            call.reconcile = Some(call::Reconcile::default());
        });
    }

    pub(crate) fn suppress_or_revive(&mut self, framework: usize) {
        if self.rng.chance(250) {
            self.framework_call(framework, call::Type::Suppress, |_| {});
        } else {
            self.framework_call(framework, call::Type::Revive, |_| {});
        }
    }

    /// An executor that the framework may have, where its oldest open task is.
    fn some_executor(&mut self, framework: usize) -> Option<(v1::ExecutorId, v1::AgentId)> {
        let node = &self.frameworks[framework];
        let open = node.open_tasks();
        let view = node.tasks.get(open.first()?)?;
        let agent_id = v1::AgentId {
            value: view.agent_id.clone(),
        };
        let executor_id = v1::ExecutorId {
            value: format!("e{}", self.rng.below(3)),
        };
        Some((executor_id, agent_id))
    }

    pub(crate) fn shut_an_executor_down(&mut self, framework: usize) {
        let Some((executor_id, agent_id)) = self.some_executor(framework) else {
            return;
        };
        self.note(|| format!("framework {framework} shuts {} down", executor_id.value));
        let shutdown = call::Shutdown {
            executor_id,
            agent_id,
        };
        self.framework_call(framework, call::Type::Shutdown, |call| {
            call.shutdown = Some(shutdown);
        });
    }

    pub(crate) fn message_an_executor(&mut self, framework: usize) {
        let Some((executor_id, agent_id)) = self.some_executor(framework) else {
            return;
        };
        let message = call::Message {
            agent_id,
            executor_id,
            data: "any bytes".into(),
        };
        self.framework_call(framework, call::Type::Message, |call| {
            call.message = Some(message);
        });
    }

    pub(crate) fn update_framework(&mut self, framework: usize) {
        let roles = [&["a"][..], &["b"], &["a", "b"]][self.rng.index(3)];
        let node = &mut self.frameworks[framework];
        if node.info.role.is_none() {
            node.info.roles = roles.iter().map(|role| (*role).to_owned()).collect();
        }
        let id = node.id.clone().map(|value| v1::FrameworkId { value });
        let framework_info = v1::FrameworkInfo {
            id,
            ..node.info.clone()
        };
        let update = call::UpdateFramework {
            framework_info,
            ..call::UpdateFramework::default()
        };
        self.framework_call(framework, call::Type::UpdateFramework, |call| {
            call.update_framework = Some(Box::new(update));
        });
    }

    pub(crate) fn tear_down(&mut self, framework: usize) {
        self.note(|| format!("framework {framework} tears itself down"));
        self.framework_call(framework, call::Type::Teardown, |_| {});
        self.frameworks[framework].over = true;
        let link = self.frameworks[framework].link;
        if let Some(link) = link {
            self.close(link, End::Peer);
        }
    }
}

fn resources(text: &str) -> Vec<v1::Resource> {
    mezz_resource::parse_text(text, "*")
        .expect("well formed where it is written")
        .to_proto()
}

fn command(program: &str) -> v1::CommandInfo {
    v1::CommandInfo {
        value: Some(program.into()),
        ..v1::CommandInfo::default()
    }
}
