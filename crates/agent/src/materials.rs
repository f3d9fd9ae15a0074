//! Secrets and configs of launches: values as variables, texts as files.
//!
//! Owns where values lie while a task runs: never in a sandbox, which can be browsed, nor in the journal. Files of secrets
//! are links from the sandbox into a folder of the launch, which is in memory where the host has a file system for that,
//! and gone with the container. The values are kept there as well, for checks of a task that was taken over by a later
//! life of the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use mezz_agent_core::{Launch, LaunchId, Materials};
use mezz_launch_plan::Credentials;
use mezz_proto::agent_protocol::{InstanceFile, InstanceTerms, SecretValue};
use mezz_proto::v1::secret::Reference;
use prost::Message as _;

use crate::fetch::beneath::Sandbox;

/// Where a host keeps files in memory.
const MEMORY: &str = "/dev/shm";
const TMPFS_MAGIC: i64 = 0x0102_1994;
/// Of one launch: its values, and its files by number.
const VALUES: &str = "values";
const FILES: &str = "files";

/// Why a launch cannot be given what it needs. The text becomes the task's message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MaterialError {
    #[error("the master gave no value for the key '{key}' of secret {name}")]
    NoValue { name: String, key: String },
    #[error(
        "the variable {variable} cannot hold key '{key}' of secret {name}: it is not UTF-8, or has NUL in it"
    )]
    NoText {
        variable: String,
        name: String,
        key: String,
    },
    #[error("the file '{path}' cannot be written: {source}")]
    File { path: String, source: io::Error },
    #[error("the values of secrets cannot be kept in {}: {source}", folder.display())]
    Keep { folder: PathBuf, source: io::Error },
}

/// What launches were given.
#[derive(Debug)]
pub(crate) struct MaterialStore {
    folder: PathBuf,
    held: BTreeMap<LaunchId, Vec<SecretValue>>,
}

/// The folder for agents that outlive their process: in memory, if that can be had.
pub(crate) fn lasting_folder(scope: &str, work_dir: &Path) -> PathBuf {
    let in_memory = rustix::fs::statfs(MEMORY).is_ok_and(|found| {
        #[allow(
            clippy::unnecessary_cast,
            reason = "its type differs between platforms"
        )]
        let kind = found.f_type as i64;
        kind == TMPFS_MAGIC
    });
    if in_memory && rustix::fs::access(MEMORY, rustix::fs::Access::WRITE_OK).is_ok() {
        Path::new(MEMORY).join(format!("mezz-{scope}"))
    } else {
        work_dir.join("secrets")
    }
}

/// Where the secret files of a launch lie, to which links in its sandbox lead.
pub(crate) fn secret_files(folder: &Path, launch_id: LaunchId) -> PathBuf {
    folder.join(launch_id.to_string()).join(FILES)
}

