//! Files by name, in a folder or in a tar, and the image among them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::{SourceError, docker_archive, layout};
use crate::beneath::Root;
use crate::digest::Digest;
use crate::layer::{Compression, Entries, EntryKind, LayerError};
use crate::limits::Limits;
use crate::manifest::Descriptor;
use crate::reference::Reference;
use crate::registry::{Answer, Told};
use crate::store::Store;

/// Why a file or folder holds no image.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// A file.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The answer.
        error: io::Error,
    },
    /// A tar that is none.
    #[error("{path} is no archive of an image: {error}")]
    Tar {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        error: LayerError,
    },
    /// A tar that is packed.
    #[error("{0} is compressed: unpack it with gunzip or unzstd first")]
    Packed(PathBuf),
    /// A file that is needed.
    #[error("{path} has no '{name}'")]
    Missing {
        /// The archive or layout.
        path: PathBuf,
        /// The file in it.
        name: String,
    },
    /// A file above its cap.
    #[error("'{name}' in {path} has more than {limit} bytes")]
    TooLarge {
        /// The archive or layout.
        path: PathBuf,
        /// The file in it.
        name: String,
        /// The cap.
        limit: u64,
    },
    /// A file that is not what it should be.
    #[error("'{name}' in {path} is not valid: {reason}")]
    Invalid {
        /// The archive or layout.
        path: PathBuf,
        /// The file in it.
        name: String,
        /// Why.
        reason: String,
    },
    /// Several images, none of this name.
    #[error("{path} does not hold {reference}: it has {found}")]
    OtherImages {
        /// The archive or layout.
        path: PathBuf,
        /// What was looked for.
        reference: Reference,
        /// What is there.
        found: String,
    },
}

/// Files of an image.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(super) path: PathBuf,
    pub(super) limits: Limits,
    files: Files,
    form: Form,
}

#[derive(Debug)]
enum Files {
    Folder(Root),
    /// Where in the tar each file begins, and how long it is; a link has the name of its target.
    Tar(BTreeMap<String, Place>),
}

#[derive(Clone, Debug)]
enum Place {
    At(u64, u64),
    As(String),
}

/// What kind of archive it is.
#[derive(Debug)]
enum Form {
    Layout,
    /// `docker save` before version 25: layers under names of its own.
    Docker(docker_archive::Contents),
}

impl Archive {
    pub(super) fn open(path: &Path, limits: &Limits) -> Result<Self, ArchiveError> {
        let io = |error| ArchiveError::Io {
            path: path.to_owned(),
            error,
        };
        let files = if path.metadata().map_err(io)?.is_dir() {
            Files::Folder(Root::open(path).map_err(io)?)
        } else {
            Files::Tar(index(path, limits)?)
        };
        let mut archive = Self {
            path: path.to_owned(),
            limits: limits.clone(),
            files,
            form: Form::Layout,
        };
        if !archive.has("index.json") {
            archive.form = Form::Docker(docker_archive::Contents::read(&archive)?);
        }
        Ok(archive)
    }

    pub(super) fn document(&self, reference: &Reference) -> Result<Answer, ArchiveError> {
        match &self.form {
            Form::Layout => layout::document(self, reference),
            Form::Docker(contents) => contents.document(self, reference),
        }
    }

    pub(super) fn manifest(&self, descriptor: &Descriptor) -> Result<Answer, ArchiveError> {
        let name = layout::blob_name(&descriptor.digest);
        let bytes = self.read(&name)?;
        if !descriptor.digest.names(&bytes) {
            return Err(self.invalid(&name, "its content is not what its name says"));
        }
        let media_type = Some(descriptor.media_type.clone()).filter(|text| !text.is_empty());
        let digest = descriptor.digest.clone();
        Ok(Answer {
            bytes,
            media_type,
            digest,
        })
    }

