//! The processes of the host that stand for containers of the Engine, and for commands in them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mezz_launch_plan::NamespaceSpec;

use crate::isolators::Enforcer;
use crate::preparing::{HostProcess, Prepared};
use crate::runtime_verb::VERB;

/// Stands for a container.
pub(super) const FOLLOW: &str = "docker";
/// Stands for a command in a container that runs.
pub(super) const EXECUTE: &str = "docker-exec";

/// What the warden is to run.
pub(super) fn of(program: &Path, what: &str, file: &Path) -> Prepared {
    let words = ["mezz", VERB, what, "--spec"];
    let mut arguments: Vec<String> = words.map(str::to_owned).to_vec();
    arguments.push(file.display().to_string());
    Prepared::HostProcess(Box::new(HostProcess {
        program: program.to_owned(),
        arguments,
        environment: Vec::new(),
        enforcer: Enforcer::Runtime,
        mounts: NamespaceSpec::Host,
        facts: mezz_agent_core::ContainerFacts::default(),
    }))
}

/// Serves the verb; the arguments are those after it. None if it is not ours.
pub(crate) fn run_verb(arguments: &[OsString]) -> Option<ExitCode> {
    let [what, flag, file] = arguments else {
        return None;
    };
    let file = PathBuf::from(file);
    match what.to_str()? {
        FOLLOW if flag == "--spec" => Some(mezz_docker::follow::follow(&file)),
        EXECUTE if flag == "--spec" => Some(mezz_docker::follow::execute(&file)),
        _ => None,
    }
}

/// What the agent has told the container of itself, as people look for it.
pub(super) fn labels(environment: &[(String, String)]) -> BTreeMap<String, String> {
    let value = |name: &str| {
        let mut pairs = environment.iter();
        pairs
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    let mut labels = BTreeMap::new();
    for name in ["MESOS_FRAMEWORK_ID", "MESOS_EXECUTOR_ID", "MESOS_SLAVE_ID"] {
        if let Some(value) = value(name) {
            labels.insert(name.to_owned(), value);
        }
    }
    // A custom executor is told how to listen; what is not has the id of its task.
    if let (Some(id), None) = (value("MESOS_EXECUTOR_ID"), value("LIBPROCESS_PORT")) {
        labels.insert("MESOS_TASK_ID".to_owned(), id);
    }
    labels
}

/// The variables of a task as its container is to see them: paths of the host mean nothing there.
pub(super) fn seen_inside(
    environment: &[(String, String)],
    sandbox: &str,
) -> Vec<(String, String)> {
    let seen = |(name, value): &(String, String)| {
        let is_sandbox = name == "MESOS_DIRECTORY";
        let value = if is_sandbox { sandbox } else { value };
        (name.clone(), value.to_owned())
    };
    environment.iter().map(seen).collect()
}
