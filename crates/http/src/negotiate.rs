//! Which encoding a request has and which one its answer may have, by Mesos's rules and in its order.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

use crate::Response;
use crate::respond;

/// An encoding of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaType {
    Json,
    Protobuf,
    /// A stream of records whose own encoding is in `Message-Content-Type` or `Message-Accept`.
    RecordIo,
}

impl MediaType {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
            Self::RecordIo => "application/recordio",
        }
    }
}

/// The encoding of a request's body, compared literally: no parameters, exact case.
pub fn content_type(headers: &HeaderMap) -> Result<MediaType, Response> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Err(respond::bad_request(
            "Expecting 'Content-Type' to be present",
        ));
    };
    match value.as_bytes() {
        b"application/json" => Ok(MediaType::Json),
        b"application/x-protobuf" => Ok(MediaType::Protobuf),
        _ => Err(respond::text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Expecting 'Content-Type' of application/json or application/x-protobuf",
        )),
    }
}

/// Like [`content_type`], for endpoints that also take a stream of records.
pub fn content_type_or_recordio(headers: &HeaderMap) -> Result<MediaType, Response> {
    match headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes) {
        Some(b"application/recordio") => Ok(MediaType::RecordIo),
        Some(b"application/json" | b"application/x-protobuf") | None => content_type(headers),
        Some(_) => Err(respond::text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Expecting 'Content-Type' of application/json or application/x-protobuf or application/recordio",
        )),
    }
}

/// The encoding of the answer: JSON is tried first, then protobuf; 406 when neither is allowed.
pub fn accept(headers: &HeaderMap) -> Result<MediaType, Response> {
    if allows(headers, "application/json") {
        Ok(MediaType::Json)
    } else if allows(headers, "application/x-protobuf") {
        Ok(MediaType::Protobuf)
    } else {
        Err(respond::text(
            StatusCode::NOT_ACCEPTABLE,
            "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'",
        ))
    }
}

/// Whether `Accept` allows a media type; no `Accept` allows all.
pub fn allows(headers: &HeaderMap, media_type: &str) -> bool {
    let mut present = false;
    for value in headers.get_all(ACCEPT) {
        present = true;
        let Ok(text) = value.to_str() else { continue };
        if text
            .split(',')
            .any(|entry| entry_matches(entry, media_type))
        {
            return true;
        }
    }
    !present
}

/// What `Accept` names first, of the types that are known; wildcards name nothing.
pub fn first_named<T: Copy>(headers: &HeaderMap, known: &[(&str, T)]) -> Option<T> {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|entry| {
            let name = entry.split(';').next().unwrap_or_default().trim();
            let found = known
                .iter()
                .find(|(known, _)| name.eq_ignore_ascii_case(known));
            found.map(|(_, value)| *value)
        })
}

fn entry_matches(entry: &str, media_type: &str) -> bool {
    let name = entry.split(';').next().unwrap_or_default().trim();
    let family = media_type.split('/').next().unwrap_or_default();
    name == "*/*"
        || name.eq_ignore_ascii_case(media_type)
        || name
            .strip_suffix("/*")
            .is_some_and(|wanted| wanted.eq_ignore_ascii_case(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn json_is_chosen_unless_only_protobuf_is_acceptable() {
        assert_eq!(accept(&HeaderMap::new()).unwrap(), MediaType::Json);
        for value in [
            "*/*",
            "application/*",
            "application/x-protobuf, application/json",
            "text/html, */*;q=0.1",
        ] {
            assert_eq!(
                accept(&headers(ACCEPT, value)).unwrap(),
                MediaType::Json,
                "{value}"
            );
        }
        assert_eq!(
            accept(&headers(ACCEPT, "application/x-protobuf")).unwrap(),
            MediaType::Protobuf
        );
        assert_eq!(
            accept(&headers(ACCEPT, "text/html")).unwrap_err().status(),
            406
        );
    }

    #[test]
    fn content_types_are_compared_literally() {
        assert_eq!(
            content_type(&headers(CONTENT_TYPE, "application/json")).unwrap(),
            MediaType::Json
        );
        for value in [
            "application/json; charset=utf-8",
            "Application/JSON",
            "text/plain",
        ] {
            assert_eq!(
                content_type(&headers(CONTENT_TYPE, value))
                    .unwrap_err()
                    .status(),
                415,
                "{value}"
            );
        }
        assert_eq!(content_type(&HeaderMap::new()).unwrap_err().status(), 400);
    }
}
