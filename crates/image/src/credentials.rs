//! Docker's configuration file, as far as it says who we are to which registry.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use serde::Deserialize;
use thiserror::Error;

use crate::digest::Digest;
use crate::reference::RegistryHost;

/// Why a configuration is of no use.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// No JSON, or not of the right shape.
    #[error("the docker config is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// `auth` is base64 of `USER:PASSWORD`.
    #[error("auths.\"{0}\".auth of the docker config is not base64 of USER:PASSWORD")]
    Auth(String),
    /// What is kept by another program.
    #[error(
        "the docker config leaves the credentials of {host} to the helper '{helper}', which is not supported: put them into auths"
    )]
    Helper {
        /// Whose credentials.
        host: RegistryHost,
        /// `docker-credential-` and this is the program.
        helper: String,
    },
}

/// Who we are.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// Name and password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that the token server takes in the place of a password.
    IdentityToken(String),
    /// A token that the registry itself takes.
    RegistryToken(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Password { .. } => "Password",
            Self::IdentityToken(_) => "IdentityToken",
            Self::RegistryToken(_) => "RegistryToken",
        })
    }
}

/// The credentials of a `config.json` or `.dockercfg`.
#[derive(Clone, Default)]
pub struct DockerConfig {
    entries: BTreeMap<RegistryHost, Credential>,
    helpers: BTreeMap<RegistryHost, String>,
    store: Option<String>,
    fingerprint: Option<Digest>,
}

