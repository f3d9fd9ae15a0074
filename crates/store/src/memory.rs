//! The backend that lives and ends with the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;

use crate::engine::{Engine, Reader, Transaction, Work};
use crate::{Entry, Epoch, Key, StoreError, Version};

#[derive(Debug, Default)]
struct Contents {
    entries: BTreeMap<Key, (Version, Bytes)>,
    epoch: Epoch,
    revision: Version,
}

/// Shared by the writer thread and the readers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<RwLock<Contents>>);

impl Memory {
    fn read(&self) -> RwLockReadGuard<'_, Contents> {
        // A batch is judged before it writes, so contents are whole even if a writer panicked.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for Memory {
    fn transact(&mut self, work: Work<'_>) -> Result<(), StoreError> {
        let mut contents = self.0.write().unwrap_or_else(PoisonError::into_inner);
        work(&mut *contents).map(|_| ())
    }
}

impl Transaction for Contents {
    fn version_of(&self, key: &Key) -> Result<Option<Version>, StoreError> {
        Ok(self.entries.get(key).map(|(version, _)| *version))
    }

    fn put(
        &mut self,
        key: &Key,
        version: Version,
        value: &[u8],
    ) -> Result<Option<usize>, StoreError> {
        let value = (version, Bytes::copy_from_slice(value));
        let replaced = self.entries.insert(key.clone(), value);
        Ok(replaced.map(|(_, value)| value.len()))
    }

    fn delete(&mut self, key: &Key) -> Result<Option<usize>, StoreError> {
        let removed = self.entries.remove(key);
        Ok(removed.map(|(_, value)| value.len()))
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.entries.clear();
        Ok(())
    }

    fn epoch(&self) -> Result<Epoch, StoreError> {
        Ok(self.epoch)
    }

    fn set_epoch(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.epoch = epoch;
        Ok(())
    }

    fn revision(&self) -> Result<Version, StoreError> {
        Ok(self.revision)
    }

    fn set_revision(&mut self, revision: Version) -> Result<(), StoreError> {
        self.revision = revision;
        Ok(())
    }
}

fn entry(key: &Key, (version, value): &(Version, Bytes)) -> Entry {
    Entry {
        key: key.clone(),
        version: *version,
        value: value.clone(),
    }
}

impl Reader for Memory {
    fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        Ok(self.read().entries.get(key).map(|kept| entry(key, kept)))
    }

    fn scan(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let contents = self.read();
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let found = contents.entries.range::<str, _>(from);
        Ok(found
            .take_while(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, kept)| entry(key, kept))
            .collect())
    }

    fn epoch(&self) -> Result<Epoch, StoreError> {
        Ok(self.read().epoch)
    }

    fn snapshot(&self) -> Result<(Epoch, Vec<Entry>), StoreError> {
        let contents = self.read();
        Ok((
            contents.epoch,
            contents
                .entries
                .iter()
                .map(|(key, kept)| entry(key, kept))
                .collect(),
        ))
    }
}
