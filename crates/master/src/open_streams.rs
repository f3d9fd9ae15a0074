//! Which scheduler streams are subscribed now, so that calls on them can be accepted without waiting for the core.
//!
//! An entry proves what the core would check before it answers 202; the core checks again when it handles the call.

use std::sync::{PoisonError, RwLock};

use rustc_hash::FxHashMap;

/// Subscribed streams: from `Mesos-Stream-Id` to the framework's id.
#[derive(Debug, Default)]
pub(crate) struct OpenStreams(RwLock<FxHashMap<String, String>>);

impl OpenStreams {
    /// The stream has been answered with SUBSCRIBED.
    pub(crate) fn add(&self, stream_id: &str, framework_id: &str) {
        let mut streams = self.0.write().unwrap_or_else(PoisonError::into_inner);
        streams.insert(stream_id.to_owned(), framework_id.to_owned());
    }

    /// The stream has ended.
    pub(crate) fn remove(&self, stream_id: &str) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(stream_id);
    }

    /// Whether this stream is the one of this framework.
    pub(crate) fn is_open(&self, stream_id: &str, framework_id: &str) -> bool {
        let streams = self.0.read().unwrap_or_else(PoisonError::into_inner);
        streams
            .get(stream_id)
            .is_some_and(|owner| owner == framework_id)
    }
}
