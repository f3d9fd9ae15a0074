//! Configurations of images: what they run by default, and the digests of what their layers hold.

use serde::Deserialize;
use thiserror::Error;

use crate::digest::{Digest, chain_ids};
use crate::limits::Limits;
use crate::manifest::Manifest;
use crate::platform::Platform;

/// Why a configuration is of no use.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// More than documents may have.
    #[error("the configuration of the image has {0} bytes, the limit is {1}")]
    TooLarge(u64, u64),
    /// No JSON, or not of the right shape.
    #[error("the configuration of the image is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// `rootfs.type`.
    #[error("rootfs.type of the image is '{0}', only 'layers' is known")]
    RootType(String),
    /// Another number of layers than in the manifest.
    #[error("the manifest lists {manifest} layers, rootfs.diff_ids of the configuration {config}")]
    LayerCount {
        /// In the manifest.
        manifest: usize,
        /// In the configuration.
        config: usize,
    },
    /// An image for another machine.
    #[error("the image is for {image}, this machine is {here}")]
    Platform {
        /// What the image says.
        image: Platform,
        /// This machine.
        here: Platform,
    },
    /// An image without files.
    #[error("the image has no layers")]
    NoLayers,
}

/// What an image says about how it is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// `ENTRYPOINT`.
    pub entrypoint: Vec<String>,
    /// `CMD`.
    pub command: Vec<String>,
    /// `ENV`, each `NAME=VALUE`.
    pub environment: Vec<String>,
    /// `WORKDIR`.
    pub working_directory: Option<String>,
    /// `USER`, as it was written.
    pub user: Option<String>,
    /// `STOPSIGNAL`, as it was written.
    pub stop_signal: Option<String>,
    /// `EXPOSE`, each `PORT/PROTOCOL`.
    pub exposed_ports: Vec<String>,
    /// `VOLUME`.
    pub volumes: Vec<String>,
    /// `LABEL`.
    pub labels: Vec<(String, String)>,
}

/// The configuration of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    /// What it was made for.
    pub platform: Platform,
    /// How it is run.
    pub defaults: Defaults,
    /// Digests of its unpacked layers, lowest first.
    pub diff_ids: Vec<Digest>,
}

/// A set in JSON's way: the values are empty objects.
type Set = std::collections::BTreeMap<String, serde_json::Value>;

#[derive(Deserialize)]
struct Raw {
    architecture: Option<String>,
    os: Option<String>,
    variant: Option<String>,
    config: Option<RawDefaults>,
    rootfs: RawRoot,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawDefaults {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    stop_signal: Option<String>,
    exposed_ports: Option<Set>,
    volumes: Option<Set>,
    labels: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct RawRoot {
    r#type: String,
    diff_ids: Option<Vec<Digest>>,
}

impl ImageConfig {
    /// Reads a configuration.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ConfigError> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > limits.document_bytes {
            return Err(ConfigError::TooLarge(size, limits.document_bytes));
        }
        let raw: Raw = serde_json::from_slice(bytes)?;
        if raw.rootfs.r#type != "layers" {
            return Err(ConfigError::RootType(raw.rootfs.r#type));
        }
        let host = Platform::host();
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            platform: Platform {
                architecture: said(raw.architecture).unwrap_or(host.architecture),
                os: said(raw.os).unwrap_or(host.os),
                variant: said(raw.variant),
            },
            defaults: raw.config.unwrap_or_default().into(),
            diff_ids: raw.rootfs.diff_ids.unwrap_or_default(),
        })
    }

    /// Holds it against its manifest and this machine.
    pub fn check(&self, manifest: &Manifest, here: &Platform) -> Result<(), ConfigError> {
        if self.diff_ids.len() != manifest.layers.len() {
            return Err(ConfigError::LayerCount {
                manifest: manifest.layers.len(),
                config: self.diff_ids.len(),
            });
        }
        if self.diff_ids.is_empty() {
            return Err(ConfigError::NoLayers);
        }
        if !here.runs(&self.platform) {
            return Err(ConfigError::Platform {
                image: self.platform.clone(),
                here: here.clone(),
            });
        }
        Ok(())
    }

    /// The names of its stacks, lowest first: the last one is the whole image.
    pub fn chain_ids(&self) -> Vec<Digest> {
        chain_ids(&self.diff_ids)
    }
}

