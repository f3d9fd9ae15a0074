//! Starting and killing tasks of the built-in framework.

use http::StatusCode;
use mezz_core::effect::Reply;
use mezz_core::event::Event;
use mezz_core::native::NativeCall;
use mezz_http::{Request, Response, respond};
use serde_json::json;

use super::given::Given;
use super::new_task::{nanoseconds, parse};
use super::problems::{bad_request, refused, unreadable};
use super::tasks::{Found, find, framework_id};
use crate::shared::Shared;

/// `POST /v1/tasks`.
pub(super) async fn run(shared: &Shared, request: &mut Request) -> Result<Response, Response> {
    let body = request
        .read_body()
        .await
        .map_err(|refused| unreadable(&refused))?;
    let task = parse(&body).map_err(|error| bad_request(&error))?;
    let reply = shared
        .call(|request| Event::Native {
            request,
            call: Box::new(NativeCall::Run(Box::new(task))),
        })
        .await;
    match reply {
        Reply::TaskAccepted { task_id } => {
            let mut response = respond::json(json!({ "id": task_id }).to_string());
            *response.status_mut() = StatusCode::CREATED;
            Ok(response)
        }
        other => Err(refused(other)),
    }
}

/// `DELETE /v1/tasks/{id}`.
pub(super) async fn kill(
    shared: &Shared,
    framework: Option<&str>,
    id: &str,
    given: &Given,
) -> Result<Response, Response> {
    let grace_period_ns = given
        .seconds("grace_period_secs")
        .map(|seconds| nanoseconds("grace_period_secs", seconds))
        .transpose();
    let grace_period_ns = grace_period_ns.map_err(|error| bad_request(&error))?;
    let view = shared.view();
    let framework_id = match find(&view, framework, id)? {
        Found::Task(task) => Some(framework_id(&view, task).to_owned()),
        Found::Pending(_) => None,
    };
    let call = NativeCall::Kill {
        task_id: id.to_owned(),
        framework_id,
        grace_period_ns,
    };
    match shared
        .call(|request| Event::Native {
            request,
            call: Box::new(call),
        })
        .await
    {
        Reply::Accepted | Reply::Ok => Ok(respond::accepted()),
        other => Err(refused(other)),
    }
}
