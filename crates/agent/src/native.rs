//! The native runtime: the task's own program, in a root made of an image and a network made by plugins.
//!
//! Owns what is made for such containers, and its undoing: the order of both, and what survives the daemon.

mod furnishing;
mod images;
mod networks;
mod pulling;
mod records;
mod secrets;
mod users;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use mezz_agent_core::{ContainerId, Surroundings};
use mezz_image::store::Watermarks;
use mezz_launch_plan::{Access, NamespaceSpec, RootSpec, VolumeSource, VolumeSpec};
use mezz_proto::v1::{ContainerInfo, container_info, volume};

use crate::preparing::{Failure, Furnished, Later, PrepareError, Prepared, Runtime, Wanted};

pub(crate) use images::Images;
pub use images::ImagesError;
pub(crate) use networks::Networks;
pub use networks::{ResolverError, parse_resolver};
use records::{Record, Records};
use secrets::SecretVolumes;

/// The runtime that is always there.
#[derive(Debug)]
pub(crate) struct Native {
    images: Option<Images>,
    networks: Option<Networks>,
    secrets: SecretVolumes,
    records: Records,
}

/// Why a container cannot be furnished.
#[derive(Debug, thiserror::Error)]
enum NativeError {
    #[error("container.{field}: images need an agent with --image-providers=docker")]
    NoImages { field: String },
    #[error(
        "container.network_infos: the network '{name}' needs an agent with --network-cni-config-dir"
    )]
    NoNetworks { name: String },
    #[error("what was prepared for the container that this one looks after is not known any more")]
    NotPrepared,
    #[error("{0}")]
    Record(String),
}

impl Native {
    pub(crate) fn new(
        images: Option<Images>,
        networks: Option<Networks>,
        work_dir: PathBuf,
        secrets: PathBuf,
    ) -> Self {
        Self {
            images,
            networks,
            secrets: SecretVolumes::new(secrets),
            records: Records::new(work_dir.join("native")),
        }
    }

    /// Removes all images that no container stands on, but for these.
    pub(crate) fn prune(&self, excluded: &[String]) -> Result<(), String> {
        let Some(images) = &self.images else {
            return Ok(());
        };
        let collected = images.prune(excluded)?;
        tracing::info!(
            images = collected.images.len(),
            bytes = collected.bytes,
            "images were pruned"
        );
        Ok(())
    }

    /// Removes images, the longest unused first, if the disk is fuller than it may be.
    pub(crate) fn collect_above(&self, marks: Watermarks) {
        let Some(images) = &self.images else { return };
        match images.collect_above(marks) {
            Ok(None) => {}
            Ok(Some(collected)) => {
                let (images, bytes) = (collected.images.len(), collected.bytes);
                tracing::info!(images, bytes, "images were collected to make room");
            }
            Err(error) => tracing::error!(%error, "images cannot be collected"),
        }
    }

    async fn furnish(&self, wanted: &Wanted) -> Result<Prepared, PrepareError> {
        let container = wanted.launch.surroundings.container.as_deref();
        let none = ContainerInfo::default();
        let container = container.unwrap_or(&none);
        let mut furnished = Furnished::default();
        let mut record = Record::default();
        if let Some(image) = image_of(container) {
            let field = "mesos.image".to_owned();
            let images = self.images.as_ref().ok_or(NativeError::NoImages { field });
            let images = images.map_err(PrepareError::of)?;
            furnished = images.furnish(wanted, image).await?;
            record.root = records::Root::Own;
        }
        for (index, volume) in container.volumes.iter().enumerate() {
            if let Some(spec) = self.volume(wanted, index, volume).await? {
                furnished.volumes.push((index, spec));
            }
        }
        if let Some(name) = named_network(container) {
            let name = name.to_owned();
            let networks = self.networks.as_ref();
            let networks = networks.ok_or(NativeError::NoNetworks { name });
            let networks = networks.map_err(PrepareError::of)?;
            networks.furnish(wanted, container, &mut furnished).await?;
        }
        record.keep(&furnished);
        self.records
            .write(wanted.container(), &record)
            .map_err(|error| PrepareError::of(NativeError::Record(error.to_string())))?;
        Ok(Prepared::Container(Box::new(furnished)))
    }

