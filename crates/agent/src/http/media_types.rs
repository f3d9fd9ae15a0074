//! The encodings of one request to the operator API, by Mesos's rules for streams of records.

use http::{HeaderMap, StatusCode};
use mezz_http::negotiate::{self, MediaType};
use mezz_http::{Response, respond};
use mezz_proto::v1::agent::call::Type;

const MESSAGE_CONTENT_TYPE: &str = "Message-Content-Type";
const MESSAGE_ACCEPT: &str = "Message-Accept";

/// What comes and what may be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct MediaTypes {
    /// Of the request's body.
    pub(super) content: MediaType,
    /// Of the records of a streaming request, otherwise as `content`.
    pub(super) message_content: MediaType,
    /// Of the answer.
    pub(super) accept: MediaType,
    /// Of the records of a streaming answer.
    pub(super) message_accept: MediaType,
}

impl MediaTypes {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Response> {
        let content = negotiate::content_type_or_recordio(headers)?;
        let message_content = message_content(headers, content)?;
        let accept = accept(headers)?;
        let message_accept = message_accept(headers, accept)?;
        Ok(Self {
            content,
            message_content,
            accept,
            message_accept,
        })
    }

    /// Only some calls are streams.
    pub(super) fn check(self, call: Type) -> Result<(), Response> {
        let streams_in = call == Type::AttachContainerInput;
        let streams_out = matches!(
            call,
            Type::AttachContainerOutput | Type::LaunchNestedContainerSession
        );
        let name = call.as_str_name();
        match (self.content == MediaType::RecordIo, streams_in) {
            (true, false) => {
                return Err(unsupported(format!(
                    "Streaming 'Content-Type' {} is not supported for {name} call",
                    self.content.name()
                )));
            }
            (false, true) => {
                return Err(unsupported(format!(
                    "Expecting 'Content-Type' to be {} for {name} call",
                    MediaType::RecordIo.name()
                )));
            }
            _ => {}
        }
        if self.accept == MediaType::RecordIo && !streams_out {
            return Err(not_acceptable(format!(
                "Streaming response is not supported for {name} call"
            )));
        }
        Ok(())
    }
}

fn unsupported(text: String) -> Response {
    respond::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
}

fn not_acceptable(text: String) -> Response {
    respond::text(StatusCode::NOT_ACCEPTABLE, text)
}

fn message_content(headers: &HeaderMap, content: MediaType) -> Result<MediaType, Response> {
    let value = headers
        .get(MESSAGE_CONTENT_TYPE)
        .map(http::HeaderValue::as_bytes);
    if content != MediaType::RecordIo {
        return match value {
            None => Ok(content),
            Some(_) => Err(unsupported(format!(
                "Expecting '{MESSAGE_CONTENT_TYPE}' to be not set for non-streaming requests"
            ))),
        };
    }
    match value {
        Some(b"application/json") => Ok(MediaType::Json),
        Some(b"application/x-protobuf") => Ok(MediaType::Protobuf),
        Some(_) => Err(unsupported(format!(
            "Expecting '{MESSAGE_CONTENT_TYPE}' of application/json or application/x-protobuf"
        ))),
        None => Err(respond::bad_request(format!(
            "Expecting '{MESSAGE_CONTENT_TYPE}' to be set for streaming requests"
        ))),
    }
}

fn accept(headers: &HeaderMap) -> Result<MediaType, Response> {
    let known = [MediaType::Json, MediaType::Protobuf, MediaType::RecordIo];
    let allowed = |media: &MediaType| negotiate::allows(headers, media.name());
    known.into_iter().find(allowed).ok_or_else(|| {
        not_acceptable(
            "Expecting 'Accept' to allow application/json or application/x-protobuf or \
             application/recordio"
                .to_owned(),
        )
    })
}

fn message_accept(headers: &HeaderMap, accept: MediaType) -> Result<MediaType, Response> {
    let value = headers.get(MESSAGE_ACCEPT);
    if accept != MediaType::RecordIo {
        return match value {
            None => Ok(accept),
            Some(_) => Err(not_acceptable(format!(
                "Expecting '{MESSAGE_ACCEPT}' to be not set for non-streaming responses"
            ))),
        };
    }
    let text = value.and_then(|value| value.to_str().ok());
    let allows = |name: &str| {
        let family = |entry: &str| entry == "*/*" || entry == "application/*" || entry == name;
        value.is_none()
            || text.is_some_and(|text| {
                text.split(',')
                    .any(|entry| family(entry.split(';').next().unwrap_or_default().trim()))
            })
    };
    [MediaType::Json, MediaType::Protobuf]
        .into_iter()
        .find(|media| allows(media.name()))
        .ok_or_else(|| {
            not_acceptable(format!(
                "Expecting '{MESSAGE_ACCEPT}' to allow application/json or application/x-protobuf"
            ))
        })
}
