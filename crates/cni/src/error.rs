//! Why something could not be done, as one error for the whole client.

use std::io;
use std::path::{Path, PathBuf};

use crate::fault::ConfigFault;
use crate::ids::{ContainerId, IdError, NetworkName};
use crate::invocation::Command;
use crate::plugin_error::PluginError;
use crate::result_json::ResultFault;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum CniError {
    /// No configuration bears the name.
    #[error("no network is named \"{name}\" in {folder}; {known}", folder = folder.display())]
    UnknownNetwork {
        /// The name.
        name: String,
        /// The folder of configurations.
        folder: PathBuf,
        /// What is there instead.
        known: String,
    },
    /// A network cannot be driven as it is configured.
    #[error("network configuration {file}: {fault}", file = file.display())]
    Config {
        /// The file.
        file: PathBuf,
        /// What is wrong in it.
        fault: ConfigFault,
    },
    /// A field of the request.
    #[error("{field}: {problem}")]
    Request {
        /// The field, as `network_infos[0].port_mappings[1].protocol`.
        field: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A name that is not allowed.
    #[error(transparent)]
    Id(#[from] IdError),
    /// Plugins and configuration have no version in common.
    #[error(
        "network \"{network}\": its plugins support no version in common with its configuration; {detail}"
    )]
    NoVersion {
        /// The network.
        network: NetworkName,
        /// Who supports what.
        detail: String,
    },
    /// A plugin's program is not there.
    #[error("network \"{network}\" needs the plugin \"{kind}\", which is in none of {folders}")]
    NoPlugin {
        /// The network.
        network: NetworkName,
        /// The program.
        kind: String,
        /// Where it was looked for.
        folders: String,
    },
    /// A plugin failed.
    #[error("network \"{network}\": plugin \"{kind}\" failed at {command}: {fault}")]
    Plugin {
        /// The network.
        network: NetworkName,
        /// The program.
        kind: String,
        /// What it was told to do.
        command: Command,
        /// How it failed.
        fault: PluginFault,
    },
    /// The container has been attached before and not detached since.
    #[error("container {0} is attached already: detach it first")]
    AlreadyAttached(ContainerId),
    /// The container is not attached.
    #[error("container {0} is attached to no network")]
    NotAttached(ContainerId),
    /// A file or a namespace could not be handled.
    #[error("{doing} {path}: {source}", path = path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What is on disk cannot be read.
    #[error("record {path}: {problem}", path = path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Several things failed at once.
    #[error("{}", joined(.0))]
    Several(Vec<CniError>),
}

/// How a plugin failed.
#[derive(Debug, thiserror::Error)]
pub enum PluginFault {
    /// By its own account.
    #[error("{0}")]
    Reported(PluginError),
    /// Without an account.
    #[error("it ended with {status} and said: {said}")]
    Ended {
        /// Its exit status.
        status: String,
        /// The end of what it printed.
        said: String,
    },
    /// By not coming to an end.
    #[error("it did not end within {0} ms and was killed")]
    Deadline(u128),
    /// By printing without end.
    #[error("it printed more than {0} bytes and was killed")]
    TooMuch(usize),
    /// With a result that cannot be read.
    #[error("its result cannot be used: {0}")]
    Result(#[from] ResultFault),
    /// It could not be started, or not be heard.
    #[error("it could not be run: {0}")]
    Run(io::Error),
}

impl CniError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    /// One error of those that there are.
    pub(crate) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }

    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Plugin {
                fault: PluginFault::Reported(error),
                ..
            } => error.is_transient(),
            Self::Plugin {
                fault: PluginFault::Deadline(_),
                ..
            } => true,
            Self::Several(errors) => errors.iter().all(Self::is_transient),
            _ => false,
        }
    }
}

fn joined(errors: &[CniError]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
