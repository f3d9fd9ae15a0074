//! Having the Engine pull an image.

use std::time::Duration;

use base64::Engine as _;
use bytes::BytesMut;
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::transport::{Call, escaped};

/// A pull that has not moved for so long is given up.
const STALLED: Duration = Duration::from_mins(10);
/// Longer than any word of progress.
const LONGEST_LINE: usize = 1 << 20;

/// Who we are to the image's registry.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub struct RegistryAuth {
    /// A name, with a password.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The password.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub password: String,
    /// A token in the place of both.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub identitytoken: String,
    /// A token that the registry itself takes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub registrytoken: String,
    /// The registry's host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub serveraddress: String,
}

impl std::fmt::Debug for RegistryAuth {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("RegistryAuth")
            .field("serveraddress", &self.serveraddress)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Progress {
    #[serde(default)]
    error: Option<String>,
}

impl Engine {
    /// Pulls an image by its name; without a tag or digest the tag is `latest`.
    pub async fn pull(&self, image: &str, auth: Option<&RegistryAuth>) -> Result<(), EngineError> {
        let failed = |message: String| EngineError::Pull {
            image: image.to_owned(),
            message,
        };
        let mut path = format!("/images/create?fromImage={}", escaped(image));
        if !has_tag(image) {
            path.push_str("&tag=latest");
        }
        let mut call = Call::post("pull image", path);
        if let Some(auth) = auth {
            call.auth = Some(encoded(auth));
        }
        let answer = match self.transport.open(call).await {
            Err(EngineError::Refused { message, .. }) => return Err(failed(message)),
            other => other?,
        };
        let mut body = answer.into_body();
        let mut rest = BytesMut::new();
        loop {
            let stalled = |_| failed(format!("no progress for {} s", STALLED.as_secs()));
            let Some(frame) = timeout(STALLED, body.frame()).await.map_err(stalled)? else {
                break;
            };
            let Ok(piece) = frame?.into_data() else {
                continue;
            };
            rest.extend_from_slice(&piece);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest.split_to(end + 1);
                told(&line).map_err(failed)?;
            }
            if rest.len() > LONGEST_LINE {
                return Err(EngineError::TooLong("pull image"));
            }
        }
        told(&rest).map_err(failed)
    }
}

/// The first failure that a line tells of.
fn told(line: &[u8]) -> Result<(), String> {
    let progress = serde_json::from_slice::<Progress>(line).ok();
    progress
        .and_then(|progress| progress.error)
        .map_or(Ok(()), Err)
}

/// Without one, the Engine would pull all there are.
fn has_tag(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.contains([':', '@'])
}

fn encoded(auth: &RegistryAuth) -> String {
    let text = serde_json::to_vec(auth).expect("plain texts can be written as JSON");
    base64::engine::general_purpose::URL_SAFE.encode(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_a_registry_is_no_tag() {
        assert!(!has_tag("localhost:5000/tool"));
        assert!(has_tag("localhost:5000/tool:1"));
        assert!(has_tag("tool@sha256:00"));
        assert!(!has_tag("library/tool"));
    }

    #[test]
    fn a_failure_in_the_midst_of_progress_is_heard() {
        assert_eq!(told(br#"{"status":"Pulling"}"#), Ok(()));
        let line = br#"{"errorDetail":{"message":"denied"},"error":"denied"}"#;
        assert_eq!(told(line), Err("denied".to_owned()));
    }
}
