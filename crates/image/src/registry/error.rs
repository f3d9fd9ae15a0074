//! What can go wrong with a registry, and what may go better next time.

use std::time::Duration;

use reqwest::StatusCode;
use thiserror::Error;

use crate::credentials::CredentialsError;
use crate::digest::Digest;
use crate::reference::RegistryHost;
use crate::store::StoreError;

/// Why a registry gives nothing.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// Who we are cannot be told.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A client that cannot be made.
    #[error("the client of registries cannot be made: {0}")]
    Client(String),
    /// Not reached, or cut off.
    #[error("registry {host}: {message}")]
    Connection {
        /// Which.
        host: RegistryHost,
        /// The innermost reason.
        message: String,
    },
    /// Nothing came.
    #[error("registry {host} sent nothing for {} seconds", after.as_secs())]
    Stalled {
        /// Which.
        host: RegistryHost,
        /// How long.
        after: Duration,
    },
    /// It does not let us in.
    #[error("registry {host} refuses {what}: {message}")]
    Denied {
        /// Which.
        host: RegistryHost,
        /// What was asked for.
        what: String,
        /// What it says.
        message: String,
    },
    /// It does not have it.
    #[error("registry {host} has no {what}{message}")]
    NotFound {
        /// Which.
        host: RegistryHost,
        /// What was asked for.
        what: String,
        /// What it says.
        message: String,
    },
    /// Another answer.
    #[error("registry {host} answers {status} for {what}{message}")]
    Status {
        /// Which.
        host: RegistryHost,
        /// What was asked for.
        what: String,
        /// The answer.
        status: StatusCode,
        /// What it says.
        message: String,
        /// When to come again.
        after: Option<Duration>,
    },
    /// An answer above its cap.
    #[error("registry {host} sends more than {limit} bytes for {what}")]
    TooLong {
        /// Which.
        host: RegistryHost,
        /// What was asked for.
        what: String,
        /// The cap.
        limit: u64,
    },
    /// Not what was asked for.
    #[error("registry {host} gives {found} for {what}, which should be {expected}")]
    WrongDigest {
        /// Which.
        host: RegistryHost,
        /// What was asked for.
        what: String,
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: String,
    },
    /// Tokens that are not to be had.
    #[error("registry {host} asks for a token of {realm}, which does not give one: {message}")]
    NoToken {
        /// Which.
        host: RegistryHost,
        /// Where.
        realm: String,
        /// What went wrong.
        message: String,
    },
    /// Tokens over a line that everybody can read.
    #[error(
        "registry {host} asks for a token of {realm}, to which credentials must not be sent: it is not https"
    )]
    UnsafeRealm {
        /// Which.
        host: RegistryHost,
        /// Where.
        realm: String,
    },
    /// What came cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RegistryError {
    /// Whether it may go better next time.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Stalled { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }

    pub(super) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Status { after, .. } => *after,
            _ => None,
        }
    }
}
