//! Names of containers: a container's own and those of all that are around it.

use mezz_proto::v1::ContainerId;
use std::fmt;

/// The longest name, as in Mesos, which makes file names of it.
const LONGEST: usize = 242;
/// So many containers can be inside one another: the kernel nests process numbers no deeper.
const DEEPEST: usize = 32;

/// A container's name after those of all that are around it, the outermost first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerPath(Vec<String>);

/// Why an id names no container. The words are those of Mesos where it has some.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is empty.
    #[error("ID must not be empty")]
    Empty,
    /// It cannot be a file's name.
    #[error("ID must not be greater than 255 characters")]
    Long,
    /// It is longer than a container's may be.
    #[error("'ContainerID.value' '{0}' exceeds the maximum length ({LONGEST})")]
    TooLong(String),
    /// It is a folder that is there already.
    #[error("'{0}' is disallowed")]
    Dots(String),
    /// It has characters that no id can have.
    #[error("'{0}' contains invalid characters")]
    Invalid(String),
    /// It has characters that only the id of a container cannot have.
    #[error("'ContainerID.value' '{0}' contains invalid characters")]
    Separators(String),
    /// What it is in has a wrong name.
    #[error("'ContainerID.parent' is invalid: {0}")]
    Parent(Box<PathError>),
    /// It is in too many others.
    #[error("containers cannot be inside one another more than {DEEPEST} deep")]
    TooDeep,
}

impl ContainerPath {
    /// Reads an id with its parents.
    pub fn read(id: &ContainerId) -> Result<Self, PathError> {
        let mut names = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next {
            if names.len() == DEEPEST {
                return Err(PathError::TooDeep);
            }
            let mut checked = check(&id.value);
            for _ in 0..names.len() {
                checked = checked.map_err(|error| PathError::Parent(Box::new(error)));
            }
            checked?;
            names.push(id.value.clone());
            next = id.parent.as_deref();
        }
        names.reverse();
        Ok(Self(names))
    }

    /// The name of a container that is in no other.
    pub fn of_root(id: &str) -> Self {
        Self(vec![id.to_owned()])
    }

    /// The name of a container inside this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let mut names = self.0.clone();
        names.push(name.to_owned());
        Self(names)
    }

    /// The container that it is in.
    pub fn parent(&self) -> Option<Self> {
        let (_, around) = self.0.split_last()?;
        (!around.is_empty()).then(|| Self(around.to_vec()))
    }

    /// The outermost container.
    pub fn root(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Its own name.
    pub fn name(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// In how many others it is.
    pub fn depth(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// Whether it is inside `other`, at any depth.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }

    /// As the wire has it.
    pub fn to_id(&self) -> ContainerId {
        let mut id = ContainerId {
            value: self.root().to_owned(),
            parent: None,
        };
        for name in self.0.iter().skip(1) {
            id = ContainerId {
                value: name.clone(),
                parent: Some(Box::new(id)),
            };
        }
        id
    }
}

impl fmt::Display for ContainerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

fn check(name: &str) -> Result<(), PathError> {
    let owned = || name.to_owned();
    if name.is_empty() {
        return Err(PathError::Empty);
    }
    if name.len() > 255 {
        return Err(PathError::Long);
    }
    if name == "." || name == ".." {
        return Err(PathError::Dots(owned()));
    }
    if name
        .chars()
        .any(|c| c.is_ascii_control() || c == '/' || c == '\\')
    {
        return Err(PathError::Invalid(owned()));
    }
    if name.len() > LONGEST {
        return Err(PathError::TooLong(owned()));
    }
    if name.contains(['.', ' ']) {
        return Err(PathError::Separators(owned()));
    }
    Ok(())
}
