//! What is to be done in the file system of a hierarchy, as data.

use crate::devices::DeviceList;
use std::path::PathBuf;

/// The text of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// This one.
    Literal(String),
    /// What the same file of the group above says.
    Inherited,
}

/// What happens if the file is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The limit cannot be enforced: nothing may run.
    Fail,
    /// The container goes without, and this says so.
    Skip(&'static str),
}

/// One write to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The group.
    pub directory: PathBuf,
    /// The file in it.
    pub file: String,
    /// What goes in.
    pub text: Text,
    /// What if it is not there.
    pub missing: Missing,
}

/// The program that decides about device files in version 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceGate {
    /// The group to which it is attached.
    pub directory: PathBuf,
    /// What it allows.
    pub list: DeviceList,
}

/// Everything to do to one group, in this order: directories, writes, the gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// To be made; those that are there already stay.
    pub directories: Vec<PathBuf>,
    /// Then.
    pub writes: Vec<Write>,
    /// Then.
    pub gate: Option<DeviceGate>,
}
