//! A store with a puller, and layers to publish.

use std::sync::Arc;
use std::time::Duration;

use mezz_image::credentials::DockerConfig;
use mezz_image::digest::Digest;
use mezz_image::pull::{PullPolicy, PullRequest, PullSettings, Puller};
use mezz_image::reference::Reference;
use mezz_image::registry::{Registries, RegistrySettings};
use mezz_image::store::{Image, Store};

use super::registry::{Content, Server};
use super::{Tar, open_store, tree};

pub(crate) struct World {
    _folder: tempfile::TempDir,
    pub(crate) store: Arc<Store>,
    pub(crate) puller: Arc<Puller>,
}

pub(crate) fn world_with(config: &str) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(&folder.path().join("store"));
    let settings = RegistrySettings {
        backoff: Duration::from_millis(1),
        retries: 3,
        stall: Duration::from_secs(20),
        ..RegistrySettings::default()
    };
    let registries = Registries::new(settings).unwrap();
    let settings = PullSettings {
        config: Arc::new(DockerConfig::parse(config).unwrap()),
        ..PullSettings::default()
    };
    let puller = Puller::new(Arc::clone(&store), registries, settings);
    World {
        _folder: folder,
        store,
        puller,
    }
}

pub(crate) fn world() -> World {
    world_with("{}")
}

pub(crate) fn request(server: &Server, name: &str, policy: PullPolicy) -> PullRequest {
    PullRequest {
        reference: Reference::parse(&format!("{}/{name}", server.address)).unwrap(),
        policy,
        config: None,
    }
}

impl World {
    pub(crate) async fn pull(&self, request: PullRequest) -> Result<Image, String> {
        let pull = self.puller.pull(request);
        pull.image().await.map_err(|error| error.to_string())
    }

    pub(crate) async fn get(&self, server: &Server, name: &str) -> Result<Image, String> {
        self.pull(request(server, name, PullPolicy::IfNotPresent))
            .await
    }

    pub(crate) fn top(&self, image: &Image) -> Vec<String> {
        tree(&self.store.layer_root(image.layers.last().unwrap()))
    }
}

pub(crate) fn plain(layer: Tar) -> (Vec<u8>, Digest) {
    let bytes = layer.bytes();
    let digest = Digest::of(&bytes);
    (bytes, digest)
}

pub(crate) fn gzip(layer: Tar) -> (Vec<u8>, Digest) {
    (layer.clone().gzip(), plain(layer).1)
}

pub(crate) fn zstd(layer: Tar) -> (Vec<u8>, Digest) {
    let (bytes, digest) = plain(layer);
    (zstd::encode_all(&bytes[..], 1).unwrap(), digest)
}

pub(crate) fn small() -> Tar {
    Tar::new().directory("bin/").file("bin/sh", "#!")
}

pub(crate) fn large() -> Tar {
    // Noise, which no packing makes small.
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (b'a'..=b'z')
            .cycle()
            .nth((state >> 40) as usize % 26)
            .unwrap()
    });
    let noise: Vec<u8> = noise.take(300_000).collect();
    Tar::new().entry(b'0', "noise", &noise, |_| {})
}

pub(crate) fn publish(repository: &str, layers: &[(Vec<u8>, Digest)]) -> Content {
    let mut content = Content::default();
    content.image(repository, "latest", layers);
    content
}
