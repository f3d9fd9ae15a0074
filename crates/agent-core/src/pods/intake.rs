//! Taking in a group: the pod is made or found, and all of the group is in it before any of it starts.

use super::member_id;
use crate::agent::{AgentCore, Turn};
use crate::effect::Effect;
use crate::entries::{Place, Wanted};
use crate::ids::TaskSerial;
use crate::intake::Coming;
use crate::journal::{ExecutorKind, Membership, Record};
use crate::launch::PodSandbox;
use crate::model::{Container, ExecutorKey, FrameworkKey, Member, TaskKey};
use crate::records::ExecutorState;
use crate::status::NewStatus;
use crate::support::{Above, unsupported_in_pod, unsupported_in_task};
use crate::tokens::LaunchToken;
use mezz_proto::agent_protocol::RunGroup;
use mezz_proto::v1::task_status::Reason;
use mezz_proto::v1::{CommandInfo, ExecutorInfo, FrameworkId, TaskState, executor_info};
use std::sync::Arc;

/// The tasks of a group, each with the token of its launch.
type Group = Vec<(LaunchToken, Wanted)>;

impl AgentCore {
    pub(crate) fn on_run_group(&mut self, turn: &mut Turn<'_>, run: RunGroup) {
        let framework_id = run.framework_id.value;
        if !self.knows_framework(turn, &framework_id, run.framework, &run.tasks) {
            return;
        }
        let mut group = Vec::with_capacity(run.tasks.len());
        for run in run.tasks {
            let token = LaunchToken {
                epoch: self.identity.epoch,
                number: run.launch_token,
            };
            let id = &run.task.task_id.value;
            if !self.tokens.insert(token) {
                turn.ignored(format!(
                    "launch {} of task {id}, delivered again",
                    token.number
                ));
            } else if self.task_of(&framework_id, id).is_some() {
                turn.ignored(format!(
                    "task {id} of framework {framework_id} is here already"
                ));
            } else {
                let wanted = Wanted {
                    info: Arc::new(run.task),
                    terms: run.instance,
                };
                group.push((token, wanted));
            }
        }
        if !group.is_empty() {
            self.run_group(turn, &framework_id, run.executor, group);
        }
    }

    fn run_group(
        &mut self,
        turn: &mut Turn<'_>,
        framework_id: &str,
        executor: ExecutorInfo,
        mut group: Group,
    ) {
        let is_custom = executor.r#type() == executor_info::Type::Custom;
        if is_custom {
            for (_, wanted) in &mut group {
                let info = Arc::make_mut(&mut wanted.info);
                info.executor = Some(Box::new(executor.clone()));
            }
        }
        let framework = self.ensure_framework(framework_id);
        if self.is_terminating(framework) {
            turn.ignored(format!(
                "a task group of framework {framework_id}, which is being shut down"
            ));
            return;
        }
        if let Some(message) = unsupported_in_group(&executor, &group) {
            let status = NewStatus::of_agent(
                TaskState::TaskFailed,
                Reason::ContainerLaunchFailed,
                message,
            );
            return self.refuse_group(turn, framework, group, &status);
        }
        if is_custom {
            return self.run_group_of_custom_executor(turn, framework, group);
        }
        let existing = self
            .frameworks
            .get(framework)
            .and_then(|entry| entry.executors.get(executor.executor_id.value.as_str()))
            .copied();
        let message = existing
            .and_then(|key| self.executors.get(key))
            .and_then(|entry| match (entry.kind, entry.state) {
                (ExecutorKind::Command, _) => Some("Executor id is that of a command task"),
                (ExecutorKind::Custom, _) => Some("Executor id is that of a custom executor"),
                (ExecutorKind::Default, ExecutorState::Terminating) => Some("Executor terminating"),
                (ExecutorKind::Default, ExecutorState::Terminated) => Some("Executor terminated"),
                (ExecutorKind::Default, _) => None,
            });
        if let Some(message) = message {
            let status = NewStatus::of_agent(
                self.dropped_state(framework),
                Reason::ExecutorTerminated,
                message,
            );
            return self.refuse_group(turn, framework, group, &status);
        }
        let pod = existing.unwrap_or_else(|| self.add_pod(turn, framework, executor));
        self.start_group(turn, framework, pod, group);
    }

    /// It gets the group in one event.
    fn run_group_of_custom_executor(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkKey,
        group: Group,
    ) {
        let number = TaskSerial(self.next_serial);
        let count = group.len();
        for (index, (token, wanted)) in group.into_iter().enumerate() {
            let coming = Coming {
                group: Some(number),
                more: index + 1 < count,
            };
            self.run_task_of_custom_executor(turn, framework, token, wanted, coming);
        }
    }

