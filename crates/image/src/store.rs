//! The store of images on this machine: documents and downloads by digest, unpacked layers by chain, images by name.
//!
//! Owns one folder, which nobody else may look into: layers may hold set-id programs. Everything in it is whole from
//! the moment of its rename; what a crash leaves behind is removed when the store is opened. It never removes what a
//! container stands on, or what somebody holds a [`Pin`] for.

mod blobs;
mod collect;
mod containers;
mod fitting;
mod folders;
mod images;
mod layers;
mod pins;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use crate::config::ConfigError;
use crate::digest::Digest;
use crate::limits::Limits;
use crate::manifest::ManifestError;
use crate::reference::Reference;
use crate::unpack::Privilege;

pub use blobs::Partial;
pub use collect::{Collected, Watermarks};
pub use containers::{ContainerName, Rootfs};
pub use images::{Access, Image, ImageSummary};
pub use layers::{LayerDraft, LayerRecord};
pub use pins::Pin;

use containers::ContainerRecord;
use folders::Folders;
use images::ImageRecord;

/// Why the store cannot do something.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A file or folder of it.
    #[error("{step} {path}: {error}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// With what.
        path: PathBuf,
        /// The answer.
        error: io::Error,
    },
    /// Two at once.
    #[error("the image store {0} is in use by another process")]
    InUse(PathBuf),
    /// Of a program that is not this one.
    #[error(
        "the image store {folder} has version {found}, this program knows {known}: give it another folder"
    )]
    Version {
        /// The store.
        folder: PathBuf,
        /// What it says.
        found: String,
        /// What we know.
        known: &'static str,
    },
    /// A document that is not what its name says.
    #[error("{0} in the image store has other content than its name says")]
    Corrupt(Digest),
    /// A document that is no manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A document that is no configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A name that no folder can have.
    #[error("'{0}' cannot name a container: it must be one part of a path")]
    ContainerName(String),
    /// A container twice.
    #[error("the container {0} has a root file system already")]
    ContainerExists(ContainerName),
    /// A layer that should be there.
    #[error("the layer {0} is not in the image store")]
    NoLayer(Digest),
    /// A record that cannot be written.
    #[error("a record of the image store cannot be written: {0}")]
    Record(#[from] serde_json::Error),
}

pub(crate) fn at(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Io { step, path, error }
}

/// What the store holds to.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Where it is.
    pub folder: PathBuf,
    /// Caps on what it takes.
    pub limits: Limits,
    /// What this process may do.
    pub privilege: Privilege,
    /// Tells one run of the machine from the next: what was not synced in an earlier one cannot be trusted.
    pub boot_id: String,
}

impl StoreSettings {
    /// A store in this folder, as this process and machine are.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        Self {
            folder: folder.into(),
            limits: Limits::default(),
            privilege: Privilege::of_process(),
            boot_id: boot_id.unwrap_or_default().trim().to_owned(),
        }
    }
}

/// The images of this machine.
#[derive(Debug)]
pub struct Store {
    folders: Folders,
    settings: StoreSettings,
    inside: Mutex<Inside>,
    serial: AtomicU64,
    /// Held as long as the store is open.
    _lock: File,
}

#[derive(Debug, Default)]
struct Inside {
    layers: BTreeMap<Digest, LayerRecord>,
    images: BTreeMap<Reference, ImageRecord>,
    containers: BTreeMap<ContainerName, ContainerRecord>,
    pins: BTreeMap<Digest, usize>,
    next_link: u32,
}

impl Store {
    /// Opens the store, and sweeps away what an earlier life has left unfinished.
    pub fn open(settings: StoreSettings) -> Result<Arc<Self>, StoreError> {
        let folders = Folders::new(&settings.folder);
        for folder in folders.all() {
            let mut builder = DirBuilder::new();
            let made = builder.recursive(true).mode(0o700).create(&folder);
            made.map_err(at("make", &folder))?;
        }
        let lock = lock(&folders)?;
        check_version(&folders)?;
        let store = Self {
            folders,
            settings,
            inside: Mutex::default(),
            serial: AtomicU64::new(0),
            _lock: lock,
        };
        store.sweep()?;
        store.load()?;
        Ok(Arc::new(store))
    }

