//! `POST /api/v1/executor`: the checks of the transport in Mesos's order; what a call means, the core decides.

use http::{Method, StatusCode};
use mezz_agent_core::CallOutcome;
use mezz_http::negotiate::{self, MediaType};
use mezz_http::{Request, Response, respond};
use mezz_proto::v1::executor::{Call, call};
use tokio::sync::oneshot;

use super::AgentHttp;
use crate::inbox::{ExecutorAnswer, Input};
use crate::streams::Encoding;

/// Answers one call.
pub(super) async fn answer(agent: &AgentHttp, mut request: Request) -> Result<Response, Response> {
    request.expect_method(&[Method::POST])?;
    let media = negotiate::content_type(request.headers())?;
    let body = request.read_body().await?;
    let mut call: Call = super::operator_api::decode(media, &body)?;
    call.r#type = call
        .r#type
        .filter(|number| call::Type::try_from(*number).is_ok());
    validate(&call).map_err(|error| {
        respond::bad_request(format!("Failed to validate Executor::Call: {error}"))
    })?;
    let accepted = match call.r#type() {
        call::Type::Subscribe => negotiate::accept(request.headers())?,
        _ => media,
    };
    let encoding = if accepted == MediaType::Protobuf {
        Encoding::Protobuf
    } else {
        Encoding::Json
    };
    let (reply, outcome) = oneshot::channel();
    agent.inbox.put(Input::ExecutorCall {
        call: Box::new(call),
        encoding,
        answer: reply,
    });
    let stopping = || respond::text(StatusCode::SERVICE_UNAVAILABLE, "Agent is stopping");
    Ok(response(outcome.await.map_err(|_| stopping())?, accepted))
}

fn response(answer: ExecutorAnswer, media: MediaType) -> Response {
    match answer {
        ExecutorAnswer::Stream(reader) => respond::streaming(media.name(), reader),
        ExecutorAnswer::Outcome(outcome) => match outcome {
            CallOutcome::Stream | CallOutcome::Accepted => respond::accepted(),
            CallOutcome::BadRequest(text) => respond::bad_request(text),
            CallOutcome::Forbidden(text) => respond::text(StatusCode::FORBIDDEN, text),
            CallOutcome::NotImplemented(text) => respond::not_implemented(text),
            CallOutcome::Unavailable(text) => respond::text(StatusCode::SERVICE_UNAVAILABLE, text),
        },
    }
}

/// A call needs its type and the message that goes with it; the rest is the core's.
fn validate(call: &Call) -> Result<(), &'static str> {
    if call.r#type.is_none() {
        return Err("Expecting 'type' to be present");
    }
    match call.r#type() {
        call::Type::Subscribe if call.subscribe.is_none() => {
            Err("Expecting 'subscribe' to be present")
        }
        call::Type::Update if call.update.is_none() => Err("Expecting 'update' to be present"),
        call::Type::Message if call.message.is_none() => Err("Expecting 'message' to be present"),
        _ => Ok(()),
    }
}