    /// None of a group runs unless all of it can.
    fn refuse_group(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkKey,
        group: Group,
        status: &NewStatus,
    ) {
        for (token, wanted) in group {
            self.refuse_task(turn, framework, token, wanted, status.clone());
        }
    }

    fn add_pod(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkKey,
        wanted: ExecutorInfo,
    ) -> ExecutorKey {
        let framework_id = self
            .frameworks
            .get(framework)
            .expect("only called for a framework that is there")
            .id
            .as_ref()
            .to_owned();
        let info = Arc::new(ExecutorInfo {
            framework_id: Some(FrameworkId {
                value: framework_id.clone(),
            }),
            ..wanted
        });
        let (launch_id, container_id) = (self.rng.launch_id(), self.rng.container_id());
        let id = info.executor_id.value.as_str().into();
        let pod = self.add_executor(
            framework,
            id,
            ExecutorKind::Default,
            Some(Arc::clone(&info)),
            (launch_id, container_id),
        );
        self.hold(pod);
        self.checkpoint(
            turn,
            framework,
            Record::ExecutorLaunched {
                framework_id,
                info,
                container_id,
                launch_id,
            },
        );
        pod
    }

    /// Nothing has to start for a pod to be there.
    pub(crate) fn hold(&mut self, pod: ExecutorKey) {
        let entry = self
            .executors
            .get_mut(pod)
            .expect("only called for a pod that is there");
        entry.container = Container::Held;
        entry.state = ExecutorState::Running;
    }

    fn start_group(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkKey,
        pod: ExecutorKey,
        group: Group,
    ) {
        let member = Member {
            pod,
            // Serials never come again, unlike tokens.
            group: self.next_serial,
        };
        let tasks: Vec<(ExecutorKey, TaskKey)> = group
            .into_iter()
            .map(|(token, wanted)| self.add_member(turn, framework, member, (token, wanted)))
            .collect();
        self.make_pod_sandbox(turn, pod);
        for (_, task) in &tasks {
            self.update(turn, *task, NewStatus::of_executor(TaskState::TaskStarting));
        }
        for (executor, task) in tasks {
            let Some(info) = self.tasks.get(task).map(|task| Arc::clone(&task.info)) else {
                continue;
            };
            let command = info
                .command
                .as_ref()
                .expect("a task of a group has a command, or was refused");
            if self.fetch(turn, executor, command) == Container::Launching {
                self.launch_command_task(turn, executor, task);
            }
        }
    }

    fn add_member(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkKey,
        member: Member,
        (token, wanted): (LaunchToken, Wanted),
    ) -> (ExecutorKey, TaskKey) {
        let pod = self
            .executors
            .get(member.pod)
            .expect("only called for a pod that is there");
        let membership = Membership {
            pod: pod.launch_id,
            group: member.group,
        };
        let id = member_id(&pod.id, &wanted.info.task_id.value);
        let (launch_id, container_id) = (self.rng.launch_id(), self.rng.container_id());
        let executor = self.add_executor(
            framework,
            id,
            ExecutorKind::Command,
            None,
            (launch_id, container_id),
        );
        self.join_pod(executor, member);
        let place = Place {
            kind: ExecutorKind::Command,
            launch_id,
            container_id,
            member: Some(membership),
        };
        let task = self.add_task(turn, framework, Some(executor), token, wanted, place);
        self.executors
            .get_mut(executor)
            .expect("just added")
            .tasks
            .push(task);
        (executor, task)
    }

    fn make_pod_sandbox(&self, turn: &mut Turn<'_>, pod: ExecutorKey) {
        let Some(entry) = self.executors.get(pod) else {
            return;
        };
        turn.push(Effect::MakePodSandbox(Box::new(PodSandbox {
            sandbox: entry.sandbox.clone(),
            user: self.user_of(pod, &CommandInfo::default()),
        })));
    }
}

/// Why none of a group can be run here, if so.
fn unsupported_in_group(executor: &ExecutorInfo, group: &Group) -> Option<String> {
    let is_pod = executor.r#type() == executor_info::Type::Default;
    if is_pod && let Some(field) = unsupported_in_pod(executor) {
        return Some(format!(
            "Executor field '{field}' is not supported by this agent"
        ));
    }
    group.iter().find_map(|(_, wanted)| {
        let field = unsupported_in_task(&wanted.info, wanted.terms.as_deref(), Above::Pod)?;
        let id = &wanted.info.task_id.value;
        Some(format!(
            "Field '{field}' of task '{id}' is not supported by this agent"
        ))
    })
}