    /// The caps that hold here.
    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// What this process may do.
    pub fn privilege(&self) -> Privilege {
        self.settings.privilege
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.settings.folder
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name in the folder of unfinished things that nobody else has.
    fn temporary(&self, what: &str) -> PathBuf {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        self.folders.temporary().join(format!("{what}-{serial}"))
    }

    fn sweep(&self) -> Result<(), StoreError> {
        remove_within(&self.folders.temporary())
    }

    fn load(&self) -> Result<(), StoreError> {
        let layers = self.load_layers()?;
        let mut inside = self.lock();
        inside.next_link = layers
            .values()
            .map(|layer| layer.link + 1)
            .max()
            .unwrap_or(0);
        inside.layers = layers;
        inside.images = self.load_images()?;
        inside.containers = self.load_containers()?;
        self.sweep_links(&inside)
    }

    /// Takes something out of the store at once, and removes it in its own time.
    fn discard(&self, path: &Path) -> Result<(), StoreError> {
        let trash = self.temporary("trash");
        match fs::rename(path, &trash) {
            Ok(()) => remove_tree(&trash),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(at("rename", path)(error)),
        }
    }

    /// Writes a file that is whole from the moment it is there.
    fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let draft = self.temporary("file");
        fs::write(&draft, bytes).map_err(at("write", &draft))?;
        fs::rename(&draft, path).map_err(at("rename", path))
    }

    /// Makes all layers of this moment outlive a loss of power. Until then they are unpacked anew after one.
    pub fn settle(&self) -> Result<(), StoreError> {
        let fresh: Vec<Digest> = {
            let inside = self.lock();
            let fresh = inside.layers.iter().filter(|(_, layer)| !layer.settled);
            fresh.map(|(chain, _)| chain.clone()).collect()
        };
        if fresh.is_empty() {
            return Ok(());
        }
        let folder = self.folders.layers();
        let file = File::open(&folder).map_err(at("open", &folder))?;
        rustix::fs::syncfs(&file).map_err(|error| at("sync", &folder)(error.into()))?;
        for chain in fresh {
            // Another thread may have removed it since.
            let mark = self.folders.layer(&chain).join(folders::SETTLED);
            let mut inside = self.lock();
            if let Some(layer) = inside.layers.get_mut(&chain)
                && File::create(&mark).is_ok()
            {
                layer.settled = true;
            }
        }
        Ok(())
    }
}

fn lock(folders: &Folders) -> Result<File, StoreError> {
    let path = folders.lock();
    let file = File::create(&path).map_err(at("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::InUse(folders.root().to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(at("lock", &path)(error)),
    }
}

fn check_version(folders: &Folders) -> Result<(), StoreError> {
    const KNOWN: &str = "1";
    let path = folders.version();
    let found = match fs::read_to_string(&path) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(at("read", &path)(error)),
    };
    // A crash between the making and the writing of the file leaves it empty.
    if found.is_empty() {
        return fs::write(&path, KNOWN).map_err(at("write", &path));
    }
    if found == KNOWN {
        return Ok(());
    }
    Err(StoreError::Version {
        folder: folders.root().to_owned(),
        found,
        known: KNOWN,
    })
}

fn remove_within(folder: &Path) -> Result<(), StoreError> {
    let directory = File::open(folder).map_err(at("open", folder))?;
    crate::beneath::empty(&directory).map_err(|error| at("empty", folder)(error.into()))
}

fn remove_tree(path: &Path) -> Result<(), StoreError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    let parent = File::open(parent).map_err(at("open", parent))?;
    crate::beneath::remove(&parent, name).map_err(|error| at("remove", path)(error.into()))
}

/// Names in a folder.
fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(at("read", folder))? {
        let entry = entry.map_err(at("read", folder))?;
        // Whatever is not text was not made here.
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// Seconds since 1970, for what was used last.
fn now_seconds() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}
