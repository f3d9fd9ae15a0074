//! Does what was planned: makes directories, writes files, attaches the gate.
//!
//! Must hold no policy beyond undoing a creation that fails.

use crate::bpf;
use crate::directory::Directory;
use crate::gate;
use crate::group::{Group, inner_groups};
use crate::layout::{GroupName, Layout};
use crate::limits::Limits;
use crate::plan::{Change, Inner, Lowering, PlanError, change, creation, inner_steps, root_steps};
use crate::write::{Missing, Steps, Text, Write};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Something that was asked for and that this host cannot do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file that is not there.
    pub file: String,
    /// What follows from that.
    pub text: &'static str,
}

/// Why a group could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The limits themselves.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The kernel has no such file.
    #[error("{path:?} is not there: this kernel cannot enforce it")]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// A call failed.
    #[error("cannot {action} {path:?}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

fn failed(action: impl Into<String>, path: &Path) -> impl FnOnce(io::Error) -> GroupError {
    let (action, path) = (action.into(), path.to_owned());
    move |source| GroupError::Io {
        action,
        path,
        source,
    }
}

/// The groups of one agent.
#[derive(Clone, Debug)]
pub struct Groups {
    layout: Arc<Layout>,
}

impl Groups {
    /// Makes the agent's roots and enables their controllers.
    pub fn prepare(layout: Layout) -> Result<(Self, Vec<Note>), GroupError> {
        let notes = apply(&root_steps(&layout))?;
        let layout = Arc::new(layout);
        Ok((Self { layout }, notes))
    }

    /// Where they lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Makes a group with these limits; nothing of it is left if that fails.
    pub fn create(
        &self,
        name: &GroupName,
        inner: Inner,
        limits: &Limits,
    ) -> Result<(Group, Vec<Note>), GroupError> {
        let steps = creation(&self.layout, name, inner, limits)?;
        let group = self.existing(name.clone(), inner);
        match apply(&steps) {
            Ok(notes) => Ok((group, notes)),
            Err(error) => {
                group.remove_once();
                Err(error)
            }
        }
    }

    /// A group that is there already: after a restart.
    pub fn existing(&self, name: GroupName, inner: Inner) -> Group {
        Group::new(Arc::clone(&self.layout), name, inner)
    }

    /// The names of all groups that are there, those within groups too: after a restart.
    pub fn names(&self) -> BTreeSet<GroupName> {
        let mut names = BTreeSet::new();
        for root in self.layout.roots() {
            let mut folders = inner_groups(root);
            while let Some(folder) = folders.pop() {
                let name = folder
                    .strip_prefix(root)
                    .ok()
                    .and_then(|name| GroupName::new(name.to_str()?).ok());
                // Groups that processes have made in theirs may have any name.
                if let Some(name) = name {
                    folders.extend(inner_groups(&folder));
                    names.insert(name);
                }
            }
        }
        names
    }

    /// Lets groups be made within a group whose processes are not in it itself.
    pub fn open_for_inner(&self, group: &Group) -> Result<(), GroupError> {
        apply(&inner_steps(&self.layout, group.name())).map(drop)
    }

    /// Brings a group from the limits that hold to others.
    pub fn change(
        &self,
        group: &Group,
        held: &Limits,
        wanted: &Limits,
        lowering: Lowering,
    ) -> Result<(Limits, Vec<Note>), GroupError> {
        let Change { steps, limits } = change(&self.layout, group.name(), held, wanted, lowering)?;
        Ok((limits, apply(&steps)?))
    }
}

/// Does the steps in their order.
pub(crate) fn apply(steps: &Steps) -> Result<Vec<Note>, GroupError> {
    for path in &steps.directories {
        make(path)?;
    }
    let mut notes = Vec::new();
    let mut open: Option<(&Path, Directory)> = None;
    for write in &steps.writes {
        let path = write.directory.as_path();
        let directory = match open.take() {
            Some((opened, directory)) if opened == path => directory,
            _ => Directory::open(path).map_err(failed("open", path))?,
        };
        notes.extend(put(&directory, write)?);
        open = Some((path, directory));
    }
    if let Some(wanted) = &steps.gate {
        let path = &wanted.directory;
        let directory = Directory::open(path).map_err(failed("open", path))?;
        bpf::attach(directory.as_fd(), &gate::program(&wanted.list))
            .map_err(failed("attach a program for devices to", path))?;
    }
    Ok(notes)
}

fn make(path: &Path) -> Result<(), GroupError> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(path).map_err(failed("make", path))
        }
        other => other.map_err(failed("make", path)),
    }
}

fn put(directory: &Directory, write: &Write) -> Result<Option<Note>, GroupError> {
    let path = write.directory.join(&write.file);
    let text = match &write.text {
        Text::Literal(text) => text.clone(),
        Text::Inherited => {
            let above = write.directory.parent().unwrap_or(Path::new("/"));
            let above = above.join(&write.file);
            std::fs::read_to_string(&above).map_err(failed("read", &above))?
        }
    };
    match (directory.write(&write.file, &text), write.missing) {
        (Ok(()), _) => Ok(None),
        (Err(error), Missing::Skip(text)) if error.kind() == io::ErrorKind::NotFound => {
            Ok(Some(Note {
                file: write.file.clone(),
                text,
            }))
        }
        (Err(error), Missing::Fail) if error.kind() == io::ErrorKind::NotFound => {
            Err(GroupError::Missing { path })
        }
        (Err(error), _) => Err(failed(format!("write {:?} to", text.trim_end()), &path)(
            error,
        )),
    }
}
