//! New tasks and executors in the state and in the journal.

use crate::agent::{AgentCore, Turn};
use crate::ids::{ContainerId, LaunchId, Uuid};
use crate::journal::{ExecutorKind, Membership, Record};
use crate::model::{Container, Delivery, Executor, ExecutorKey, FrameworkKey, Task, TaskKey};
use crate::records::ExecutorState;
use crate::tokens::LaunchToken;
use mezz_proto::agent_protocol::InstanceTerms;
use mezz_proto::v1::TaskInfo;
use std::collections::VecDeque;
use std::sync::Arc;

/// The container of a task, as the journal names it.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) kind: ExecutorKind,
    pub(crate) launch_id: LaunchId,
    pub(crate) container_id: ContainerId,
    pub(crate) member: Option<Membership>,
}

impl Place {
    /// Of a task that has no container.
    pub(crate) const NONE: Self = Self {
        kind: ExecutorKind::Custom,
        launch_id: LaunchId(0),
        container_id: ContainerId(Uuid([0; 16])),
        member: None,
    };
}

/// A task as the master wants it.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) info: Arc<TaskInfo>,
    pub(crate) terms: Option<Box<InstanceTerms>>,
}

/// What of the terms holds for longer than the launch: neither texts of configs nor values of secrets.
pub(crate) fn lasting(terms: &InstanceTerms) -> Option<Box<InstanceTerms>> {
    let lasting = InstanceTerms {
        pre_stop: terms.pre_stop.clone(),
        exact_statuses: terms.exact_statuses,
        health_checks: terms.health_checks.clone(),
        checks: terms.checks.clone(),
        https_checks: terms.https_checks.clone(),
        ..InstanceTerms::default()
    };
    (lasting != InstanceTerms::default()).then(|| Box::new(lasting))
}

impl AgentCore {
    pub(crate) fn add_task(
        &mut self,
        turn: &mut Turn<'_>,
        framework: FrameworkKey,
        executor: Option<ExecutorKey>,
        launch_token: LaunchToken,
        wanted: Wanted,
        place: Place,
    ) -> TaskKey {
        let Wanted { info, terms } = wanted;
        let serial = self.allocate_serial();
        let lasting = terms.as_deref().and_then(lasting);
        let task = self.tasks.insert(Task {
            terms,
            ..Task::new(framework, executor, serial, Arc::clone(&info), launch_token)
        });
        let entry = self
            .frameworks
            .get_mut(framework)
            .expect("only called for a framework that is there");
        let framework_id = entry.id.as_ref().to_owned();
        entry.tasks.insert(info.task_id.value.as_str().into(), task);
        if executor.is_none() {
            entry.detached.push(task);
        }
        self.checkpoint(
            turn,
            framework,
            Record::TaskLaunched {
                serial,
                framework_id,
                info,
                terms: lasting,
                launch_token: launch_token.number,
                launch_epoch: Some(launch_token.epoch),
                kind: place.kind,
                launch_id: place.launch_id,
                container_id: place.container_id,
                member: place.member,
            },
        );
        task
    }

    pub(crate) fn add_executor(
        &mut self,
        framework: FrameworkKey,
        id: Arc<str>,
        kind: ExecutorKind,
        info: Option<Arc<mezz_proto::v1::ExecutorInfo>>,
        (launch_id, container_id): (LaunchId, ContainerId),
    ) -> ExecutorKey {
        let framework_id = Arc::clone(
            &self
                .frameworks
                .get(framework)
                .expect("only called for a framework that is there")
                .id,
        );
        let sandbox = Self::sandbox_path(&framework_id, container_id);
        let executor = self.executors.insert(Executor {
            framework,
            id: Arc::clone(&id),
            kind,
            info,
            state: ExecutorState::Registering,
            container: Container::Launching,
            container_id,
            launch_id,
            sandbox,
            stream: None,
            queued: VecDeque::new(),
            tasks: Vec::new(),
            completed: VecDeque::new(),
            delivery: Delivery::Never,
            termination: None,
            limitation: None,
            kill_began_ns: None,
            pre_stop: None,
            member: None,
            members: Vec::new(),
            record: None,
            facts: None,
        });
        self.launches.insert(launch_id, executor);
        self.frameworks
            .get_mut(framework)
            .expect("just seen")
            .executors
            .insert(id, executor);
        self.touch(executor);
        executor
    }
}
