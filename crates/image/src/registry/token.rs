//! Answers to challenges: passwords, and tokens from the server that the registry names.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use base64::Engine as _;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Response, Url};
use serde::Deserialize;

use super::{Pass, RegistryError, Session};
use crate::challenge::{self, Challenge};
use crate::credentials::Credential;

const TOKEN_BYTES: u64 = 1 << 20;
/// How long a token holds whose server does not say it.
const DEFAULT_LIFE: Duration = Duration::from_mins(1);
/// Passwords do not run out by themselves.
const PASSWORD_LIFE: Duration = Duration::from_hours(1);

#[derive(Deserialize)]
struct Granted {
    #[serde(rename = "token")]
    header: Option<String>,
    /// As OAuth has it.
    #[serde(rename = "access_token")]
    other_header: Option<String>,
    expires_in: Option<u64>,
}

impl Session {
    /// What to say next time, or `None` where we have nothing to say to it.
    pub(super) async fn answer(
        &self,
        response: &Response,
    ) -> Result<Option<String>, RegistryError> {
        let headers = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let texts = headers.filter_map(|value| value.to_str().ok());
        let challenges: Vec<Challenge> = texts.flat_map(challenge::parse).collect();
        // A token says less about us than a password.
        let bearer = challenges
            .iter()
            .find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
        if let Some(Challenge::Bearer {
            realm,
            service,
            scope,
        }) = bearer
        {
            if let Some(Credential::RegistryToken(token)) = &self.credential {
                return Ok(Some(
                    self.remember(format!("Bearer {token}"), PASSWORD_LIFE),
                ));
            }
            let token = self
                .token(realm, service.as_deref(), scope.as_deref())
                .await?;
            let life = token.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
            return match token.header.or(token.other_header) {
                Some(token) => Ok(Some(self.remember(format!("Bearer {token}"), life))),
                None => Err(self.no_token(realm, "its answer has neither token nor access_token")),
            };
        }
        match &self.credential {
            Some(Credential::Password { user, password })
                if challenges.contains(&Challenge::Basic) =>
            {
                let header = basic(user, password);
                Ok(Some(self.remember(header, PASSWORD_LIFE)))
            }
            _ => Ok(None),
        }
    }

    fn remember(&self, header: String, life: Duration) -> String {
        // It must not run out while a request is on its way.
        let until = Instant::now() + life * 9 / 10;
        let pass = Pass {
            header: header.clone(),
            until,
        };
        let mut passes = self
            .registries
            .passes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        passes.retain(|_, pass| pass.until > Instant::now());
        passes.insert(self.pass_key(), pass);
        header
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<Granted, RegistryError> {
        let mut url =
            Url::parse(realm).map_err(|error| self.no_token(realm, &error.to_string()))?;
        let safe = url.scheme() == "https" || (url.scheme() == "http" && self.is_plain());
        if !safe {
            return Err(RegistryError::UnsafeRealm {
                host: self.host().clone(),
                realm: realm.to_owned(),
            });
        }
        let own = format!("repository:{}:pull", self.reference.repository());
        let scope = scope.unwrap_or(&own);
        let trusting = self.registries.settings.insecure.contains(self.host());
        let client = if trusting {
            &self.registries.lax
        } else {
            &self.registries.strict
        };
        let request = match &self.credential {
            Some(Credential::IdentityToken(token)) => {
                let mut form = Url::parse("form:").expect("a scheme alone is an address");
                form.query_pairs_mut()
                    .append_pair("grant_type", "refresh_token")
                    .append_pair("client_id", "mezzanine")
                    .append_pair("service", service.unwrap_or_default())
                    .append_pair("scope", scope)
                    .append_pair("refresh_token", token);
                let body = form.query().unwrap_or_default().to_owned();
                let request = client.post(url).body(body);
                request.header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            }
            credential => {
                if let Some(service) = service {
                    url.query_pairs_mut().append_pair("service", service);
                }
                url.query_pairs_mut().append_pair("scope", scope);
                let request = client.get(url);
                match credential {
                    Some(Credential::Password { user, password }) => {
                        request.header(AUTHORIZATION, basic(user, password))
                    }
                    _ => request,
                }
            }
        };
        self.fetch_token(realm, request).await
    }

    async fn fetch_token(
        &self,
        realm: &str,
        request: RequestBuilder,
    ) -> Result<Granted, RegistryError> {
        let response = self.within(request.send()).await?;
        let response = response.map_err(|error| self.broken(&error))?;
        let status = response.status();
        if status.is_server_error() {
            return self
                .accepted(response, "token")
                .await
                .and_then(|_| Err(self.no_token(realm, "an answer that is none")));
        }
        if !status.is_success() {
            let who = match &self.credential {
                Some(_) => "with the credentials of the docker config",
                None => "without credentials",
            };
            return Err(self.no_token(realm, &format!("it answers {status} {who}")));
        }
        let bytes = self.body(response, "the token", TOKEN_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.no_token(realm, &error.to_string()))
    }

    fn no_token(&self, realm: &str, message: &str) -> RegistryError {
        RegistryError::NoToken {
            host: self.host().clone(),
            realm: realm.to_owned(),
            message: message.to_owned(),
        }
    }
}

fn basic(user: &str, password: &str) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {text}")
}
