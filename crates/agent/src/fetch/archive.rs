//! Extraction of archives beneath the sandbox.

use std::fs::File;
use std::io::{BufReader, Read};

use super::beneath::{Sandbox, is_inside};
use super::source::pour;
use super::{FetchError, Job};

/// What kind of archive a name promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tar(Compression),
    /// One compressed file.
    Gzip,
    Zip,
}

/// How a tar is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
}

impl Kind {
    pub(super) fn of(name: &str) -> Option<Self> {
        const KINDS: &[(&str, Kind)] = &[
            (".tar", Kind::Tar(Compression::None)),
            (".tar.gz", Kind::Tar(Compression::Gzip)),
            (".tgz", Kind::Tar(Compression::Gzip)),
            (".tar.bz2", Kind::Tar(Compression::Bzip2)),
            (".tbz2", Kind::Tar(Compression::Bzip2)),
            (".tar.xz", Kind::Tar(Compression::Xz)),
            (".txz", Kind::Tar(Compression::Xz)),
            (".gz", Kind::Gzip),
            (".zip", Kind::Zip),
        ];
        KINDS
            .iter()
            .find(|(suffix, _)| name.len() > suffix.len() && name.ends_with(suffix))
            .map(|(_, kind)| *kind)
    }
}

/// Extracts the archive, whose place in the sandbox would be `name`, into the sandbox.
pub(super) fn extract(
    job: &Job,
    sandbox: &Sandbox,
    file: File,
    name: &str,
    kind: Kind,
) -> Result<(), FetchError> {
    match kind {
        Kind::Zip => extract_zip(job, sandbox, file),
        Kind::Gzip => {
            let plain = name.strip_suffix(".gz").ok_or(FetchError::NoFileName)?;
            let mut from = flate2::read::MultiGzDecoder::new(BufReader::new(file));
            pour(job, &mut from, &mut sandbox.create(plain)?)
        }
        Kind::Tar(Compression::None) => extract_tar(job, sandbox, BufReader::new(file)),
        Kind::Tar(Compression::Gzip) => extract_tar(
            job,
            sandbox,
            flate2::read::MultiGzDecoder::new(BufReader::new(file)),
        ),
        Kind::Tar(Compression::Bzip2) => extract_tar(
            job,
            sandbox,
            bzip2::read::MultiBzDecoder::new(BufReader::new(file)),
        ),
        Kind::Tar(Compression::Xz) => extract_tar(
            job,
            sandbox,
            liblzma::read::XzDecoder::new_multi_decoder(BufReader::new(file)),
        ),
    }
}

fn extract_tar(job: &Job, sandbox: &Sandbox, from: impl Read) -> Result<(), FetchError> {
    let broken = |error: std::io::Error| FetchError::Archive(error.to_string());
    let mut archive = tar::Archive::new(from);
    let mut directory_modes = Vec::new();
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some(path) = inside(&path)? else { continue };
        let mode = entry.header().mode().unwrap_or(0o644);
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            sandbox.make_directory(&path)?;
            directory_modes.push((path, mode));
        } else if kind.is_symlink() {
            sandbox.link(&path, &target(&entry, &path)?)?;
        } else if kind.is_hard_link() {
            let target = target(&entry, &path)?;
            let target = inside(&target)?.ok_or_else(|| FetchError::Escape(path.clone()))?;
            let mut from = sandbox.read(&target)?;
            pour(job, &mut from, &mut sandbox.create(&path)?)?;
        } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            pour(job, &mut entry, &mut sandbox.create(&path)?)?;
            sandbox.set_mode(&path, mode)?;
        } else if !kind.is_pax_global_extensions() {
            return Err(FetchError::Special(path));
        }
    }
    // Last, since a directory may forbid writing into it.
    for (path, mode) in directory_modes.into_iter().rev() {
        sandbox.set_mode(&path, mode | 0o700)?;
    }
    Ok(())
}

fn target(entry: &tar::Entry<'_, impl Read>, path: &str) -> Result<String, FetchError> {
    let target = entry
        .link_name_bytes()
        .ok_or_else(|| FetchError::Archive(format!("link '{path}' leads nowhere")))?;
    Ok(String::from_utf8_lossy(&target).into_owned())
}

fn extract_zip(job: &Job, sandbox: &Sandbox, file: File) -> Result<(), FetchError> {
    let broken = |error: zip::result::ZipError| FetchError::Archive(error.to_string());
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(broken)?;
        let Some(path) = inside(&entry.name().map_err(broken)?)? else {
            continue;
        };
        if entry.is_dir() {
            sandbox.make_directory(&path)?;
        } else if entry.is_symlink() {
            let mut target = String::new();
            (&mut entry).take(4096).read_to_string(&mut target)?;
            sandbox.link(&path, &target)?;
        } else {
            pour(job, &mut entry, &mut sandbox.create(&path)?)?;
            if let Some(mode) = entry.unix_mode() {
                sandbox.set_mode(&path, mode)?;
            }
        }
    }
    Ok(())
}

/// The path of an entry inside the sandbox; `None` for the sandbox itself.
fn inside(path: &str) -> Result<Option<String>, FetchError> {
    let trimmed = path.trim_end_matches('/');
    if path.starts_with('/') || !(trimmed.is_empty() || is_inside(trimmed)) {
        return Err(FetchError::Escape(path.to_owned()));
    }
    let plain: Vec<&str> = trimmed
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    Ok((!plain.is_empty()).then(|| plain.join("/")))
}
