//! `POST /api/v1/scheduler`: the checks of the transport in Mesos's order, then the core.

use http::{HeaderValue, Method, StatusCode};
use mezz_core::event::{Event, SchedulerCall, Subscribe};
use mezz_core::key::{RequestKey, StreamKey};
use mezz_core::validation;
use mezz_http::negotiate::{self, MediaType};
use mezz_http::stream::{StreamLimits, stream};
use mezz_http::{Request, Response, respond};
use mezz_proto::v1::scheduler::{Call, call};
use mezz_warden::crash_point;

use crate::inbox::Input;
use crate::leading::require_leader;
use crate::replies;
use crate::scheduler_stream::SchedulerStream;
use crate::shared::Shared;

/// Where schedulers send their calls.
pub(crate) const PATH: &str = "/api/v1/scheduler";
pub(crate) const STREAM_ID: &str = "mesos-stream-id";

/// Answers one call.
pub(crate) async fn handle(shared: &Shared, mut request: Request) -> Response {
    match answer(shared, &mut request).await {
        Ok(response) | Err(response) => response,
    }
}

async fn answer(shared: &Shared, request: &mut Request) -> Result<Response, Response> {
    require_leader(shared, request)?;
    request.expect_method(&[Method::POST])?;
    let media = negotiate::content_type(request.headers())?;
    let body = request.read_body().await?;
    let mut call: Call = decode(media, &body)?;
    // A number without a name counts as absent, as in every proto2 implementation.
    call.r#type = call
        .r#type
        .filter(|number| call::Type::try_from(*number).is_ok());
    validation::scheduler_call(&call).map_err(|error| {
        respond::bad_request(format!("Failed to validate scheduler::Call: {error}"))
    })?;
    match call.r#type() {
        call::Type::Unknown => Err(respond::empty(StatusCode::NOT_IMPLEMENTED)),
        call::Type::Subscribe => Box::pin(subscribe(shared, request, call)).await,
        kind => {
            if kind == call::Type::ReconcileOperations {
                negotiate::accept(request.headers())?;
            }
            let stream_id = request.header(STREAM_ID);
            if kind != call::Type::UpdateFramework && is_open(shared, stream_id, &call) {
                let event = call_event(NO_REPLY, stream_id, call);
                shared.inbox.send(Input::Event(event)).await;
                crash_point("master.before_reply");
                return Ok(respond::accepted());
            }
            let reply = shared.call(|key| call_event(key, stream_id, call)).await;
            Ok(replies::response(reply))
        }
    }
}

/// Nobody waits for the reply to a call of this number.
pub(crate) const NO_REPLY: RequestKey = RequestKey(0);

/// Whether the call would be answered with 202 in any case: its stream is the framework's present one.
pub(crate) fn is_open(shared: &Shared, stream_id: Option<&str>, call: &Call) -> bool {
    match (stream_id, &call.framework_id) {
        (Some(stream), Some(framework)) => shared.open_streams.is_open(stream, &framework.value),
        _ => false,
    }
}

pub(crate) fn call_event(request: RequestKey, stream_id: Option<&str>, call: Call) -> Event {
    let stream_id = stream_id.map(str::to_owned);
    Event::Call(Box::new(SchedulerCall {
        request,
        stream_id,
        principal: None,
        call,
    }))
}

/// Decodes a call; the texts of refusals are Mesos's.
pub(crate) fn decode<M: mezz_proto::Json>(media: MediaType, body: &[u8]) -> Result<M, Response> {
    match media {
        MediaType::Protobuf => {
            mezz_proto::decode_binary(body).map_err(|error| respond::bad_request(error.to_string()))
        }
        MediaType::Json | MediaType::RecordIo => {
            mezz_proto::from_json(body).map_err(|error| respond::bad_request(error.to_string()))
        }
    }
}

async fn subscribe(shared: &Shared, request: &Request, call: Call) -> Result<Response, Response> {
    let media = negotiate::accept(request.headers())?;
    if request.header(STREAM_ID).is_some() {
        return Err(respond::bad_request(
            "Subscribe calls should not include the 'Mesos-Stream-Id' header",
        ));
    }
    let Some(subscribe) = call.subscribe else {
        return Err(respond::bad_request(
            "Failed to validate scheduler::Call: Expecting 'subscribe' to be present",
        ));
    };
    let key = StreamKey(shared.next_number());
    let stream_id = uuid::Uuid::new_v4().to_string();
    let (sender, reader) = stream(StreamLimits::default());
    let inbox = shared.inbox.clone();
    sender.on_close(move || inbox.push(Input::Event(Event::StreamClosed(key))));
    let event = Event::Subscribe(Box::new(Subscribe {
        stream: key,
        stream_id: stream_id.clone(),
        principal: None,
        subscribe: *subscribe,
    }));
    let stream = SchedulerStream {
        id: stream_id.clone(),
        sender,
        media,
    };
    shared
        .inbox
        .send(Input::Stream { key, stream, event })
        .await;
    let mut response = respond::streaming(media.name(), reader);
    let value = HeaderValue::from_str(&stream_id).expect("a UUID is header text");
    response.headers_mut().insert("Mesos-Stream-Id", value);
    Ok(response)
}
