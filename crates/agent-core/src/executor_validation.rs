//! Rules of the executor API that need no state. Texts are those that Mesos's clients match.

use crate::updates::is_from_executor;
use mezz_proto::v1::executor::Call;
use mezz_proto::v1::executor::call::Type;
use mezz_proto::v1::{ExecutorId, FrameworkId, TaskState, TaskStatus};

/// What is wrong with a call, if anything.
pub(crate) fn validate(call: &Call) -> Result<(), String> {
    let Some(number) = call.r#type else {
        return Err("Expecting 'type' to be present".to_owned());
    };
    let Call {
        executor_id: ExecutorId { value: executor_id },
        framework_id: FrameworkId {
            value: framework_id,
        },
        ..
    } = call;
    match Type::try_from(number) {
        Ok(Type::Subscribe) if call.subscribe.is_none() => {
            Err("Expecting 'subscribe' to be present".to_owned())
        }
        Ok(Type::Message) if call.message.is_none() => {
            Err("Expecting 'message' to be present".to_owned())
        }
        Ok(Type::Update) => {
            let update = call
                .update
                .as_ref()
                .ok_or("Expecting 'update' to be present")?;
            validate_status(&update.status, executor_id, framework_id)
        }
        _ => Ok(()),
    }
}

/// What is wrong with a status, if anything.
pub(crate) fn validate_status(
    status: &TaskStatus,
    executor_id: &str,
    framework_id: &str,
) -> Result<(), String> {
    let uuid = status
        .uuid
        .as_ref()
        .ok_or("Expecting 'uuid' to be present")?;
    if uuid.len() != 16 {
        return Err(format!("'uuid' has {} bytes, a UUID has 16", uuid.len()));
    }
    if let Some(claimed) = &status.executor_id
        && claimed.value != executor_id
    {
        return Err(format!(
            "ExecutorID in Call: {executor_id} does not match ExecutorID in TaskStatus: {}",
            claimed.value
        ));
    }
    if !is_from_executor(status) {
        return Err(format!(
            "Received Call from executor {executor_id} of framework {framework_id} with invalid source, expecting 'SOURCE_EXECUTOR'"
        ));
    }
    match TaskState::try_from(status.state) {
        Ok(TaskState::TaskStaging) => Err(format!(
            "Received TASK_STAGING from executor {executor_id} of framework {framework_id} which is not allowed"
        )),
        Ok(_) => Ok(()),
        Err(_) => Err(format!("'state' has the unknown number {}", status.state)),
    }
}