impl From<RawDefaults> for Defaults {
    fn from(raw: RawDefaults) -> Self {
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        let names = |set: Option<Set>| set.unwrap_or_default().into_keys().collect();
        Self {
            entrypoint: raw.entrypoint.unwrap_or_default(),
            command: raw.cmd.unwrap_or_default(),
            environment: raw.env.unwrap_or_default(),
            working_directory: said(raw.working_dir),
            user: said(raw.user),
            stop_signal: said(raw.stop_signal),
            exposed_ports: names(raw.exposed_ports),
            volumes: names(raw.volumes),
            labels: raw.labels.unwrap_or_default().into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(text: &str) -> Result<ImageConfig, ConfigError> {
        let text = text.replace("HEX", HEX);
        ImageConfig::parse(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn what_docker_leaves_out_or_writes_as_null_is_nothing() {
        for text in [
            r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:HEX"]}}"#,
            r#"{"architecture":"amd64","os":"linux","config":null,"rootfs":{"type":"layers","diff_ids":["sha256:HEX"]}}"#,
            r#"{"architecture":"amd64","os":"linux","config":{"Cmd":null,"Entrypoint":null,"Env":null,"Volumes":null,"WorkingDir":"","User":"","Labels":null,"OnBuild":null},"rootfs":{"type":"layers","diff_ids":["sha256:HEX"]},"history":[{"created":"x"}]}"#,
        ] {
            let config = parse(text).unwrap();
            assert_eq!(config.defaults, Defaults::default(), "{text}");
            assert_eq!(config.platform.to_string(), "linux/amd64");
            assert_eq!(config.diff_ids.len(), 1);
        }
    }

    #[test]
    fn all_defaults_are_read() {
        let config = parse(
            r#"{"architecture":"arm64","variant":"v8","os":"linux","config":{"Cmd":["b"],"Entrypoint":["/a"],"Env":["A=1"],"ExposedPorts":{"80/tcp":{}},"Volumes":{"/v":{}},"WorkingDir":"/w","User":"u:g","StopSignal":"SIGQUIT","Labels":{"k":"v"}},"rootfs":{"type":"layers","diff_ids":[]}}"#,
        )
        .unwrap();
        let defaults = Defaults {
            entrypoint: vec!["/a".into()],
            command: vec!["b".into()],
            environment: vec!["A=1".into()],
            working_directory: Some("/w".into()),
            user: Some("u:g".into()),
            stop_signal: Some("SIGQUIT".into()),
            exposed_ports: vec!["80/tcp".into()],
            volumes: vec!["/v".into()],
            labels: vec![("k".into(), "v".into())],
        };
        assert_eq!(config.defaults, defaults);
    }

    #[test]
    fn broken_configurations_are_refused_with_what_is_wrong() {
        for (text, reason) in [
            ("{", "not valid"),
            ("{}", "missing field `rootfs`"),
            (
                r#"{"rootfs":{"type":"disk"}}"#,
                "rootfs.type of the image is 'disk'",
            ),
            (
                r#"{"rootfs":{"type":"layers","diff_ids":["sha256:../x"]}}"#,
                "64 lower-case",
            ),
            (
                r#"{"config":{"Cmd":"x"},"rootfs":{"type":"layers"}}"#,
                "invalid type: string",
            ),
            (
                r#"{"rootfs":{"type":"layers"},"rootfs":{"type":"layers"}}"#,
                "duplicate field",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).is_err());
    }
}
