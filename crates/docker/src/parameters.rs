//! `container.docker.parameters`: flags of `docker run`, as far as they make sense for a container that an agent runs.
//!
//! Mesos hands them to Docker's command line. Here each is read as that command line reads it; what is not in the
//! tables is refused by its name, and what would take the container out of the agent's hands says so.

mod network;
mod process;
mod reading;
mod resources;
mod storage;

use crate::create::CreateRequest;

/// Why a parameter cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("container.docker.parameters[{index}] '{key}': {reason}")]
pub struct ParameterError {
    /// Which parameter.
    pub index: usize,
    /// Its key.
    pub key: String,
    /// What to do.
    pub reason: String,
}

/// Puts the value of a flag into a request, or says what is wrong with it.
type Take = fn(&mut CreateRequest, &str) -> Result<(), String>;

/// Names of a flag and what it does.
type Row = (&'static [&'static str], Take);

/// What the agent decides itself.
const OURS: &[(&str, &str)] = &[
    (
        "name",
        "the agent names the container after its id and finds it again by that",
    ),
    (
        "restart",
        "a task that has ended is started again by its framework, not by the Engine",
    ),
    (
        "rm",
        "the agent removes the container when its task has ended",
    ),
    ("detach", "the agent follows the container"),
    ("interactive", "a task has no standard input"),
    ("tty", "a task of the Engine has no terminal"),
    ("attach", "the agent follows both outputs"),
    ("cidfile", "the agent keeps the container's id"),
    ("pull", "set container.docker.force_pull_image"),
    (
        "env-file",
        "there is no file to read at the agent; set command.environment",
    ),
    (
        "label-file",
        "there is no file to read at the agent; use the parameter 'label'",
    ),
];

/// Adds one parameter to what is asked for.
pub(crate) fn apply(
    index: usize,
    key: &str,
    value: &str,
    request: &mut CreateRequest,
) -> Result<(), ParameterError> {
    let done = match row(key) {
        Some((_, take)) => take(request, value),
        None => Err(refusal(key)),
    };
    done.map_err(|reason| ParameterError {
        index,
        key: key.to_owned(),
        reason,
    })
}

/// The flags that are understood, by all their names.
pub fn supported() -> impl Iterator<Item = &'static str> {
    rows().flat_map(|(names, _)| names.iter().copied())
}

fn row(key: &str) -> Option<&'static Row> {
    rows().find(|(names, _)| names.contains(&key))
}

fn rows() -> impl Iterator<Item = &'static Row> {
    [
        network::FLAGS,
        process::FLAGS,
        resources::FLAGS,
        storage::FLAGS,
    ]
    .into_iter()
    .flatten()
}

fn refusal(key: &str) -> String {
    let ours = OURS.iter().find(|(name, _)| *name == key);
    if let Some((_, reason)) = ours {
        return format!("not for a task: {reason}");
    }
    if let Some(bare) = key.strip_prefix('-') {
        let bare = bare.trim_start_matches('-');
        return format!("is written without dashes: '{bare}'");
    }
    "is not supported; docs/guide/docker.md lists the flags of 'docker run' that are".to_owned()
}

#[cfg(test)]
mod tests;
