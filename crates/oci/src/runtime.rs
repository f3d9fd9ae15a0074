//! The command lines of OCI runtimes, and what they answer.
//!
//! Owns the words that runc, crun, runsc and kata-runtime have in common; nothing here runs anything.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why something about runtimes is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// A pair without a path.
    #[error("{pair:?} is not NAME=PATH, such as runc=/usr/sbin/runc")]
    Pair {
        /// What was given.
        pair: String,
    },
    /// A name that cannot be asked for.
    #[error(
        "the runtime name {name:?} is empty, reserved or not made of a-z, 0-9, '-', '_' and '.'"
    )]
    Name {
        /// What was given.
        name: String,
    },
    /// Not a place on the host.
    #[error("the path {path:?} of the runtime {name} is not absolute")]
    Path {
        /// Which runtime.
        name: String,
        /// What was given.
        path: String,
    },
    /// Two runtimes of one name.
    #[error("the runtime {name} is named twice")]
    Twice {
        /// Which.
        name: String,
    },
    /// A container's name that a runtime would not take.
    #[error("{name:?} is no name of a container: letters, digits, '-', '_' and '.' only")]
    Container {
        /// The name.
        name: String,
    },
    /// The runtime's own list is not what the specification says.
    #[error("the runtime's list of containers cannot be read: {0}")]
    List(String),
}

/// Names of other runtimes of ours.
const RESERVED: &[&str] = &["native", "docker", "vm"];

/// Reads `NAME=PATH,NAME=PATH`: the runtimes that tasks may ask for.
pub fn parse_runtimes(text: &str) -> Result<BTreeMap<String, PathBuf>, RuntimeError> {
    let mut runtimes = BTreeMap::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let (name, path) = pair.split_once('=').ok_or_else(|| RuntimeError::Pair {
            pair: pair.to_owned(),
        })?;
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        if name.is_empty() || RESERVED.contains(&name) || !name.bytes().all(plain) {
            return Err(RuntimeError::Name {
                name: name.to_owned(),
            });
        }
        if !path.starts_with('/') {
            return Err(RuntimeError::Path {
                name: name.to_owned(),
                path: path.to_owned(),
            });
        }
        if runtimes
            .insert(name.to_owned(), PathBuf::from(path))
            .is_some()
        {
            return Err(RuntimeError::Twice {
                name: name.to_owned(),
            });
        }
    }
    Ok(runtimes)
}

/// What a container is called towards its runtime.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerName(String);

impl ContainerName {
    /// Checks a name.
    pub fn new(name: impl Into<String>) -> Result<Self, RuntimeError> {
        let name = name.into();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        // A leading dash would be an option, dots alone a folder above the runtime's own.
        let odd = name.starts_with('-') || name.trim_matches('.').is_empty();
        if odd || !name.bytes().all(plain) {
            return Err(RuntimeError::Container { name });
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A runtime on this host, as one agent uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// The program.
    pub program: PathBuf,
    /// Where it keeps what it knows: a folder of this agent alone, so that its list holds nobody else's containers.
    pub state: PathBuf,
}

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// An absolute path.
    pub program: PathBuf,
    /// All arguments, the program's own name first.
    pub arguments: Vec<String>,
}

impl Runtime {
    /// Runs a container in the foreground: signals go on to it, and the runtime ends as it does. What goes wrong before
    /// is told in `log`, see [`failure`].
    pub fn run(&self, name: &ContainerName, bundle: &Path, log: &Path) -> Invocation {
        let log = log.display().to_string();
        let bundle = bundle.display().to_string();
        let words = ["--log", &log, "--log-format", "json", "run", "--bundle"];
        self.invocation(&[&words[..], &[&bundle, name.as_str()]].concat())
    }

    /// Sends a signal to the container's main process.
    pub fn kill(&self, name: &ContainerName, signal: i32) -> Invocation {
        self.invocation(&["kill", name.as_str(), &signal.to_string()])
    }

    /// Ends a container if it still runs, and forgets it. One that is not known is no error.
    pub fn delete(&self, name: &ContainerName) -> Invocation {
        self.invocation(&["delete", "--force", name.as_str()])
    }

    /// Says what it knows of one container, see [`parse_states`].
    pub fn state(&self, name: &ContainerName) -> Invocation {
        self.invocation(&["state", name.as_str()])
    }

    /// Lists all containers in JSON, see [`parse_states`].
    pub fn list(&self) -> Invocation {
        self.invocation(&["list", "--format", "json"])
    }

    fn invocation(&self, words: &[&str]) -> Invocation {
        let own = [self.program.display(), self.state.display()].map(|path| path.to_string());
        let [program, state] = own;
        let mut arguments = vec![program, "--root".to_owned(), state];
        arguments.extend(words.iter().map(|word| (*word).to_owned()));
        Invocation {
            program: self.program.clone(),
            arguments,
        }
    }
}

#[derive(Deserialize)]
struct State {
    id: String,
}

/// The names in what a runtime's `list` said. Those that no agent gives are left out.
pub fn parse_states(text: &str) -> Result<Vec<ContainerName>, RuntimeError> {
    // Without any containers some runtimes say `null`, and some nothing.
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let states: Option<Vec<State>> =
        serde_json::from_str(text).map_err(|error| RuntimeError::List(error.to_string()))?;
    let names = states.into_iter().flatten();
    Ok(names
        .filter_map(|state| ContainerName::new(state.id).ok())
        .collect())
}

#[derive(Deserialize)]
struct LogLine {
    level: Option<String>,
    msg: String,
}

/// Why a container could not be run, from the log of [`Runtime::run`]; `None` if it could, and its end is its own.
pub fn failure(log: &str) -> Option<String> {
    let mut lines = log.lines().filter_map(|line| {
        let line: LogLine = serde_json::from_str(line).ok()?;
        let level = line.level.unwrap_or_default();
        matches!(level.as_str(), "error" | "fatal" | "panic").then_some(line.msg)
    });
    lines.next_back()
}
