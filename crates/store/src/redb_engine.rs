//! The embedded durable backend: one redb file, one sync to a group of batches.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use redb::{
    AccessGuard, Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, Table,
    TableDefinition,
};

use crate::engine::{Engine, Reader, Transaction, Verdict, Work};
use crate::lock_file::LockFile;
use crate::{Entry, Epoch, Key, OpenError, StoreError, Version};

/// Values, each behind the eight little-endian bytes of its version.
const ENTRIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("entries");
/// Counters: `format`, `epoch`, `revision`.
const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
/// The layout of this file that this program writes and reads.
const FORMAT: u64 = 1;
/// The master reads the store once, when it begins to lead; for writing, the upper pages of the trees are enough. The
/// kernel keeps the rest as long as there is room.
const CACHE_BYTES: usize = 8 * 1024 * 1024;
const VERSION_BYTES: usize = 8;

/// Both sides of the backend; the lock on the file goes with the last copy.
#[derive(Debug, Clone)]
pub(crate) struct Redb(Arc<Open>);

struct Open {
    database: Database,
    _lock: LockFile,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redb").finish_non_exhaustive()
    }
}

impl Redb {
    /// Opens the file, making it when it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |message: String| OpenError::Backend {
            path: path.to_owned(),
            message,
        };
        let lock = LockFile::take(path)?;
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(path)
            .map_err(|error| failed(error.to_string()))?;
        let open = Self(Arc::new(Open {
            database,
            _lock: lock,
        }));
        open.prepare(path)?;
        sync_parent(path).map_err(|error| failed(error.to_string()))?;
        Ok(open)
    }

    /// Makes the tables of a new file and checks the format of an old one.
    fn prepare(&self, path: &Path) -> Result<(), OpenError> {
        let mut found = FORMAT;
        let mut engine = self.clone();
        let made = engine.with_tables(&mut |tables| {
            let stored = tables.counter("format")?;
            found = stored.unwrap_or(FORMAT);
            if stored.is_some() {
                return Ok(Verdict::Discard);
            }
            tables.set_counter("format", FORMAT)?;
            Ok(Verdict::Commit)
        });
        made.map_err(|error| OpenError::Backend {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        if found == FORMAT {
            Ok(())
        } else {
            Err(OpenError::UnknownFormat {
                path: path.to_owned(),
                found,
                known: FORMAT,
            })
        }
    }

    fn with_tables(
        &mut self,
        work: &mut dyn FnMut(&mut Tables<'_>) -> Result<Verdict, StoreError>,
    ) -> Result<(), StoreError> {
        let begin =
            |error: &dyn std::fmt::Display| StoreError::backend("begin a transaction", error);
        let mut transaction = self
            .0
            .database
            .begin_write()
            .map_err(|error| begin(&error))?;
        transaction
            .set_durability(Durability::Immediate)
            .map_err(|error| begin(&error))?;
        let verdict = {
            let entries = transaction
                .open_table(ENTRIES)
                .map_err(|error| begin(&error))?;
            let counters = transaction
                .open_table(COUNTERS)
                .map_err(|error| begin(&error))?;
            work(&mut Tables { entries, counters })
        };
        match verdict {
            Ok(Verdict::Commit) => transaction
                .commit()
                .map_err(|error| StoreError::backend("commit", error)),
            Ok(Verdict::Discard) => transaction
                .abort()
                .map_err(|error| StoreError::backend("abort", error)),
            Err(error) => {
                // The first error says more than what the clean-up may add.
                let _ = transaction.abort();
                Err(error)
            }
        }
    }

    fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        self.0.database.begin_read().map_err(read_error)
    }
}

/// Makes the directory entry of a new file durable too.
fn sync_parent(path: &Path) -> std::io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::File::open(parent)?.sync_all()
}

impl Engine for Redb {
    fn transact(&mut self, work: Work<'_>) -> Result<(), StoreError> {
        self.with_tables(&mut |tables| work(tables))
    }
}

struct Tables<'a> {
    entries: Table<'a, &'static str, &'static [u8]>,
    counters: Table<'a, &'static str, u64>,
}

impl Tables<'_> {
    fn counter(&self, name: &str) -> Result<Option<u64>, StoreError> {
        Ok(self
            .counters
            .get(name)
            .map_err(read_error)?
            .map(|value| value.value()))
    }

    fn set_counter(&mut self, name: &str, value: u64) -> Result<(), StoreError> {
        self.counters
            .insert(name, value)
            .map(|_| ())
            .map_err(write_error)
    }
}

