//! What can go wrong between a client verb and the master, and what a user reads of it.

use std::io;

use serde::Deserialize;
use thiserror::Error;

use crate::exit::Exit;

/// A refusal as the native API words it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub(crate) struct Problem {
    pub(crate) title: String,
    pub(crate) status: u16,
    pub(crate) detail: String,
    pub(crate) why: Vec<String>,
    pub(crate) hint: Option<String>,
    /// All that is wrong with the objects of a body.
    pub(crate) errors: Vec<mezz_spec::Fault>,
}

/// Why a request brought no answer that can be used.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    #[error("'{0}' is not the address of a master: write HOST:PORT")]
    Address(String),
    #[error("no master answers at {address}: {source}")]
    NoMaster { address: String, source: io::Error },
    #[error("the connection to the master at {address} broke: {source}")]
    Broken { address: String, source: io::Error },
    #[error("what answers at {address} is no master: {what}")]
    NotHttp { address: String, what: String },
    #[error("{}", said(.0))]
    Refused(Problem),
    #[error("the answer of the master is not understood: {0}")]
    Answer(#[from] serde_json::Error),
    #[error("{what}")]
    NotFound { what: String, hint: String },
    #[error("'{given}' is the {} of several{}: {}", if *is_name { "name" } else { "beginning" }, if *is_name { "" } else { " ids" }, candidates.join(", "))]
    Ambiguous {
        given: String,
        /// Whether what was given is a whole name.
        is_name: bool,
        candidates: Vec<String>,
    },
    #[error("{0}")]
    Usage(String),
    #[error("the output cannot be written: {0}")]
    Output(#[source] io::Error),
}

fn said(problem: &Problem) -> String {
    let text = if problem.detail.is_empty() {
        &problem.title
    } else {
        &problem.detail
    };
    if text.is_empty() {
        format!("the master answered with status {}", problem.status)
    } else {
        text.clone()
    }
}

impl ClientError {
    /// The exit code that this error ends the process with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Address(_) | Self::Usage(_) => Exit::Usage,
            Self::NoMaster { .. } | Self::NotHttp { .. } => Exit::NoMaster,
            Self::NotFound { .. } => Exit::NotFound,
            Self::Ambiguous { .. } | Self::Broken { .. } | Self::Answer(_) | Self::Output(_) => {
                Exit::Failed
            }
            Self::Refused(problem) => match problem.status {
                404 => Exit::NotFound,
                503 => Exit::NoMaster,
                400..=499 => Exit::Refused,
                _ => Exit::Failed,
            },
        }
    }

    /// What led to it, one reason a line.
    pub(crate) fn reasons(&self) -> &[String] {
        match self {
            Self::Refused(problem) => &problem.why,
            _ => &[],
        }
    }

    /// What the user can do next.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoMaster { .. } | Self::NotHttp { .. } | Self::Address(_) => {
                Some("start a cluster here with `mezz dev`, or name one with --master HOST:PORT or MEZZ_MASTER".to_owned())
            }
            Self::NotFound { hint, .. } => Some(hint.clone()),
            Self::Ambiguous { .. } => Some("write the whole id, or more of it".to_owned()),
            Self::Refused(problem) => problem.hint.clone().or_else(|| {
                Some("`mezz status` tells how the cluster is, `--help` what this verb takes".to_owned())
            }),
            Self::Usage(_) => Some("the verb's `--help` tells what it takes".to_owned()),
            Self::Broken { .. } => {
                Some("`mezz status` tells whether the cluster is back; then try again".to_owned())
            }
            Self::Answer(_) => Some(
                "`mezz version` tells whether this program and the master are of one version".to_owned(),
            ),
            Self::Output(_) => Some("see whether the disk is full, and what reads the output".to_owned()),
        }
    }
}
