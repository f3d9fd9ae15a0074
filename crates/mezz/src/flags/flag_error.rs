//! A flag value as it was given, where it came from, and what can be wrong with it.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use super::value::ValueError;

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    File(PathBuf),
    Environment(String),
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "in {}", path.display()),
            Self::Environment(name) => write!(f, "in the environment variable {name}"),
            Self::CommandLine => write!(f, "on the command line"),
        }
    }
}

/// One value for one flag, as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) key: String,
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// Why the flags of a daemon cannot be used.
#[derive(Debug, Error)]
pub(crate) enum FlagError {
    #[error("unknown key '{key}' {origin}{}", did_you_mean(nearest.as_deref()))]
    Unknown {
        key: String,
        origin: Origin,
        nearest: Option<String>,
    },
    #[error("key '{key}' {origin} belongs to `mezz {daemon}`: put it into a table [{daemon}]")]
    OtherDaemon {
        key: String,
        origin: Origin,
        daemon: &'static str,
    },
    #[error("--{flag} {origin}: {source}")]
    Value {
        flag: String,
        origin: Origin,
        source: ValueError,
    },
    #[error("--{flag}={text} {origin} cannot be honoured: {why}; {}", only_default(*default))]
    Refused {
        flag: String,
        text: String,
        origin: Origin,
        why: &'static str,
        default: Option<&'static str>,
    },
    #[error("--{flag} {origin} names the file {}, which cannot be read: {source}", path.display())]
    ValueFile {
        flag: String,
        origin: Origin,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("--{flag}: {message}")]
    Meaning { flag: &'static str, message: String },
    #[error("the configuration file {} cannot be read: {source}", path.display())]
    ConfigFile {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the configuration file {} is not TOML: {message}", path.display())]
    ConfigSyntax { path: PathBuf, message: String },
    #[error("key '{key}' {origin} must be a text, a number or a switch")]
    ConfigType { key: String, origin: Origin },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!("; did you mean '{nearest}'?")
    })
}

fn only_default(default: Option<&str>) -> String {
    default.map_or_else(
        || "leave it out".to_owned(),
        |default| format!("only '{default}' can be given"),
    )
}