impl fmt::Debug for DockerConfig {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("DockerConfig")
            .field("hosts", &self.entries.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Raw {
    auths: Option<BTreeMap<String, Entry>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

impl DockerConfig {
    /// Reads either of Docker's two forms: with `auths`, or the older list of registries.
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        let value: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
        let modern = value.is_empty()
            || ["auths", "credHelpers", "credsStore"]
                .iter()
                .any(|key| value.contains_key(*key));
        let raw: Raw = if modern {
            serde_json::from_str(text)?
        } else {
            Raw {
                auths: Some(older(value)?),
                ..Raw::default()
            }
        };
        let mut config = Self {
            store: raw.creds_store.filter(|name| !name.is_empty()),
            fingerprint: Some(Digest::of(text.as_bytes())),
            ..Self::default()
        };
        for (key, entry) in raw.auths.unwrap_or_default() {
            // Whatever is no registry is nothing that we will ask for.
            let Some(host) = host_of(&key) else { continue };
            if let Some(credential) = entry.credential(&key)? {
                config.entries.entry(host).or_insert(credential);
            }
        }
        let helpers = raw.cred_helpers.unwrap_or_default().into_iter();
        config.helpers = helpers
            .filter_map(|(key, helper)| Some((host_of(&key)?, helper)))
            .collect();
        Ok(config)
    }

    /// Who we are to this registry.
    pub fn for_host(&self, host: &RegistryHost) -> Result<Option<&Credential>, CredentialsError> {
        if let Some(credential) = self.entries.get(host) {
            return Ok(Some(credential));
        }
        // A general store is asked by Docker even for public images, so nothing can be read out of it.
        match self.helpers.get(host) {
            None => Ok(None),
            Some(helper) => Err(CredentialsError::Helper {
                host: host.clone(),
                helper: helper.clone(),
            }),
        }
    }

    /// What to say besides when a registry has refused us: the credentials may lie in a store that we do not ask.
    pub fn unasked_store(&self) -> Option<&str> {
        self.store.as_deref()
    }

    /// Tells configurations apart without telling what is in them.
    pub fn fingerprint(&self) -> Option<&Digest> {
        self.fingerprint.as_ref()
    }
}

/// Only entries of this form are looked at: the older file may hold other keys.
fn older(
    value: serde_json::Map<String, serde_json::Value>,
) -> Result<BTreeMap<String, Entry>, CredentialsError> {
    value
        .into_iter()
        .filter(|(_, entry)| entry.get("auth").is_some() || entry.get("username").is_some())
        .map(|(key, entry)| Ok((key, serde_json::from_value(entry)?)))
        .collect()
}

impl Entry {
    fn credential(self, key: &str) -> Result<Option<Credential>, CredentialsError> {
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = said(self.registrytoken) {
            return Ok(Some(Credential::RegistryToken(token)));
        }
        if let Some(token) = said(self.identitytoken) {
            return Ok(Some(Credential::IdentityToken(token)));
        }
        if let Some(auth) = said(self.auth) {
            let refused = || CredentialsError::Auth(key.to_owned());
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(auth.trim())
                .map_err(|_| refused())?;
            let text = String::from_utf8(bytes).map_err(|_| refused())?;
            let (user, password) = text.split_once(':').ok_or_else(refused)?;
            // Some clients pad with zero bytes.
            let password = password.trim_end_matches('\0').to_owned();
            let user = user.to_owned();
            return Ok(Some(Credential::Password { user, password }));
        }
        Ok(match (said(self.username), said(self.password)) {
            (Some(user), Some(password)) => Some(Credential::Password { user, password }),
            _ => None,
        })
    }
}

/// The registry of a key such as `https://index.docker.io/v1/` or `quay.io`.
fn host_of(key: &str) -> Option<RegistryHost> {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(config: &DockerConfig, host: &str) -> Option<(String, String)> {
        match config.for_host(&host.parse().unwrap()).unwrap()? {
            Credential::Password { user, password } => Some((user.clone(), password.clone())),
            _ => None,
        }
    }

    #[test]
    fn both_forms_and_all_names_of_docker_hub_are_read() {
        // "dTpwOnE=" is "u:p:q"
        for text in [
            r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpwOnE=","email":"x@y"}}}"#,
            r#"{"auths":{"docker.io":{"username":"u","password":"p:q"}},"HttpHeaders":{}}"#,
            r#"{"registry-1.docker.io":{"auth":"dTpwOnE="},"other":3}"#,
        ] {
            let config = DockerConfig::parse(text).unwrap();
            let found = password(&config, "docker.io");
            assert_eq!(found, Some(("u".into(), "p:q".into())), "{text}");
            assert_eq!(password(&config, "quay.io"), None);
        }
    }

    #[test]
    fn hosts_with_ports_are_told_apart() {
        let text = r#"{"auths":{"localhost:5000":{"auth":"YTpi"},"http://localhost:5001/v2/":{"auth":"Yzpk"},"localhost:5002":{"identitytoken":"t"},"localhost:5003":{}}}"#;
        let config = DockerConfig::parse(text).unwrap();
        assert_eq!(
            password(&config, "localhost:5000"),
            Some(("a".into(), "b".into()))
        );
        assert_eq!(
            password(&config, "localhost:5001"),
            Some(("c".into(), "d".into()))
        );
        let host = "localhost:5002".parse().unwrap();
        let token = Credential::IdentityToken("t".into());
        assert_eq!(config.for_host(&host).unwrap(), Some(&token));
        assert_eq!(password(&config, "localhost:5003"), None);
    }

    #[test]
    fn what_a_helper_keeps_is_told_when_it_is_needed() {
        let text = r#"{"credHelpers":{"gcr.io":"gcloud"},"credsStore":"desktop"}"#;
        let config = DockerConfig::parse(text).unwrap();
        let error = config.for_host(&"gcr.io".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("helper 'gcloud'"), "{error}");
        assert_eq!(password(&config, "quay.io"), None);
        assert_eq!(config.unasked_store(), Some("desktop"));
    }

    #[test]
    fn broken_files_are_refused_and_secrets_are_never_printed() {
        for (text, reason) in [
            ("[]", "not valid"),
            (r#"{"auths":{"a.b":{"auth":"%"}}}"#, "auths.\"a.b\".auth"),
            (r#"{"auths":{"a.b":{"auth":"eA=="}}}"#, "USER:PASSWORD"),
            (r#"{"auths":3}"#, "not valid"),
        ] {
            let error = DockerConfig::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let config = DockerConfig::parse(r#"{"auths":{"a.b":{"auth":"dXNlcjpwYXNz"}}}"#).unwrap();
        let printed = format!("{config:?}{:?}", config.for_host(&"a.b".parse().unwrap()));
        assert!(
            !printed.contains("pass") && !printed.contains("dXNl"),
            "{printed}"
        );
    }
}
