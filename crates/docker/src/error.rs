//! What can go wrong between us and the Engine.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why the Engine did not do something.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nobody answers at the socket.
    #[error("no Docker Engine answers at {}: {source}", socket.display())]
    Unreachable {
        /// Where.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the Docker Engine broke: {0}")]
    Broken(#[from] hyper::Error),
    /// Said no.
    #[error("{message}")]
    Refused {
        /// The status of its answer.
        status: u16,
        /// In its words.
        message: String,
    },
    /// An answer that means nothing to us.
    #[error("the Docker Engine's answer to '{call}' cannot be read: {source}")]
    Answer {
        /// To what.
        call: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// More than anything of the kind takes.
    #[error("the Docker Engine's answer to '{0}' is too long")]
    TooLong(&'static str),
    /// No answer.
    #[error("the Docker Engine did not answer '{call}' within {} s", after.as_secs())]
    Late {
        /// To what.
        call: &'static str,
        /// After how long.
        after: Duration,
    },
    /// An image could not be pulled.
    #[error("Failed to pull the image '{image}': {message}")]
    Pull {
        /// Which.
        image: String,
        /// In the Engine's words.
        message: String,
    },
    /// The frames of a container's output are torn.
    #[error("the output of the container cannot be read: {0}")]
    Output(&'static str),
}

impl EngineError {
    /// Whether what was spoken of is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether it has been done before, or is being done.
    pub fn is_done_already(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 304 | 409,
                ..
            }
        )
    }

    /// Whether the Engine itself may be back later.
    pub fn is_of_connection(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Broken(_) | Self::Late { .. }
        )
    }
}