impl Transaction for Tables<'_> {
    fn version_of(&self, key: &Key) -> Result<Option<Version>, StoreError> {
        let stored = self.entries.get(key.as_str()).map_err(read_error)?;
        stored
            .map(|stored| split(key.as_str(), stored.value()).map(|(version, _)| version))
            .transpose()
    }

    fn put(
        &mut self,
        key: &Key,
        version: Version,
        value: &[u8],
    ) -> Result<Option<usize>, StoreError> {
        let mut stored = Vec::with_capacity(VERSION_BYTES + value.len());
        stored.extend_from_slice(&version.0.to_le_bytes());
        stored.extend_from_slice(value);
        let replaced = self.entries.insert(key.as_str(), stored.as_slice());
        Ok(replaced.map_err(write_error)?.map(value_bytes))
    }

    fn delete(&mut self, key: &Key) -> Result<Option<usize>, StoreError> {
        let removed = self.entries.remove(key.as_str());
        Ok(removed.map_err(write_error)?.map(value_bytes))
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.entries.retain(|_, _| false).map_err(write_error)
    }

    fn epoch(&self) -> Result<Epoch, StoreError> {
        Ok(Epoch(self.counter("epoch")?.unwrap_or(0)))
    }

    fn set_epoch(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.set_counter("epoch", epoch.0)
    }

    fn revision(&self) -> Result<Version, StoreError> {
        Ok(Version(self.counter("revision")?.unwrap_or(0)))
    }

    fn set_revision(&mut self, revision: Version) -> Result<(), StoreError> {
        self.set_counter("revision", revision.0)
    }
}

impl Reader for Redb {
    fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        let entries = self.begin_read()?.open_table(ENTRIES).map_err(read_error)?;
        let stored = entries.get(key.as_str()).map_err(read_error)?;
        stored
            .map(|stored| entry(key.as_str(), stored.value()))
            .transpose()
    }

    fn scan(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        scan(&self.begin_read()?, prefix)
    }

    fn epoch(&self) -> Result<Epoch, StoreError> {
        epoch(&self.begin_read()?)
    }

    fn snapshot(&self) -> Result<(Epoch, Vec<Entry>), StoreError> {
        let transaction = self.begin_read()?;
        Ok((epoch(&transaction)?, scan(&transaction, "")?))
    }
}

fn epoch(transaction: &ReadTransaction) -> Result<Epoch, StoreError> {
    let counters = transaction.open_table(COUNTERS).map_err(read_error)?;
    let stored = counters.get("epoch").map_err(read_error)?;
    Ok(Epoch(stored.map_or(0, |value| value.value())))
}

fn scan(transaction: &ReadTransaction, prefix: &str) -> Result<Vec<Entry>, StoreError> {
    let entries = transaction.open_table(ENTRIES).map_err(read_error)?;
    let mut found = Vec::new();
    for stored in entries.range(prefix..).map_err(read_error)? {
        let (key, value) = stored.map_err(read_error)?;
        if !key.value().starts_with(prefix) {
            break;
        }
        found.push(entry(key.value(), value.value())?);
    }
    Ok(found)
}

fn entry(key: &str, stored: &[u8]) -> Result<Entry, StoreError> {
    let (version, value) = split(key, stored)?;
    Ok(Entry {
        key: Key::trusted(key),
        version,
        value: Bytes::copy_from_slice(value),
    })
}

/// The length of a stored value without its version.
fn value_bytes(stored: AccessGuard<'_, &'static [u8]>) -> usize {
    stored.value().len().saturating_sub(VERSION_BYTES)
}

fn split<'a>(key: &str, stored: &'a [u8]) -> Result<(Version, &'a [u8]), StoreError> {
    match stored.split_first_chunk::<VERSION_BYTES>() {
        Some((version, value)) => Ok((Version(u64::from_le_bytes(*version)), value)),
        None => Err(StoreError::Damaged {
            message: format!("the value of {key} has no version").into(),
        }),
    }
}

fn read_error(error: impl std::fmt::Display) -> StoreError {
    StoreError::backend("read", error)
}

fn write_error(error: impl std::fmt::Display) -> StoreError {
    StoreError::backend("write", error)
}
