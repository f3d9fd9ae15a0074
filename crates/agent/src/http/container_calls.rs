//! Calls about containers that no executor stands for: what is checked before the core is asked, and its answers.

use std::sync::Arc;

use http::StatusCode;
use mezz_agent_core::{
    ContainerAnswer, ContainerCall, ContainerClass, ContainerLaunch, ContainerPath, Termination,
};
use mezz_http::negotiate::MediaType;
use mezz_http::{Response, respond};
use mezz_proto::v1::agent::call::{AttachContainerInput, LaunchContainer, Type};
use mezz_proto::v1::agent::{Call, Response as Answer, call, response};
use mezz_proto::v1::{ContainerId, ContainerInfo, Resource};

use super::AgentHttp;
use super::media_types::MediaTypes;

const SIGKILL: i32 = 9;

/// Whether the call is one of these.
pub(super) fn is_one(kind: Type) -> bool {
    matches!(
        kind,
        Type::LaunchNestedContainer
            | Type::WaitNestedContainer
            | Type::KillNestedContainer
            | Type::RemoveNestedContainer
            | Type::LaunchContainer
            | Type::WaitContainer
            | Type::KillContainer
            | Type::RemoveContainer
    )
}

/// Answers a call that was validated.
pub(super) async fn answer(
    agent: &AgentHttp,
    call: Call,
    types: MediaTypes,
) -> Result<Response, Response> {
    let kind = call.r#type();
    let asked = core_call(call)?;
    let answer = ask(agent, asked).await?;
    Ok(respond_with(answer, kind, types.accept))
}

/// What the core says.
pub(super) async fn ask(
    agent: &AgentHttp,
    call: ContainerCall,
) -> Result<ContainerAnswer, Response> {
    let stopping = || respond::text(StatusCode::SERVICE_UNAVAILABLE, "Agent is stopping");
    agent.inbox.container_call(call).await.ok_or_else(stopping)
}

/// The launch of a session.
pub(super) fn session(call: Call) -> Result<ContainerLaunch, Response> {
    let asked = call.launch_nested_container_session.unwrap_or_default();
    let wanted = LaunchContainer {
        container_id: asked.container_id,
        command: asked.command,
        container: asked.container,
        ..LaunchContainer::default()
    };
    launch(wanted, ContainerClass::Session)
}

fn launch(wanted: LaunchContainer, class: ContainerClass) -> Result<ContainerLaunch, Response> {
    Ok(ContainerLaunch {
        path: path(&wanted.container_id)?,
        class,
        wanted: Arc::new(wanted),
    })
}

pub(super) fn path(id: &ContainerId) -> Result<ContainerPath, Response> {
    ContainerPath::read(id).map_err(|error| respond::bad_request(error.to_string()))
}

fn core_call(call: Call) -> Result<ContainerCall, Response> {
    let ordinary = |wanted| {
        let launch = launch(wanted, ContainerClass::Ordinary)?;
        Ok(ContainerCall::Launch(Box::new(launch)))
    };
    let kill = |id: &ContainerId, signal: Option<i32>| {
        Ok(ContainerCall::Kill {
            path: path(id)?,
            signal: signal.unwrap_or(SIGKILL),
        })
    };
    let wait = |id: &ContainerId| Ok(ContainerCall::Wait { path: path(id)? });
    let remove = |id: &ContainerId| Ok(ContainerCall::Remove { path: path(id)? });
    match call.r#type() {
        Type::LaunchNestedContainer => {
            let asked = call.launch_nested_container.unwrap_or_default();
            ordinary(LaunchContainer {
                container_id: asked.container_id,
                command: asked.command,
                container: asked.container,
                ..LaunchContainer::default()
            })
        }
        Type::LaunchContainer => ordinary(call.launch_container.unwrap_or_default()),
        Type::WaitNestedContainer => {
            wait(&call.wait_nested_container.unwrap_or_default().container_id)
        }
        Type::WaitContainer => wait(&call.wait_container.unwrap_or_default().container_id),
        Type::KillNestedContainer => {
            let asked = call.kill_nested_container.unwrap_or_default();
            kill(&asked.container_id, asked.signal)
        }
        Type::KillContainer => {
            let asked = call.kill_container.unwrap_or_default();
            kill(&asked.container_id, asked.signal)
        }
        Type::RemoveNestedContainer => remove(
            &call
                .remove_nested_container
                .unwrap_or_default()
                .container_id,
        ),
        _ => remove(&call.remove_container.unwrap_or_default().container_id),
    }
}