    /// What takes the place of a volume that is not just a path.
    async fn volume(
        &self,
        wanted: &Wanted,
        index: usize,
        volume: &mezz_proto::v1::Volume,
    ) -> Result<Option<VolumeSpec>, PrepareError> {
        let secret = volume
            .source
            .as_ref()
            .and_then(|source| source.secret.as_ref());
        let path = if let Some(image) = &volume.image {
            let field = format!("volumes[{index}].image");
            let images = self.images.as_ref().ok_or(NativeError::NoImages { field });
            let images = images.map_err(PrepareError::of)?;
            images.volume(wanted, index, image).await?
        } else if let Some(secret) = secret {
            let owner = wanted.owner.as_ref();
            let written = self.secrets.write(wanted.container(), index, secret, owner);
            written.map_err(PrepareError::of)?
        } else {
            return Ok(None);
        };
        let access = match volume.mode() {
            volume::Mode::Rw if secret.is_none() => Access::ReadWrite,
            _ => Access::ReadOnly,
        };
        Ok(Some(VolumeSpec {
            source: VolumeSource::HostPath(path),
            target: PathBuf::from(&volume.container_path),
            access,
            propagation: mezz_launch_plan::isolation::Propagation::Private,
        }))
    }

    fn within(&self, wanted: &Wanted, container: ContainerId) -> Result<Prepared, NativeError> {
        let record = self.records.read(container);
        let record = record.ok_or(NativeError::NotPrepared)?;
        let within = wanted
            .launch
            .surroundings
            .within
            .map(|launch| mezz_launch_plan::LaunchId(launch.0));
        let network = within.map_or(NamespaceSpec::Host, NamespaceSpec::Of);
        Ok(Prepared::Container(Box::new(Furnished {
            root: match record.root {
                records::Root::Own => RootSpec::Joined,
                records::Root::Host => RootSpec::Host,
            },
            network,
            environment_over: record.environment_over(),
            working_directory: record.directory,
            user: record.user.map(Into::into),
            environment: record.environment,
            ..Furnished::default()
        })))
    }
}

impl Runtime for Native {
    fn name(&self) -> &'static str {
        "mesos"
    }

    fn takes(&self, surroundings: &Surroundings) -> bool {
        let named = surroundings.runtime.as_deref();
        if named.is_some_and(|name| name != "native") {
            return false;
        }
        let Some(container) = surroundings.container.as_deref() else {
            return false;
        };
        if container.r#type() == container_info::Type::Docker {
            return false;
        }
        let image = image_of(container).is_some();
        let network = named_network(container).is_some();
        let mut volumes = container.volumes.iter();
        (image && self.images.is_some())
            || (network && self.networks.is_some())
            || volumes.any(is_made)
    }

    fn prepare(&self, wanted: Arc<Wanted>) -> Later<'_, Result<Prepared, PrepareError>> {
        Box::pin(async move { self.furnish(&wanted).await })
    }

    fn prepare_within(
        &self,
        wanted: Arc<Wanted>,
        container: ContainerId,
    ) -> Later<'_, Result<Prepared, PrepareError>> {
        Box::pin(async move { self.within(&wanted, container).map_err(PrepareError::of) })
    }

    fn network(&self, container: ContainerId) -> Option<PathBuf> {
        self.networks.as_ref()?.namespace(container)
    }

    fn clean_up(&self, container: ContainerId) -> Later<'_, Result<(), Failure>> {
        Box::pin(async move {
            // Each is tried, whatever became of the others.
            let network = match &self.networks {
                Some(networks) => networks.detach(container).await,
                None => Ok(()),
            };
            let images = match &self.images {
                Some(images) => images.destroy(container).await,
                None => Ok(()),
            };
            self.secrets.remove(container);
            network?;
            images?;
            self.records.remove(container);
            Ok(())
        })
    }

    fn sweep(&self, living: Arc<BTreeSet<ContainerId>>) -> Later<'_, Result<(), Failure>> {
        Box::pin(async move {
            let network = match &self.networks {
                Some(networks) => networks.sweep(&living).await,
                None => Ok(()),
            };
            let images = match &self.images {
                Some(images) => images.sweep(&living).await,
                None => Ok(()),
            };
            self.secrets.sweep(&living);
            self.records.sweep(&living);
            network.and(images)
        })
    }
}

/// The image that a container stands on.
fn image_of(container: &ContainerInfo) -> Option<&mezz_proto::v1::Image> {
    container.mesos.as_ref()?.image.as_ref()
}

/// The first network that is named; those without a name mean the host's.
fn named_network(container: &ContainerInfo) -> Option<&str> {
    let mut networks = container.network_infos.iter();
    networks.find_map(|network| network.name.as_deref())
}

/// Whether a volume is more than a path.
fn is_made(volume: &mezz_proto::v1::Volume) -> bool {
    let source = volume.source.as_ref();
    volume.image.is_some() || source.is_some_and(|source| source.secret.is_some())
}
