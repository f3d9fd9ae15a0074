//! What the labels of a task say of its machine.
//!
//! Owns the names; paths are taken as they are written, relative to the sandbox, and found later.

use crate::guest::{DiskAccess, Machine, Monitor};
use std::path::{Component, Path, PathBuf};

/// What the names of all of these labels begin with.
pub const LABEL_PREFIX: &str = "mezzanine.vm.";

/// What a task says of its machine, beside its command and resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// What runs it.
    pub monitor: Monitor,
    /// What it looks like.
    pub machine: Machine,
    /// A file of the sandbox that the kernel finds in memory.
    pub initrd: Option<PathBuf>,
    /// Files of the sandbox that are its disks.
    pub disks: Vec<(PathBuf, DiskAccess)>,
    /// Whether the guest can mount the sandbox.
    pub shares_sandbox: bool,
}

/// Why a label cannot be heeded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// No such label.
    #[error(
        "there is no label {LABEL_PREFIX}{name}; known are disks, initrd, machine, monitor, share"
    )]
    Unknown {
        /// Its name without the prefix.
        name: String,
    },
    /// Not one of a few words.
    #[error("label {LABEL_PREFIX}{name}: {value:?} is none of {known}")]
    Word {
        /// Which label.
        name: &'static str,
        /// What it says.
        value: String,
        /// What it can say.
        known: &'static str,
    },
    /// Not a file of the sandbox.
    #[error("label {LABEL_PREFIX}{name}: {path:?} is no path within the sandbox")]
    Path {
        /// Which label.
        name: &'static str,
        /// The path.
        path: String,
    },
}

impl Wishes {
    /// Reads the labels whose names begin with [`LABEL_PREFIX`]; others are not looked at.
    pub fn read<'a>(
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, LabelError> {
        let mut wishes = Self::default();
        for (name, value) in labels {
            if let Some(name) = name.strip_prefix(LABEL_PREFIX) {
                wishes.take(name, value)?;
            }
        }
        Ok(wishes)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), LabelError> {
        let word = |name, known| LabelError::Word {
            name,
            value: value.to_owned(),
            known,
        };
        match name {
            "monitor" => {
                let mut all = Monitor::ALL.into_iter();
                let found = all.find(|monitor| monitor.name() == value);
                self.monitor =
                    found.ok_or_else(|| word("monitor", "qemu, firecracker, cloud-hypervisor"))?;
            }
            "machine" => {
                let mut all = [Machine::Q35, Machine::Micro].into_iter();
                let found = all.find(|machine| machine.name() == value);
                self.machine = found.ok_or_else(|| word("machine", "q35, microvm"))?;
            }
            "initrd" => self.initrd = Some(within("initrd", value)?),
            "disks" => self.disks = disks(value)?,
            "share" => {
                self.shares_sandbox = match value {
                    "sandbox" => true,
                    "none" => false,
                    _ => return Err(word("share", "sandbox, none")),
                }
            }
            other => {
                return Err(LabelError::Unknown {
                    name: other.to_owned(),
                });
            }
        }
        Ok(())
    }
}

fn disks(value: &str) -> Result<Vec<(PathBuf, DiskAccess)>, LabelError> {
    let parts = value.split(',').map(str::trim);
    parts
        .map(|part| match part.strip_suffix(":ro") {
            Some(path) => Ok((within("disks", path)?, DiskAccess::ReadOnly)),
            None => Ok((within("disks", part)?, DiskAccess::ReadWrite)),
        })
        .collect()
}

fn within(name: &'static str, path: &str) -> Result<PathBuf, LabelError> {
    let plain = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !plain {
        return Err(LabelError::Path {
            name,
            path: path.to_owned(),
        });
    }
    Ok(PathBuf::from(path))
}
