//! Answers of registries: their bodies up to a cap, and what they say when they refuse.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::{RegistryError, Session};

const MESSAGE_BYTES: u64 = 64 << 10;

#[derive(Deserialize)]
struct Refusals {
    #[serde(default)]
    errors: Vec<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Session {
    /// The answer, if it is one of success.
    pub(super) async fn accepted(
        &self,
        response: Response,
        path: &str,
    ) -> Result<Response, RegistryError> {
        let status = response.status();
        if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(response);
        }
        let host = self.host().clone();
        let what = format!("{}/{path}", self.reference.repository());
        let after = response.headers().get(RETRY_AFTER);
        let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
        let message = self.message(response).await;
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let who = match &self.credential {
                    Some(_) => "the credentials for it are not accepted",
                    None => "there are no credentials for it in the docker config",
                };
                let message = format!("{who}{message}");
                RegistryError::Denied {
                    host,
                    what,
                    message,
                }
            }
            StatusCode::NOT_FOUND => RegistryError::NotFound {
                host,
                what,
                message,
            },
            status => RegistryError::Status {
                host,
                what,
                status,
                message,
                after: after.map(Duration::from_secs),
            },
        })
    }

    async fn message(&self, response: Response) -> String {
        let Ok(body) = self.body(response, "", MESSAGE_BYTES).await else {
            return String::new();
        };
        let Ok(refusals) = serde_json::from_slice::<Refusals>(&body) else {
            return String::new();
        };
        let texts = refusals.errors.iter().take(3).map(|refusal| {
            let text = format!("{} {}", refusal.code, refusal.message);
            // Whatever a server writes must not look like a line of our own.
            text.chars()
                .filter(|letter| !letter.is_control())
                .take(300)
                .collect()
        });
        let texts: Vec<String> = texts.collect();
        if texts.is_empty() {
            String::new()
        } else {
            format!(" ({})", texts.join("; "))
        }
    }

    /// All of a short body.
    pub(super) async fn body(
        &self,
        mut response: Response,
        what: &str,
        limit: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        while let Some(piece) = self
            .within(response.chunk())
            .await?
            .map_err(|error| self.broken(&error))?
        {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > limit {
                return Err(RegistryError::TooLong {
                    host: self.host().clone(),
                    what: what.to_owned(),
                    limit,
                });
            }
        }
        Ok(bytes)
    }
}
