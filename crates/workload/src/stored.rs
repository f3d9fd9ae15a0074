//! The form of values in the store: one byte of version, then postcard.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

const VERSION: u8 = 1;

/// Why a stored value cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    #[error("it was written by a version of the program that this one does not know")]
    Version,
    #[error("it is damaged: {0}")]
    Damaged(String),
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Bytes {
    // More than most take, so that it seldom grows.
    let mut start = Vec::with_capacity(1024);
    start.push(VERSION);
    postcard::to_extend(value, start)
        .expect("a vector grows as needed and every part can be written")
        .into()
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoredError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            postcard::from_bytes(rest).map_err(|error| StoredError::Damaged(error.to_string()))
        }
        _ => Err(StoredError::Version),
    }
}