/// The answer in Mesos's form.
pub(super) fn respond_with(answer: ContainerAnswer, kind: Type, media: MediaType) -> Response {
    match answer {
        ContainerAnswer::Launched { .. } | ContainerAnswer::Done => respond::ok(),
        ContainerAnswer::AlreadyLaunched => respond::accepted(),
        ContainerAnswer::Refused(text) => respond::bad_request(text),
        ContainerAnswer::NotFound(text) => respond::text(StatusCode::NOT_FOUND, text),
        ContainerAnswer::Failed(text) => respond::text(StatusCode::INTERNAL_SERVER_ERROR, text),
        ContainerAnswer::Ended(termination) => {
            let answer = ended(termination, kind);
            let body = super::operator_api::encode(&answer, media);
            respond::with_type(StatusCode::OK, media.name(), body)
        }
    }
}

fn ended(termination: Termination, kind: Type) -> Answer {
    let Termination {
        wait_status,
        message,
    } = termination;
    let mut answer = Answer::default();
    if kind == Type::WaitNestedContainer {
        answer.r#type = Some(response::Type::WaitNestedContainer.into());
        answer.wait_nested_container = Some(response::WaitNestedContainer {
            exit_status: wait_status,
            message,
            ..response::WaitNestedContainer::default()
        });
    } else {
        answer.r#type = Some(response::Type::WaitContainer.into());
        answer.wait_container = Some(response::WaitContainer {
            exit_status: wait_status,
            message,
            ..response::WaitContainer::default()
        });
    }
    answer
}

/// What Mesos checks of such a call, in its words. Whether the part that its type names is there was checked before.
pub(super) fn validate(call: &Call) -> Result<(), String> {
    match call.r#type() {
        Type::LaunchNestedContainer => {
            let asked = call.launch_nested_container.as_ref();
            let field = "launch_nested_container";
            let asked = asked.map(|asked| (&asked.container_id, asked.container.as_ref()));
            let Some((id, container)) = asked else {
                return Ok(());
            };
            nested(field, id)?;
            own_cgroups_too_deep(field, id, container)
        }
        Type::WaitNestedContainer => of_nested(
            "wait_nested_container",
            call.wait_nested_container
                .as_ref()
                .map(|asked| &asked.container_id),
        ),
        Type::KillNestedContainer => of_nested(
            "kill_nested_container",
            call.kill_nested_container
                .as_ref()
                .map(|asked| &asked.container_id),
        ),
        Type::RemoveNestedContainer => of_nested(
            "remove_nested_container",
            call.remove_nested_container
                .as_ref()
                .map(|asked| &asked.container_id),
        ),
        Type::LaunchNestedContainerSession => {
            let Some(asked) = &call.launch_nested_container_session else {
                return Ok(());
            };
            nested("launch_nested_container_session", &asked.container_id)?;
            let linux = asked
                .container
                .as_ref()
                .and_then(|container| container.linux_info.as_ref());
            if linux.is_some_and(|linux| linux.share_cgroups == Some(false)) {
                return Err(
                    "'launch_nested_container_session.container.linux_info' is invalid: \
                     'share_cgroups' cannot be set to 'false' for nested container sessions"
                        .to_owned(),
                );
            }
            Ok(())
        }
        Type::AttachContainerInput => call.attach_container_input.as_ref().map_or(Ok(()), input),
        Type::AttachContainerOutput => of_any(
            "attach_container_output",
            call.attach_container_output
                .as_ref()
                .map(|asked| &asked.container_id),
        ),
        Type::LaunchContainer => call.launch_container.as_ref().map_or(Ok(()), alone),
        Type::WaitContainer => of_any(
            "wait_container",
            call.wait_container
                .as_ref()
                .map(|asked| &asked.container_id),
        ),
        Type::KillContainer => of_any(
            "kill_container",
            call.kill_container
                .as_ref()
                .map(|asked| &asked.container_id),
        ),
        Type::RemoveContainer => of_any(
            "remove_container",
            call.remove_container
                .as_ref()
                .map(|asked| &asked.container_id),
        ),
        _ => Ok(()),
    }
}

