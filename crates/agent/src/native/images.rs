//! Images for containers: brought from registries, stacked or copied for each container, and collected.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mezz_agent_core::ContainerId;
use mezz_image::config::Defaults;
use mezz_image::credentials::{CredentialsError, DockerConfig};
use mezz_image::provision::Backend;
use mezz_image::pull::{PullSettings, Puller};
use mezz_image::reference::{Reference, ReferenceError, RegistryHost};
use mezz_image::registry::{Registries, RegistryError, RegistrySettings};
use mezz_image::source::Source;
use mezz_image::store::{
    Collected, ContainerName, Image, Rootfs, Store, StoreError, StoreSettings, Watermarks,
};
use mezz_image::users::UserError;
use mezz_launch_plan::{Access, Credentials, RootSpec};
use mezz_proto::v1;

use super::furnishing;
use super::users::Accounts;
use crate::fetch::beneath::Sandbox;
use crate::options::{ImageBackend, ImageOptions, ImageRuntime};
use crate::preparing::{Failure, Furnished, PrepareError, Wanted};

/// Why an agent cannot have images.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// `--docker-registry` is neither an address nor a folder.
    #[error("--docker-registry: {0}")]
    Registry(String),
    /// `--docker-config`.
    #[error("--docker-config: {0}")]
    Config(#[from] CredentialsError),
    /// Its file.
    #[error("--docker-config: {}: {source}", path.display())]
    ConfigFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store.
    #[error("--docker-store-dir: {0}")]
    Store(#[from] StoreError),
    /// The client of registries.
    #[error("{0}")]
    Client(#[from] RegistryError),
    /// The place where roots are mounted.
    #[error("{}: {source}", path.display())]
    Place {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why a container cannot stand on its image.
#[derive(Debug, thiserror::Error)]
enum ImageUseError {
    #[error("container.{field}.type APPC: AppC images are not built; give one of type DOCKER")]
    Appc { field: String },
    #[error("container.{field}.docker is not set")]
    NoName { field: String },
    #[error("container.{field}.docker.name: {source}")]
    Name {
        field: String,
        source: ReferenceError,
    },
    #[error(
        "container.{field}.docker.config: only a secret of type VALUE can be had; a REFERENCE needs a secret resolver"
    )]
    SecretReference { field: String },
    #[error("container.{field}.docker.config: {source}")]
    Config {
        field: String,
        source: CredentialsError,
    },
    #[error("container.{field}.docker.config is no UTF-8")]
    ConfigText { field: String },
    #[error("the image's USER: {0}")]
    User(#[from] UserError),
    #[error("the sandbox cannot be given to the image's user: {0}")]
    Sandbox(io::Error),
    #[error("{0}")]
    Interrupted(String),
}

/// All images of an agent.
#[derive(Debug)]
pub(crate) struct Images {
    store: Arc<Store>,
    puller: Arc<Puller>,
    default: RegistryHost,
    backend: Backend,
    runtime: ImageRuntime,
    excluded: BTreeSet<Reference>,
    /// An empty folder on which each container has its own root mounted, which only it sees.
    at: PathBuf,
}

impl Images {
    /// Opens the store and pulls nothing yet.
    pub(crate) fn open(options: &ImageOptions, work_dir: &Path) -> Result<Self, ImagesError> {
        let folder = options.store_dir.clone();
        let store = Store::open(StoreSettings::new(
            folder.unwrap_or_else(|| work_dir.join("images")),
        ))?;
        let mut settings = RegistrySettings::default();
        let (source, default) = place(&options.registry, &mut settings)?;
        let pulls = PullSettings {
            source,
            config: Arc::new(agent_config(options)?),
            ..PullSettings::default()
        };
        let at = work_dir.join("roots");
        fs::create_dir_all(&at).map_err(|source| ImagesError::Place {
            path: at.clone(),
            source,
        })?;
        let excluded = options.excluded.iter();
        let excluded = excluded.filter_map(|name| Reference::parse_with(name, &default).ok());
        Ok(Self {
            puller: Puller::new(Arc::clone(&store), Registries::new(settings)?, pulls),
            store,
            excluded: excluded.collect(),
            default,
            backend: match options.backend {
                Some(ImageBackend::Overlay) => Backend::Overlay,
                Some(ImageBackend::Copy) => Backend::Copy,
                None => Backend::of_host(),
            },
            runtime: options.runtime,
            at,
        })
    }

    /// A root of an image, and what the image says of its use.
    pub(super) async fn furnish(
        &self,
        wanted: &Wanted,
        image: &v1::Image,
    ) -> Result<Furnished, PrepareError> {
        let image = self.bring(wanted, "mesos.image", image).await?;
        wanted.progress.tell(format!(
            "providing the root of {}",
            image.reference.familiar()
        ));
        let name = name(wanted.container(), "");
        let rootfs = self.provision(name, image.clone(), self.backend).await?;
        let mut furnished = Furnished {
            root: self.root(&rootfs),
            ..Furnished::default()
        };
        let none = Defaults::default();
        let defaults = match self.runtime {
            ImageRuntime::Used => &image.config.defaults,
            ImageRuntime::Ignored => &none,
        };
        furnishing::furnish(&wanted.launch, defaults, &mut furnished).map_err(PrepareError::of)?;
        furnished.user = user(wanted, defaults, &rootfs).map_err(PrepareError::of)?;
        if let Some(user) = &furnished.user {
            give(wanted, user.clone()).await?;
        }
        Ok(furnished)
    }

    /// A copy of an image as a volume.
    pub(super) async fn volume(
        &self,
        wanted: &Wanted,
        index: usize,
        image: &v1::Image,
    ) -> Result<PathBuf, PrepareError> {
        let field = format!("volumes[{index}].image");
        let image = self.bring(wanted, &field, image).await?;
        let name = name(wanted.container(), &format!(".{index}"));
        match self.provision(name, image, Backend::Copy).await? {
            Rootfs::Copy { root } => Ok(root),
            Rootfs::Overlay(overlay) => Ok(overlay.upper),
        }
    }

    async fn bring(
        &self,
        wanted: &Wanted,
        field: &str,
        image: &v1::Image,
    ) -> Result<Image, PrepareError> {
        let field = || field.to_owned();
        if image.r#type() == v1::image::Type::Appc {
            return Err(PrepareError::of(ImageUseError::Appc { field: field() }));
        }
        let docker = image.docker.as_ref();
        let docker =
            docker.ok_or_else(|| PrepareError::of(ImageUseError::NoName { field: field() }))?;
        let reference = Reference::parse_with(&docker.name, &self.default);
        let reference = reference.map_err(|source| {
            PrepareError::of(ImageUseError::Name {
                field: field(),
                source,
            })
        })?;
        let config = docker.config.as_ref();
        let config = config.map(|secret| task_config(secret, &field()));
        let config = config.transpose().map_err(PrepareError::of)?;
        super::pulling::pull(&self.puller, wanted, reference, image.cached(), config).await
    }

    async fn provision(
        &self,
        name: ContainerName,
        image: Image,
        backend: Backend,
    ) -> Result<Rootfs, PrepareError> {
        let store = Arc::clone(&self.store);
        let made = tokio::task::spawn_blocking(move || store.provision(&name, &image, backend));
        let made = made.await.map_err(PrepareError::of)?;
        made.map_err(PrepareError::of)
    }

    fn root(&self, rootfs: &Rootfs) -> RootSpec {
        match rootfs {
            Rootfs::Copy { root } => RootSpec::Folder {
                path: root.clone(),
                access: Access::ReadWrite,
            },
            Rootfs::Overlay(overlay) => {
                // By their short names: older kernels take one page of text for all of them.
                let stack = &overlay.stack;
                let lower = stack.names.iter().map(|name| stack.links.join(name));
                RootSpec::Overlay {
                    at: self.at.clone(),
                    lower: lower.collect(),
                    upper: Some((overlay.upper.clone(), overlay.work.clone())),
                }
            }
        }
    }

    /// Removes what a container stood on, and its volumes.
    pub(super) async fn destroy(&self, container: ContainerId) -> Result<(), Failure> {
        let prefix = container.to_string();
        self.destroy_where(move |name| name.starts_with(&prefix))
            .await
    }

    /// Removes what containers that do not live stood on.
    pub(super) async fn sweep(&self, living: &BTreeSet<ContainerId>) -> Result<(), Failure> {
        let living: Vec<String> = living.iter().map(ToString::to_string).collect();
        let lives = move |name: &str| living.iter().any(|living| name.starts_with(living));
        self.destroy_where(move |name| !lives(name)).await
    }

    async fn destroy_where(
        &self,
        goes: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<(), Failure> {
        let store = Arc::clone(&self.store);
        let removal = tokio::task::spawn_blocking(move || {
            let mut result = Ok(());
            for name in store.containers() {
                if goes(&name.to_string()) {
                    result = result.and(store.destroy(&name));
                }
            }
            result
        });
        removal.await?.map_err(Into::into)
    }

    /// Removes all images that no container stands on, but for these.
    pub(crate) fn prune(&self, excluded: &[String]) -> Result<Collected, String> {
        let mut kept = self.excluded.clone();
        for name in excluded {
            let parsed = Reference::parse_with(name, &self.default);
            kept.insert(parsed.map_err(|error| format!("excluded_images: '{name}': {error}"))?);
        }
        self.store.prune(&kept).map_err(|error| error.to_string())
    }

    /// Removes images, the longest unused first, if the disk is fuller than it may be.
    pub(crate) fn collect_above(&self, marks: Watermarks) -> Result<Option<Collected>, StoreError> {
        self.store.collect_above(marks, &self.excluded)
    }
}

/// Container ids are all equally long, so that none is the beginning of another.
fn name(container: ContainerId, part: &str) -> ContainerName {
    let text = format!("{container}{part}");
    text.parse().expect("a UUID and a number are a plain name")
}

/// Where images come from, and which registry those without one are of.
fn place(
    text: &str,
    settings: &mut RegistrySettings,
) -> Result<(Source, RegistryHost), ImagesError> {
    if text.is_empty() {
        return Ok((Source::Registry, RegistryHost::hub()));
    }
    if text.starts_with('/') {
        return Ok((Source::ArchiveFolder(text.into()), RegistryHost::hub()));
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
    let host = rest.trim_end_matches('/');
    if !matches!(scheme, "http" | "https") || host.contains('/') {
        return Err(ImagesError::Registry(format!(
            "'{text}' is neither https://HOST[:PORT], http://HOST[:PORT] nor the absolute path of a folder of archives"
        )));
    }
    let hub = [
        "registry-1.docker.io",
        "index.docker.io",
        "docker.io",
        "registry.hub.docker.com",
    ];
    let host = if hub.contains(&host) {
        RegistryHost::hub()
    } else {
        host.parse()
            .map_err(|error| ImagesError::Registry(format!("'{text}': {error}")))?
    };
    if scheme == "http" {
        settings.insecure.insert(host.clone());
    }
    Ok((Source::Registry, host))
}

/// The agent's own credentials: JSON, or the path of a file of it.
fn agent_config(options: &ImageOptions) -> Result<DockerConfig, ImagesError> {
    let Some(given) = &options.config else {
        return Ok(DockerConfig::default());
    };
    if given.trim_start().starts_with('{') {
        return Ok(DockerConfig::parse(given)?);
    }
    let path = PathBuf::from(given.strip_prefix("file://").unwrap_or(given));
    let text = fs::read_to_string(&path);
    let text = text.map_err(|source| ImagesError::ConfigFile { path, source })?;
    Ok(DockerConfig::parse(&text)?)
}

/// The credentials that come with an image.
fn task_config(secret: &v1::Secret, field: &str) -> Result<Arc<DockerConfig>, ImageUseError> {
    let field = || field.to_owned();
    let value = secret.value.as_ref();
    let value = value.filter(|_| secret.r#type() == v1::secret::Type::Value);
    let value = value.ok_or_else(|| ImageUseError::SecretReference { field: field() })?;
    let text = std::str::from_utf8(&value.data);
    let text = text.map_err(|_| ImageUseError::ConfigText { field: field() })?;
    let config = DockerConfig::parse(text).map_err(|source| ImageUseError::Config {
        field: field(),
        source,
    })?;
    Ok(Arc::new(config))
}

/// Who the container runs as: the command's user, else the image's, else the framework's. The image's accounts count
/// first; `None` leaves the launch's user to the host's accounts.
fn user(
    wanted: &Wanted,
    image: &Defaults,
    rootfs: &Rootfs,
) -> Result<Option<Credentials>, ImageUseError> {
    // Without it, the agent may not switch users.
    let Some(of_launch) = &wanted.launch.user else {
        return Ok(None);
    };
    let asked = wanted.launch.surroundings.user.as_deref();
    let accounts = Accounts::of(rootfs);
    let found = match (asked, image.user.as_deref().filter(|user| !user.is_empty())) {
        (None, Some(user)) => accounts.find(user)?,
        _ => match accounts.find(of_launch) {
            Ok(user) => user,
            // It may be known to the host.
            Err(UserError::NoUser(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        },
    };
    Ok(Some(Credentials {
        uid: found.uid,
        gid: found.gid,
        groups: found.groups,
    }))
}

/// The sandbox belongs to whoever runs in it.
async fn give(wanted: &Wanted, user: Credentials) -> Result<(), PrepareError> {
    let present = wanted.owner.as_ref().map_or(0, |owner| owner.uid);
    if user.uid == present || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let sandbox = wanted.sandbox.clone();
    let given = tokio::task::spawn_blocking(move || {
        std::os::unix::fs::lchown(&sandbox, Some(user.uid), Some(user.gid))?;
        Sandbox::open(&sandbox)?.give_to(user.uid, user.gid)
    });
    let given = given
        .await
        .map_err(|error| PrepareError::of(ImageUseError::Interrupted(error.to_string())))?;
    given.map_err(|error| PrepareError::of(ImageUseError::Sandbox(error)))
}