impl MaterialStore {
    /// Nothing is made until a launch needs it; what is left of launches that are no more is removed.
    pub(crate) fn open(folder: PathBuf, living: &BTreeSet<LaunchId>) -> Self {
        let mut held = BTreeMap::new();
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            let (name, path) = (entry.file_name(), entry.path());
            let alive = living
                .iter()
                .find(|launch_id| name == launch_id.to_string().as_str());
            match alive {
                Some(launch_id) => drop(held.insert(*launch_id, kept_values(&path))),
                None => remove(&path),
            }
        }
        Self { folder, held }
    }

    fn folder_of(&self, launch_id: LaunchId) -> PathBuf {
        self.folder.join(launch_id.to_string())
    }

    /// Puts the values into the environment of a launch. The files are for [`Self::write_files`].
    pub(crate) fn resolve(
        &mut self,
        launch: &mut Launch,
    ) -> Result<Vec<InstanceFile>, MaterialError> {
        let Some(materials) = launch.materials.take() else {
            return Ok(Vec::new());
        };
        let Materials {
            holder,
            variables,
            files,
            values,
        } = *materials;
        if !values.is_empty() {
            self.keep(holder, values)?;
        }
        for (variable, wanted) in variables {
            let value = self.value(holder, &wanted)?;
            let text = String::from_utf8(value).ok();
            let Some(text) = text.filter(|text| !text.contains('\0')) else {
                return Err(MaterialError::NoText {
                    variable,
                    name: wanted.name,
                    key: wanted.key.unwrap_or_default(),
                });
            };
            launch.environment.push((variable, text));
        }
        Ok(files)
    }

    fn keep(&mut self, holder: LaunchId, values: Vec<SecretValue>) -> Result<(), MaterialError> {
        let folder = self.folder_of(holder);
        let terms = InstanceTerms {
            secrets: values,
            ..InstanceTerms::default()
        };
        let failed = |source| MaterialError::Keep {
            folder: folder.clone(),
            source,
        };
        make_folder(&self.folder, 0o711).map_err(failed)?;
        make_folder(&folder, 0o711).map_err(failed)?;
        new_file(&folder.join(VALUES), 0o600)
            .and_then(|mut file| file.write_all(&terms.encode_to_vec()))
            .map_err(failed)?;
        self.held.insert(holder, terms.secrets);
        Ok(())
    }

    fn value(&self, holder: LaunchId, wanted: &Reference) -> Result<Vec<u8>, MaterialError> {
        let key = wanted.key();
        let mut values = self.held.get(&holder).into_iter().flatten();
        let found = values.find(|value| value.name == wanted.name && value.key == key);
        found
            .map(|value| value.value.to_vec())
            .ok_or_else(|| MaterialError::NoValue {
                name: wanted.name.clone(),
                key: key.to_owned(),
            })
    }

    /// Writes the files of a launch into its sandbox, which is there; only `owner` may read them.
    pub(crate) fn write_files(
        &self,
        launch_id: LaunchId,
        sandbox: &Path,
        files: Vec<InstanceFile>,
        owner: Option<&Credentials>,
    ) -> Result<(), MaterialError> {
        if files.is_empty() {
            return Ok(());
        }
        let at = |path: &str| {
            let path = path.to_owned();
            move |source| MaterialError::File { path, source }
        };
        let opened = Sandbox::open(sandbox).map_err(at(""))?;
        for (number, file) in files.into_iter().enumerate() {
            let failed = at(&file.path);
            match (&file.content, &file.secret) {
                (Some(text), _) => {
                    write_config(&opened, &file.path, text, owner).map_err(failed)?;
                }
                (None, Some(wanted)) => {
                    let value = self.value(launch_id, wanted)?;
                    let target = self
                        .write_secret(launch_id, number, &value, owner)
                        .map_err(at(&file.path))?;
                    opened.link(&file.path, &target).map_err(failed)?;
                }
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn write_secret(
        &self,
        launch_id: LaunchId,
        number: usize,
        value: &[u8],
        owner: Option<&Credentials>,
    ) -> io::Result<String> {
        let folder = self.folder_of(launch_id).join(FILES);
        if !folder.is_dir() {
            make_folder(&folder, 0o700)?;
        }
        let path = folder.join(number.to_string());
        let mut file = new_file(&path, 0o400)?;
        file.write_all(value)?;
        if let Some(owner) = owner {
            fchown(&file, Some(owner.uid), Some(owner.gid))?;
            std::os::unix::fs::chown(&folder, Some(owner.uid), Some(owner.gid))?;
        }
        let path = fs::canonicalize(&path)?;
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| io::ErrorKind::InvalidFilename.into())
    }

    /// A launch has ended, or did not begin: nothing is left of what it was given.
    pub(crate) fn forget(&mut self, launch_id: LaunchId) {
        if self.held.remove(&launch_id).is_some() {
            remove(&self.folder_of(launch_id));
            if self.held.is_empty() {
                // It may be in memory that all share: nothing is left there of an agent that needs nothing.
                let _ = fs::remove_dir(&self.folder);
            }
        }
    }
}

fn kept_values(folder: &Path) -> Vec<SecretValue> {
    let kept = fs::read(folder.join(VALUES)).ok();
    let terms = kept.and_then(|bytes| InstanceTerms::decode(&*bytes).ok());
    terms.unwrap_or_default().secrets
}

fn write_config(
    sandbox: &Sandbox,
    path: &str,
    text: &[u8],
    owner: Option<&Credentials>,
) -> io::Result<()> {
    let mut file = sandbox.create(path)?;
    file.write_all(text)?;
    if let Some(owner) = owner {
        fchown(&file, Some(owner.uid), Some(owner.gid))?;
    }
    sandbox.set_mode(path, 0o400)
}

fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(path)?;
            // In a folder that all may write to, somebody else could have been there first.
            if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() {
                Ok(())
            } else {
                Err(io::Error::other("it belongs to somebody else"))
            }
        }
        made => made.and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode))),
    }
}

fn new_file(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "what a container was given cannot be removed");
    }
}