fn named(field: &str, id: &ContainerId) -> Result<(), String> {
    ContainerPath::read(id)
        .map(drop)
        .map_err(|error| format!("'{field}.container_id' is invalid: {error}"))
}

fn nested(field: &str, id: &ContainerId) -> Result<(), String> {
    named(field, id)?;
    match id.parent {
        Some(_) => Ok(()),
        None => Err(format!(
            "Expecting '{field}.container_id.parent' to be present"
        )),
    }
}

fn of_nested(field: &str, id: Option<&ContainerId>) -> Result<(), String> {
    id.map_or(Ok(()), |id| nested(field, id))
}

fn of_any(field: &str, id: Option<&ContainerId>) -> Result<(), String> {
    id.map_or(Ok(()), |id| named(field, id))
}

fn is_twice_nested(id: &ContainerId) -> bool {
    id.parent
        .as_ref()
        .is_some_and(|parent| parent.parent.is_some())
}

fn shared_cgroups(container: Option<&ContainerInfo>) -> Option<bool> {
    container?.linux_info.as_ref()?.share_cgroups
}

fn own_cgroups_too_deep(
    field: &str,
    id: &ContainerId,
    container: Option<&ContainerInfo>,
) -> Result<(), String> {
    if is_twice_nested(id) && shared_cgroups(container) == Some(false) {
        return Err(format!(
            "'{field}' is invalid: containers nested at the second level or greater cannot set \
             'share_cgroups' to 'false'"
        ));
    }
    Ok(())
}

fn input(asked: &AttachContainerInput) -> Result<(), String> {
    use call::attach_container_input::Type as Kind;
    match asked.r#type {
        None => Err("Expecting 'attach_container_input.type' to be present".to_owned()),
        Some(_) => match asked.r#type() {
            Kind::Unknown => Err("'attach_container_input.type' is unknown".to_owned()),
            Kind::ContainerId => {
                let none = ContainerId::default();
                named(
                    "attach_container_input",
                    asked.container_id.as_ref().unwrap_or(&none),
                )
            }
            Kind::ProcessIo => Ok(()),
        },
    }
}

fn alone(asked: &LaunchContainer) -> Result<(), String> {
    let field = "launch_container";
    let id = &asked.container_id;
    named(field, id)?;
    mezz_resource::Resources::from_proto(&asked.resources)
        .map_err(|error| format!("Invalid resources: {error}"))?;
    if id.parent.is_none() {
        for resource in &asked.resources {
            unreserved(resource)?;
        }
    }
    if is_twice_nested(id) {
        let what = if !asked.resources.is_empty() {
            "cannot specify resources"
        } else if !asked.limits.is_empty() {
            "cannot specify resource limits"
        } else {
            ""
        };
        if !what.is_empty() {
            return Err(format!(
                "'{field}' is invalid: containers nested at the second level or greater {what}"
            ));
        }
    }
    let container = asked.container.as_ref();
    own_cgroups_too_deep(field, id, container)?;
    if id.parent.is_none() && shared_cgroups(container) == Some(true) {
        return Err(format!(
            "'{field}' is invalid: containers without a parent cannot set 'share_cgroups' to 'true'"
        ));
    }
    Ok(())
}

/// The master knows nothing of such containers, so that they hold nothing of what it hands out.
fn unreserved(resource: &Resource) -> Result<(), String> {
    let what = if !resource.reservations.is_empty() || !matches!(resource.role(), "*" | "") {
        "must be unreserved"
    } else if resource
        .disk
        .as_ref()
        .is_some_and(|disk| disk.persistence.is_some())
    {
        "may not use persistent volumes"
    } else if resource.revocable.is_some() {
        "must be non-revocable"
    } else {
        return Ok(());
    };
    Err(format!("'launch_container.resources' {what}"))
}
