//! `POST /v1/tasks/{id}/exec`, `…/attach` and `…/ports/{port}`: tunnels into the container of a task, through the agent
//! that runs it.
//!
//! Owns the way only. What flows in a tunnel is between the client and the agent.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use mezz_core::key::AgentKey;
use mezz_core::records::TaskList;
use mezz_http::query::percent_encode;
use mezz_http::tunnel::{self, TunnelError};
use mezz_http::{Request, Response, respond};

use super::problems::{allow, bad_request, problem};
use super::tasks::{Found, find, framework_id};
use crate::shared::Shared;

/// What of a task's container is wanted, as the end of the path says.
pub(super) fn way(words: &[&str]) -> Result<Option<String>, Response> {
    match words {
        ["exec"] => Ok(Some("exec".to_owned())),
        ["attach"] => Ok(Some("attach".to_owned())),
        ["ports", port] => match port.parse::<u16>() {
            Ok(number) if number > 0 => Ok(Some(format!("ports/{number}"))),
            _ => Err(bad_request(&format!(
                "'{port}' is not a port: it is a number from 1 to 65535"
            ))),
        },
        _ => Ok(None),
    }
}

pub(super) async fn tunnel(
    shared: &Arc<Shared>,
    framework: Option<&str>,
    id: &str,
    way: &str,
    mut request: Request,
) -> Result<Response, Response> {
    allow(&request, &[Method::POST])?;
    tunnel::expect(&request)?;
    let body = request.read_body().await?;
    let (authority, path) = agent_of(shared, framework, id)?;
    let dialled = tunnel::dial(&authority, &format!("{path}/{way}"), body).await;
    let mut agent = dialled.map_err(refused)?;
    tokio::spawn(async move {
        if let Some(mut client) = tunnel::opened(request).await {
            // Whoever breaks off ends it.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut agent).await;
        }
    });
    Ok(tunnel::switching())
}

/// Where the task runs, and its path there.
fn agent_of(
    shared: &Shared,
    framework: Option<&str>,
    id: &str,
) -> Result<(String, String), Response> {
    let view = shared.view();
    let task = match find(&view, framework, id)? {
        Found::Task(task) => task,
        Found::Pending(_) => {
            let detail = format!("task '{id}' has no place yet");
            let hint = "`mezz why` says what it waits for";
            return Err(problem(StatusCode::CONFLICT, &detail, Some(hint)));
        }
    };
    if task.list == TaskList::Completed || task.finished_at.is_some() {
        let detail = format!("task '{id}' has ended");
        let hint = "`mezz ps` lists what runs";
        return Err(problem(StatusCode::CONFLICT, &detail, Some(hint)));
    }
    let agent = (task.agent != AgentKey::NONE)
        .then(|| view.records.agents.get(task.agent.index()))
        .flatten();
    let Some(agent) = agent else {
        let detail = format!("the agent that runs task '{id}' is not known");
        return Err(problem(StatusCode::CONFLICT, &detail, None));
    };
    let authority = format!("{}:{}", agent.ip, agent.info.port.unwrap_or(5051));
    let component = |text: &str| percent_encode(text).replace('/', "%2F");
    let path = format!(
        "/v1/tasks/{}/{}",
        component(framework_id(&view, task)),
        component(&task.id)
    );
    Ok((authority, path))
}

/// The agent's own words, where it has some.
fn refused(error: TunnelError) -> Response {
    match error {
        TunnelError::Refused {
            status,
            content_type: Some(content_type),
            body,
            ..
        } if content_type == "application/problem+json" => {
            let mut response = respond::with_type(status, "application/problem+json", body);
            response.headers_mut().insert(CONTENT_TYPE, content_type);
            response
        }
        error => {
            let hint = "its tasks may still run: try again when it is back";
            let detail = format!("the agent {error}");
            problem(StatusCode::BAD_GATEWAY, &detail, Some(hint))
        }
    }
}
