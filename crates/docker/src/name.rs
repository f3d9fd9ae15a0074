//! Names of containers, in the form by which Mesos's own tools know them.

use std::fmt;

/// What the names of all of Mesos's containers begin with.
const PREFIX: &str = "mesos-";

/// The Engine's name of a container: `mesos-` and the container's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerName(String);

impl ContainerName {
    /// Of the container with this id.
    pub fn of(container_id: &str) -> Self {
        Self(format!("{PREFIX}{container_id}"))
    }

    /// As in paths of the Engine's API.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
