//! Containers that used more than they may: said in advance of their end, which it then explains.

use crate::agent::{AgentCore, Turn};
use crate::effect::Effect;
use crate::ids::LaunchId;
use crate::journal::ExecutorKind;
use crate::model::{Container, ExecutorKey};
use crate::status::NewStatus;
use mezz_proto::v1::task_status::Reason;
use mezz_proto::v1::{Resource, TaskState};

/// What a container used too much of.
#[derive(Clone, Debug, PartialEq)]
pub struct Limitation {
    /// Of which kind.
    pub cause: LimitationCause,
    /// For people; becomes the task's message.
    pub message: String,
    /// The resources that were exceeded, as statuses show them.
    pub resources: Vec<Resource>,
}

/// The kinds that statuses tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitationCause {
    /// Memory.
    Memory,
    /// Room on disk.
    Disk,
    /// Anything else.
    Other,
}

impl LimitationCause {
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Memory => Reason::ContainerLimitationMemory,
            Self::Disk => Reason::ContainerLimitationDisk,
            Self::Other => Reason::ContainerLimitation,
        }
    }
}

impl Limitation {
    pub(crate) fn status(&self) -> NewStatus {
        NewStatus {
            limited: self.resources.clone(),
            ..NewStatus::of_agent(
                TaskState::TaskFailed,
                self.cause.reason(),
                self.message.clone(),
            )
        }
    }
}

impl AgentCore {
    /// Ends the container; the first limitation says why.
    pub(crate) fn on_container_limited(
        &mut self,
        turn: &mut Turn<'_>,
        launch_id: LaunchId,
        limitation: Limitation,
    ) {
        let Some((executor, kind)) = self.launched(launch_id) else {
            self.on_nested_limited(turn, launch_id, limitation.message);
            return;
        };
        let Some(entry) = self
            .executors
            .get_mut(executor)
            .filter(|entry| entry.container != Container::Gone)
        else {
            return;
        };
        if entry.limitation.is_some() {
            return;
        }
        entry.limitation = Some(Box::new(limitation.clone()));
        match kind {
            ExecutorKind::Command => turn.push(Effect::KillTree { launch_id }),
            ExecutorKind::Custom => {
                self.terminate_with(
                    executor,
                    TaskState::TaskFailed,
                    limitation.cause.reason(),
                    limitation.message,
                );
                self.destroy(turn, executor);
            }
            // What is limited are the containers in it.
            ExecutorKind::Default => {}
        }
    }

    /// What the end of a container that used too much means, if it did.
    pub(crate) fn limited_status(&self, executor: ExecutorKey) -> Option<NewStatus> {
        let entry = self.executors.get(executor)?;
        entry.limitation.as_deref().map(Limitation::status)
    }
}