    pub(super) fn blob(
        &self,
        store: &Arc<Store>,
        descriptor: &Descriptor,
        told: &Told,
    ) -> Result<(), SourceError> {
        let name = match &self.form {
            Form::Layout => layout::blob_name(&descriptor.digest),
            Form::Docker(contents) => contents.name(&descriptor.digest).to_owned(),
        };
        let mut from = self
            .open_file(&name)?
            .take(descriptor.size.saturating_add(1));
        let mut partial = store.partial(&descriptor.digest)?;
        partial.restart()?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = from.read(&mut buffer).map_err(|error| self.io(error))?;
            if count == 0 {
                break;
            }
            partial.write(&buffer[..count])?;
            told(partial.length());
        }
        Ok(store.complete(partial)?)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        match &self.files {
            Files::Folder(root) => root.file(Path::new(name)).is_ok(),
            Files::Tar(places) => places.contains_key(name),
        }
    }

    /// All of a short file.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, ArchiveError> {
        let limit = self.limits.document_bytes;
        let mut bytes = Vec::new();
        let mut file = self.open_file(name)?.take(limit + 1);
        file.read_to_end(&mut bytes)
            .map_err(|error| self.io(error))?;
        if bytes.len() as u64 > limit {
            return Err(ArchiveError::TooLarge {
                path: self.path.clone(),
                name: name.to_owned(),
                limit,
            });
        }
        Ok(bytes)
    }

    pub(super) fn open_file(&self, name: &str) -> Result<io::Take<File>, ArchiveError> {
        let missing = || ArchiveError::Missing {
            path: self.path.clone(),
            name: name.to_owned(),
        };
        match &self.files {
            Files::Folder(root) => {
                let file = root.file(Path::new(name)).map_err(|error| match error {
                    rustix::io::Errno::NOENT => missing(),
                    error => self.io(error.into()),
                })?;
                Ok(File::from(file).take(u64::MAX))
            }
            Files::Tar(places) => {
                let mut place = places.get(name).ok_or_else(missing)?;
                // Links of `docker save` lead to files, not to further links.
                if let Place::As(target) = place {
                    place = places.get(target).ok_or_else(missing)?;
                }
                let Place::At(start, length) = place else {
                    return Err(missing());
                };
                let mut file = File::open(&self.path).map_err(|error| self.io(error))?;
                file.seek(SeekFrom::Start(*start))
                    .map_err(|error| self.io(error))?;
                Ok(file.take(*length))
            }
        }
    }

    /// The digest and length of a file that has no such name.
    pub(super) fn digest_of(&self, name: &str) -> Result<(Digest, u64), ArchiveError> {
        let mut from = self.open_file(name)?;
        let mut hasher = crate::digest::Hasher::new(crate::digest::Algorithm::Sha256);
        let mut buffer = vec![0; 256 << 10];
        let mut length = 0;
        loop {
            let count = from.read(&mut buffer).map_err(|error| self.io(error))?;
            if count == 0 {
                return Ok((hasher.finish(), length));
            }
            hasher.update(&buffer[..count]);
            length += count as u64;
        }
    }

    fn io(&self, error: io::Error) -> ArchiveError {
        let path = self.path.clone();
        ArchiveError::Io { path, error }
    }

    pub(super) fn invalid(&self, name: &str, reason: &str) -> ArchiveError {
        ArchiveError::Invalid {
            path: self.path.clone(),
            name: name.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

/// Counts, so that it is known where in the file an entry's content begins.
struct Counted<R>(R, u64);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1 += count as u64;
        Ok(count)
    }
}

/// Goes through the tar once.
fn index(path: &Path, limits: &Limits) -> Result<BTreeMap<String, Place>, ArchiveError> {
    let tar = |error| ArchiveError::Tar {
        path: path.to_owned(),
        error,
    };
    let mut file = File::open(path).map_err(LayerError::Read).map_err(tar)?;
    let mut start = [0; 4];
    let filled = file
        .read(&mut start)
        .map_err(LayerError::Read)
        .map_err(tar)?;
    if Compression::of(&start[..filled]) != Compression::None {
        return Err(ArchiveError::Packed(path.to_owned()));
    }
    file.rewind().map_err(LayerError::Read).map_err(tar)?;
    let mut entries = Entries::new(Counted(file, 0), limits);
    let mut places = BTreeMap::new();
    while let Some(entry) = entries.next_entry().map_err(tar)? {
        let place = match &entry.kind {
            EntryKind::File(length) => Place::At(entries.get_ref().1, *length),
            EntryKind::HardLink(target) => Place::As(target.shown()),
            EntryKind::SymbolicLink(target) => match beside(&entry.path.shown(), target) {
                Some(target) => Place::As(target),
                None => continue,
            },
            _ => continue,
        };
        places.insert(entry.path.shown(), place);
    }
    Ok(places)
}

/// The name in the archive that a link beside this name leads to.
fn beside(name: &str, target: &[u8]) -> Option<String> {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in std::str::from_utf8(target).ok()?.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
