//! Pins: what must not be removed because somebody is about to need it.

use std::sync::Arc;

use super::Store;
use crate::digest::Digest;

/// Keeps chains and content in the store for as long as it lives.
#[derive(Debug)]
pub struct Pin {
    store: Arc<Store>,
    digests: Vec<Digest>,
}

impl Store {
    /// Keeps these in the store, whether they are there already or will be.
    pub fn pin(self: &Arc<Self>, digests: impl IntoIterator<Item = Digest>) -> Pin {
        let digests: Vec<Digest> = digests.into_iter().collect();
        let mut inside = self.lock();
        for digest in &digests {
            *inside.pins.entry(digest.clone()).or_default() += 1;
        }
        let store = Arc::clone(self);
        Pin { store, digests }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut inside = self.store.lock();
        for digest in &self.digests {
            if let Some(count) = inside.pins.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    inside.pins.remove(digest);
                }
            }
        }
    }
}
