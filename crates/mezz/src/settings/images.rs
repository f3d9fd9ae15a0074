//! Flags of the agent that are about images and networks of containers.

use std::path::PathBuf;
use std::time::Duration;

use mezz_agent::{
    ImageBackend, ImageCollection, ImageOptions, ImageRuntime, NetworkKeeping, NetworkOptions,
    parse_resolver,
};
use serde::Deserialize;

use super::{meaning, path};
use crate::flags::{FlagError, Flags};

/// Images, if containers can have any.
pub(super) fn images(flags: &Flags) -> Result<Option<ImageOptions>, FlagError> {
    let providers = flags.text("image_providers").unwrap_or_default();
    let mut providers = providers
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    if let Some(other) = providers
        .clone()
        .find(|name| !name.eq_ignore_ascii_case("docker"))
    {
        let text = format!("'{other}' is not built; built is docker");
        return Err(meaning("image-providers", text));
    }
    if providers.next().is_none() {
        return Ok(None);
    }
    let backend = match flags.text("image_provisioner_backend") {
        None => None,
        Some("overlay") => Some(ImageBackend::Overlay),
        Some("copy") => Some(ImageBackend::Copy),
        Some(other) => {
            let text = format!("'{other}' is not built; built are overlay and copy");
            return Err(meaning("image-provisioner-backend", text));
        }
    };
    let (collection, excluded) = match flags.text("image_gc_config") {
        None => (None, Vec::new()),
        Some(text) => collection(text)?,
    };
    Ok(Some(ImageOptions {
        registry: flags.text("docker_registry").unwrap_or_default().to_owned(),
        store_dir: path(flags, "docker_store_dir"),
        config: flags.text("docker_config").map(str::to_owned),
        backend,
        runtime: if flags.switch("docker_ignore_runtime") {
            ImageRuntime::Ignored
        } else {
            ImageRuntime::Used
        },
        collection,
        excluded,
    }))
}

/// Mesos's `ImageGcConfig`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CollectionJson {
    image_disk_headroom: f64,
    image_disk_watch_interval: DurationJson,
    excluded_images: Vec<ImageJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DurationJson {
    nanoseconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageJson {
    #[allow(
        dead_code,
        reason = "there is one kind only, but it must be of the right form"
    )]
    r#type: Option<String>,
    docker: DockerJson,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DockerJson {
    name: String,
}

impl Default for CollectionJson {
    fn default() -> Self {
        const HOUR: u64 = 3_600_000_000_000;
        Self {
            image_disk_headroom: 0.1,
            image_disk_watch_interval: DurationJson { nanoseconds: HOUR },
            excluded_images: Vec::new(),
        }
    }
}

fn collection(given: &str) -> Result<(Option<ImageCollection>, Vec<String>), FlagError> {
    const FLAG: &str = "image-gc-config";
    let text = if given.trim_start().starts_with('{') {
        given.to_owned()
    } else {
        let file = given.strip_prefix("file://").unwrap_or(given);
        std::fs::read_to_string(file).map_err(|error| meaning(FLAG, format!("{file}: {error}")))?
    };
    let json: CollectionJson =
        serde_json::from_str(&text).map_err(|error| meaning(FLAG, error.to_string()))?;
    let headroom = json.image_disk_headroom;
    let interval = Duration::from_nanos(json.image_disk_watch_interval.nanoseconds);
    if !(0.0..=1.0).contains(&headroom) {
        return Err(meaning(
            FLAG,
            "image_disk_headroom is not between 0 and 1".to_owned(),
        ));
    }
    if interval.is_zero() {
        return Err(meaning(FLAG, "image_disk_watch_interval is 0".to_owned()));
    }
    let excluded = json
        .excluded_images
        .into_iter()
        .map(|image| image.docker.name);
    Ok((
        Some(ImageCollection { headroom, interval }),
        excluded.collect(),
    ))
}

/// Networks, if containers can join any.
pub(super) fn networks(flags: &Flags) -> Result<Option<NetworkOptions>, FlagError> {
    let resolver = flags.text("default_container_dns").unwrap_or("{}");
    let resolver = parse_resolver(resolver)
        .map_err(|error| meaning("default-container-dns", error.to_string()))?;
    let Some(config_dir) = path(flags, "network_cni_config_dir") else {
        return Ok(None);
    };
    if !config_dir.is_dir() {
        let text = format!("there is no folder {}", config_dir.display());
        return Err(meaning("network-cni-config-dir", text));
    }
    Ok(Some(NetworkOptions {
        config_dir: absolute(config_dir),
        plugins_dir: flags
            .text("network_cni_plugins_dir")
            .unwrap_or_default()
            .to_owned(),
        keeping: if flags.switch("network_cni_root_dir_persist") {
            NetworkKeeping::WorkDirectory
        } else {
            NetworkKeeping::UntilReboot
        },
        resolver,
    }))
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
