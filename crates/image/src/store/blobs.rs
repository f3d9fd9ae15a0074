//! Content by digest: documents of images, and downloads on their way to become layers.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use super::{Store, StoreError, at};
use crate::digest::{Digest, Hasher};

/// A download, hashed as it comes. It goes on where an earlier one ended.
#[derive(Debug)]
pub struct Partial {
    digest: Digest,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    length: u64,
}

impl Partial {
    /// Bytes that are there.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Takes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file
            .write_all(bytes)
            .map_err(at("write", &self.path))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Begins again.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        let cut = self.file.set_len(0);
        // It is open for appending, so the next byte is the first one.
        cut.map_err(at("cut", &self.path))?;
        self.hasher = Hasher::new(self.digest.algorithm());
        self.length = 0;
        Ok(())
    }
}

impl Store {
    /// Whether the content is there.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.folders.blob(digest).exists()
    }

    /// Opens content. Whoever reads a layer checks it by the digest of what it unpacks to.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.folders.blob(digest);
        File::open(&path).map_err(at("open", &path))
    }

    /// Reads a document, which is short, and checks it.
    pub fn read_document(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let limit = self.limits().document_bytes;
        let mut bytes = Vec::new();
        let file = self.open_blob(digest)?;
        let path = self.folders.blob(digest);
        let read = file.take(limit).read_to_end(&mut bytes);
        read.map_err(at("read", &path))?;
        if digest.names(&bytes) {
            Ok(bytes)
        } else {
            Err(StoreError::Corrupt(digest.clone()))
        }
    }

    /// Keeps a document.
    pub fn write_document(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        self.write_whole(&self.folders.blob(digest), bytes)
    }

    /// Takes up a download, or begins one.
    pub fn partial(&self, digest: &Digest) -> Result<Partial, StoreError> {
        let path = self.folders.partial(digest);
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(&path);
        let mut file = file.map_err(at("open", &path))?;
        let mut hasher = Hasher::new(digest.algorithm());
        let mut buffer = vec![0; 256 << 10];
        let mut length = 0;
        loop {
            let count = file.read(&mut buffer).map_err(at("read", &path))?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            length += count as u64;
        }
        let digest = digest.clone();
        Ok(Partial {
            digest,
            path,
            file,
            hasher,
            length,
        })
    }

    /// Makes a download content of the store, if it is what it should be; removes it otherwise.
    pub fn complete(&self, partial: Partial) -> Result<(), StoreError> {
        if partial.hasher.finish() != partial.digest {
            remove_file(&partial.path)?;
            return Err(StoreError::Corrupt(partial.digest));
        }
        let path = self.folders.blob(&partial.digest);
        fs::rename(&partial.path, &path).map_err(at("rename", &path))
    }

    /// Removes content that has turned out to be damaged.
    pub(crate) fn discard_blob(&self, digest: &Digest) -> Result<(), StoreError> {
        remove_file(&self.folders.blob(digest))
    }

    /// Removes content that nobody has pinned.
    pub fn remove_blob(&self, digest: &Digest) -> Result<(), StoreError> {
        let inside = self.lock();
        if inside.pins.contains_key(digest) {
            return Ok(());
        }
        remove_file(&self.folders.blob(digest))
    }
}

pub(super) fn remove_file(path: &std::path::Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        _ => Ok(()),
    }
}
