//! Unpacks a layer into a directory, in the form that overlayfs stacks.
//!
//! Owns the rules of what a layer may contain. Every path is resolved by the kernel beneath the directory, and what
//! could reach outside of it, or pretend to be a mark of overlayfs, is refused with its reason.

mod attributes;
mod devices;
mod meter;
mod place;
mod set;

use std::io::Read;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use rustix::io::Errno;
use thiserror::Error;

use crate::beneath::Root;
use crate::digest::Digest;
use crate::layer::{Entries, LayerError, decompressed};
use crate::limits::Limits;

use meter::Meter;
use place::Placing;

/// Whose the files become, and how whiteouts are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// Owners as in the layer, devices, marks in `trusted.overlay`.
    Root,
    /// All files are ours, marks in `user.overlay`: what an unprivileged agent can do.
    Unprivileged,
}

impl Privilege {
    /// What this process has.
    pub fn of_process() -> Self {
        if rustix::process::geteuid().is_root() {
            Self::Root
        } else {
            Self::Unprivileged
        }
    }

    /// The attribute that makes a directory hide all that is below.
    pub(crate) fn opaque_attribute(self) -> &'static str {
        match self {
            Self::Root => "trusted.overlay.opaque",
            Self::Unprivileged => "user.overlay.opaque",
        }
    }
}

/// Why a layer is not unpacked.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// The tar itself.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// More than its cap.
    #[error("the layer unpacks to more than the limit of {0} bytes")]
    TooLarge(u64),
    /// Other content than the configuration says.
    #[error("the layer holds {found}, the configuration of the image says {expected}")]
    WrongDigest {
        /// In the configuration.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// A link that leads out.
    #[error(
        "the path '{0}' leads out of the layer, or in circles, through a symbolic link of the layer"
    )]
    Escape(String),
    /// Something in the place of a directory.
    #[error("the path '{0}' leads through what is no directory")]
    NoDirectory(String),
    /// A hard link to nothing.
    #[error("the hard link '{path}' leads to '{target}', which is not in this layer")]
    NoTarget {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// A hard link to what cannot have two names.
    #[error(
        "the hard link '{path}' leads to '{target}', which is a directory or a mark of overlayfs"
    )]
    BadTarget {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// A device that no image needs.
    #[error(
        "'{path}' is a {kind} device {major}:{minor}: images may only have the usual ones of /dev, such as null"
    )]
    Device {
        /// The entry.
        path: String,
        /// `block` or `character`.
        kind: &'static str,
        /// Its driver.
        major: u32,
        /// Which of it.
        minor: u32,
    },
    /// A mark that would make overlayfs show something else.
    #[error("'{path}' has the attribute '{name}', which a layer must not set")]
    Attribute {
        /// The entry.
        path: String,
        /// The attribute.
        name: String,
    },
    /// A whiteout that names nothing.
    #[error("'{0}' is no valid whiteout")]
    Whiteout(String),
    /// The root as something else.
    #[error("the layer's root is not a directory in it")]
    Root,
    /// The file system refused.
    #[error("'{path}' cannot be made: {step}: {error}")]
    Files {
        /// The entry.
        path: String,
        /// What was tried.
        step: &'static str,
        /// The answer.
        error: Errno,
    },
    /// Nobody wants it any more.
    #[error("the unpacking was given up")]
    GivenUp,
}

/// What was found in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Bytes of its files.
    pub bytes: u64,
    /// Files, directories, links and marks.
    pub entries: u64,
    /// Whether it shows nothing of the layers below.
    pub opaque_root: bool,
    /// Directories that the layer goes through without saying what they are: they are as in the layers below.
    pub implied: Vec<std::path::PathBuf>,
    /// Marks for names that are gone.
    pub whiteouts: Vec<std::path::PathBuf>,
    /// What was left out.
    pub left_out: LeftOut,
}

/// Counts of what is not in the unpacked layer although the tar has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Terminals and the like, which a container gets from its host.
    pub devices: u64,
    /// Attributes that belong to a host, or that the file system does not have.
    pub attributes: u64,
    /// Entries of another owner, where we are not root.
    pub owners: u64,
}

/// What an unpacking has to hold to.
#[derive(Debug)]
pub struct Rules<'a> {
    /// The caps.
    pub limits: &'a Limits,
    /// What we may do.
    pub privilege: Privilege,
    /// Set when nobody wants the layer any more.
    pub given_up: &'a AtomicBool,
}

/// Unpacks into the directory, which is empty, what has this digest when its compression is taken off.
pub fn unpack(
    packed: impl Read + 'static,
    folder: &Path,
    diff_id: &Digest,
    rules: &Rules<'_>,
) -> Result<Unpacked, UnpackError> {
    let root = Root::open(folder).map_err(|error| UnpackError::Files {
        path: folder.display().to_string(),
        step: "open",
        error: Errno::from_io_error(&error).unwrap_or(Errno::IO),
    })?;
    let content = decompressed(packed).map_err(LayerError::Read)?;
    let meter = Meter::new(content, diff_id.algorithm(), rules.limits.layer_bytes);
    let mut entries = Entries::new(meter, rules.limits);
    let mut placing = Placing::new(&root, rules);
    loop {
        let entry = entries.next_entry().map_err(meter::reason)?;
        let Some(entry) = entry else { break };
        placing.place(entry, &mut entries)?;
    }
    let unpacked = placing.finish()?;
    let found = entries.into_inner().finish().map_err(meter::reason)?;
    if found != *diff_id {
        let expected = diff_id.clone();
        return Err(UnpackError::WrongDigest { expected, found });
    }
    Ok(unpacked)
}
