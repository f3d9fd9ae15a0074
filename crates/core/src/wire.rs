//! Making the messages that frameworks receive. Knows shapes, decides nothing.

use bytes::Bytes;
use mezz_proto::v1;
use prost::{Message, encoding};
use v1::scheduler::event::Type;
use v1::scheduler::{Event, event};
use v1::task_status::{Reason, Source};

use crate::time::Wall;

fn event(kind: Type) -> Event {
    Event {
        r#type: Some(kind as i32),
        ..Event::default()
    }
}

pub(crate) fn heartbeat() -> Event {
    event(Type::Heartbeat)
}

pub(crate) fn error(message: impl Into<String>) -> Event {
    Event {
        error: Some(event::Error {
            message: message.into(),
        }),
        ..event(Type::Error)
    }
}

pub(crate) fn subscribed(
    framework_id: &str,
    heartbeat_seconds: f64,
    master: &v1::MasterInfo,
) -> Event {
    let subscribed = event::Subscribed {
        framework_id: framework_id_of(framework_id),
        heartbeat_interval_seconds: Some(heartbeat_seconds),
        master_info: Some(master.clone()),
    };
    Event {
        subscribed: Some(Box::new(subscribed)),
        ..event(Type::Subscribed)
    }
}

pub(crate) fn rescind(offer_id: &str) -> Event {
    Event {
        rescind: Some(event::Rescind {
            offer_id: v1::OfferId {
                value: offer_id.into(),
            },
        }),
        ..event(Type::Rescind)
    }
}

pub(crate) fn update(status: v1::TaskStatus) -> Event {
    Event {
        update: Some(event::Update { status }),
        ..event(Type::Update)
    }
}

pub(crate) fn operation_error(
    operation_id: v1::OperationId,
    agent_id: Option<v1::AgentId>,
    message: String,
) -> Event {
    let status = v1::OperationStatus {
        operation_id: Some(operation_id),
        state: v1::OperationState::OperationError as i32,
        message: Some(message),
        agent_id,
        ..v1::OperationStatus::default()
    };
    Event {
        update_operation_status: Some(Box::new(event::UpdateOperationStatus { status })),
        ..event(Type::UpdateOperationStatus)
    }
}

pub(crate) fn message(agent_id: &str, executor_id: v1::ExecutorId, data: bytes::Bytes) -> Event {
    let message = event::Message {
        agent_id: agent_id_of(agent_id),
        executor_id,
        data,
    };
    Event {
        message: Some(message),
        ..event(Type::Message)
    }
}

pub(crate) fn failure(
    agent_id: &str,
    executor_id: Option<v1::ExecutorId>,
    status: Option<i32>,
) -> Event {
    let failure = event::Failure {
        agent_id: Some(agent_id_of(agent_id)),
        executor_id,
        status,
    };
    Event {
        failure: Some(failure),
        ..event(Type::Failure)
    }
}

pub(crate) fn framework_id_of(id: &str) -> v1::FrameworkId {
    v1::FrameworkId {
        value: id.to_owned(),
    }
}

pub(crate) fn agent_id_of(id: &str) -> v1::AgentId {
    v1::AgentId {
        value: id.to_owned(),
    }
}

/// A status that the master makes itself: without uuid, so that nobody acknowledges it.
pub(crate) fn master_status(
    task_id: &str,
    agent_id: Option<&str>,
    state: v1::TaskState,
    reason: Reason,
    text: impl Into<String>,
    at: Wall,
) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: v1::TaskId {
            value: task_id.to_owned(),
        },
        state: state as i32,
        message: Some(text.into()),
        source: Some(Source::Master as i32),
        reason: Some(reason as i32),
        agent_id: agent_id.map(agent_id_of),
        timestamp: Some(at.seconds()),
        ..v1::TaskStatus::default()
    }
}

/// States after which nothing follows (`protobuf::isTerminalState`).
pub fn is_terminal(state: v1::TaskState) -> bool {
    use v1::TaskState as S;
    matches!(
        state,
        S::TaskFinished
            | S::TaskFailed
            | S::TaskKilled
            | S::TaskError
            | S::TaskLost
            | S::TaskDropped
            | S::TaskGone
            | S::TaskGoneByOperator
    )
}

/// Numbers of the fields of `mesos.v1.Task` that change during its life.
mod task_field {
    pub(super) const STATE: u32 = 6;
    pub(super) const STATUSES: u32 = 8;
    pub(super) const STATUS_UPDATE_STATE: u32 = 9;
    pub(super) const STATUS_UPDATE_UUID: u32 = 10;
}

/// A task's record with one more status, and that status in its encoded form, which is a part of the same bytes.
pub(crate) struct Appended {
    pub(crate) task: Bytes,
    pub(crate) status: Bytes,
}

/// Appends a status to an encoded task: concatenated encodings merge, repeated fields append, the last scalar wins.
pub(crate) fn append_status(
    wire: &[u8],
    state: v1::TaskState,
    status: &v1::TaskStatus,
) -> Appended {
    /// Keys, lengths, two states and a uuid.
    const REST: usize = 64;
    let length = status.encoded_len();
    let mut out = Vec::with_capacity(wire.len() + length + REST);
    out.extend_from_slice(wire);
    encoding::int32::encode(task_field::STATE, &(state as i32), &mut out);
    encoding::encode_key(
        task_field::STATUSES,
        encoding::WireType::LengthDelimited,
        &mut out,
    );
    encoding::encode_varint(length as u64, &mut out);
    let start = out.len();
    status.encode_raw(&mut out);
    encoding::int32::encode(task_field::STATUS_UPDATE_STATE, &status.state, &mut out);
    if let Some(uuid) = &status.uuid {
        encoding::bytes::encode(task_field::STATUS_UPDATE_UUID, uuid, &mut out);
    }
    let task = Bytes::from(out);
    let status = task.slice(start..start + length);
    Appended { task, status }
}
