//! Paths of entries: always beneath the layer's root.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::limits::Limits;

const LONGEST_NAME: usize = 255;

/// What is wrong with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathFault {
    /// `..`.
    #[error("it has a part '..', which could lead out of the layer")]
    Parent,
    /// A zero byte.
    #[error("it contains a zero byte")]
    Zero,
    /// No name at all.
    #[error("it is empty")]
    Empty,
    /// More than a path may have.
    #[error("it is longer than the limit of {0} bytes")]
    TooLong(usize),
    /// More directories than a path may have.
    #[error("it is deeper than the limit of {0} directories")]
    TooDeep(usize),
    /// More than a name may have.
    #[error("it has a part longer than {LONGEST_NAME} bytes")]
    NameTooLong,
}

/// A path beneath a layer's root: relative, without `.`, `..` or doubled slashes; empty for the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LayerPath(PathBuf);

impl LayerPath {
    /// Takes the path of an entry or of a hard link's target. One from `/` is from the layer's root.
    pub fn new(raw: &[u8], limits: &Limits) -> Result<Self, PathFault> {
        if raw.is_empty() {
            return Err(PathFault::Empty);
        }
        if raw.contains(&0) {
            return Err(PathFault::Zero);
        }
        if raw.len() > limits.path_bytes {
            return Err(PathFault::TooLong(limits.path_bytes));
        }
        let mut plain: Vec<u8> = Vec::with_capacity(raw.len());
        let mut depth = 0;
        for part in raw.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return Err(PathFault::Parent),
                part if part.len() > LONGEST_NAME => return Err(PathFault::NameTooLong),
                part => {
                    if !plain.is_empty() {
                        plain.push(b'/');
                    }
                    plain.extend_from_slice(part);
                }
            }
            depth += 1;
            if depth > limits.path_depth {
                return Err(PathFault::TooDeep(limits.path_depth));
            }
        }
        Ok(Self(OsString::from_vec(plain).into()))
    }

    /// The path itself.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// Whether it is the layer's root.
    pub fn is_root(&self) -> bool {
        self.0.as_os_str().is_empty()
    }

    /// The last part, none for the root.
    pub fn name(&self) -> Option<&OsStr> {
        self.0.file_name()
    }

    /// The directory that it is in, none for the root.
    pub fn parent(&self) -> Option<Self> {
        (!self.is_root()).then(|| Self(self.0.parent().unwrap_or(Path::new("")).to_owned()))
    }

    /// One name further down.
    pub(crate) fn join(&self, name: &OsStr) -> Self {
        Self(self.0.join(name))
    }

    /// For messages.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(self.0.as_os_str().as_bytes()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_plain_or_refused() {
        let limits = Limits {
            path_bytes: 600,
            path_depth: 3,
            ..Limits::default()
        };
        let long = "x".repeat(256);
        let longer = "y/".repeat(301);
        for (raw, meant) in [
            ("./a/b", Ok("a/b")),
            ("/a//b/", Ok("a/b")),
            ("./", Ok("")),
            ("/", Ok("")),
            ("a/./b", Ok("a/b")),
            ("...", Ok("...")),
            ("a\\..\\b", Ok("a\\..\\b")),
            ("../a", Err(PathFault::Parent)),
            ("a/../b", Err(PathFault::Parent)),
            ("a/..", Err(PathFault::Parent)),
            ("", Err(PathFault::Empty)),
            ("a\0b", Err(PathFault::Zero)),
            ("a/b/c/d", Err(PathFault::TooDeep(3))),
            (&long, Err(PathFault::NameTooLong)),
            (&longer, Err(PathFault::TooLong(600))),
        ] {
            let path = LayerPath::new(raw.as_bytes(), &limits);
            let path = path.map(|path| path.shown());
            assert_eq!(path.as_deref(), meant.as_deref(), "{raw}");
        }
    }
}
