//! Values of secrets. The core and its recordings never hold one: it knows of a secret which keys it has, and a digest;
//! instances refer to the secret with that digest. Here the values are, in the store under a prefix of their own and in
//! memory, and from here they go into the frames for agents.

mod seal;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mezz_core::records::Records;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{InstanceTerms, RunTask, SecretValue};
use mezz_proto::v1::secret::Reference;
use mezz_spec::{Kind, Name, Spec};
use mezz_store::{Batch, Entry, Epoch, Key, Store, StoreError, Token};
use prost::Message as _;

use seal::SealError;
pub use seal::{SecretKey, SecretKeyError};

/// Where the store keeps them. The core is not shown what lies here.
const PREFIX: &str = "secret-value";
/// As long as the keys and digests of objects may be, with their values.
const MOST_BYTES: usize = 480 * 1024;

/// Why values cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("it has {0} bytes with its keys, and at most {MOST_BYTES} are kept; split it")]
    TooLarge(usize),
    #[error("the values of secret {name} cannot be read: {source}")]
    Sealed { name: String, source: SealError },
    #[error("the system gives no random numbers")]
    NoRandom,
    #[error("the values could not be stored: {0}")]
    Store(#[from] StoreError),
    #[error("the values could not be stored: {0}")]
    Key(#[from] mezz_store::KeyError),
}

/// One version of a secret, by what instances refer to: `NAME@DIGEST`.
struct Version {
    salt: [u8; seal::SALT_BYTES],
    values: Arc<[SecretValue]>,
    /// Applies that may still make it the present one.
    pins: u32,
    stored: bool,
    /// It is the present one no more, and out of the store; launches under way may still need it.
    superseded: bool,
}

#[derive(Default)]
struct Held {
    epoch: Epoch,
    versions: BTreeMap<String, Version>,
}

/// The values that this master knows.
pub(crate) struct SecretVault {
    store: Arc<dyn Store>,
    key: Option<SecretKey>,
    held: Mutex<Held>,
}

/// What became of the values of one secret: from now on they are there under this digest.
pub(crate) struct Kept {
    pub(crate) digest: String,
    version: String,
    batch: Option<Batch>,
}

impl SecretVault {
    pub(crate) fn new(store: Arc<dyn Store>, key: Option<SecretKey>) -> Self {
        Self {
            store,
            key,
            held: Mutex::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This master leads. Takes the values out of what the store held, so that the core does not see them.
    pub(crate) fn lead(&self, epoch: Epoch, entries: &mut Vec<Entry>) -> Result<(), SecretError> {
        let mut versions = BTreeMap::new();
        for entry in entries.extract_if(.., |entry| entry.key.as_str().starts_with(PREFIX)) {
            let version = entry.key.as_str()[PREFIX.len()..].to_owned();
            let opened = seal::open(self.key.as_ref(), version.as_bytes(), &entry.value);
            let (salt, plain) = opened.map_err(|source| SecretError::Sealed {
                name: version.clone(),
                source,
            })?;
            let terms = InstanceTerms::decode(&*plain).unwrap_or_default();
            let read = Version {
                salt,
                values: terms.secrets.into(),
                pins: 0,
                stored: true,
                superseded: false,
            };
            versions.insert(version, read);
        }
        *self.held() = Held { epoch, versions };
        Ok(())
    }

    /// Says under which digest these values are; those of an unchanged secret have the one that they had.
    /// What is not there yet is there for launches from now on, and in the store after [`Self::store`].
    pub(crate) fn keep(
        &self,
        name: &Name,
        values: BTreeMap<String, String>,
    ) -> Result<Kept, SecretError> {
        let values: Vec<SecretValue> = values
            .into_iter()
            .map(|(key, value)| SecretValue {
                name: String::new(),
                key,
                value: value.into_bytes().into(),
            })
            .collect();
        let mut held = self.held();
        let epoch = held.epoch;
        let prefix = format!("{name}@");
        let mut own = held.versions.range_mut(prefix.clone()..);
        let same = own.find(|(version, known)| {
            version.starts_with(&prefix) && !known.superseded && *known.values == *values
        });
        if let Some((version, known)) = same {
            known.pins += 1;
            let batch = (!known.stored).then(|| self.batch(epoch, version, known));
            return Ok(Kept {
                digest: version[prefix.len()..].to_owned(),
                version: version.clone(),
                batch: batch.transpose()?,
            });
        }
        let salt = seal::salt().ok_or(SecretError::NoRandom)?;
        let digest = seal::digest(&salt, &values);
        let version = format!("{prefix}{digest}");
        let new = Version {
            salt,
            values: values.into(),
            pins: 1,
            stored: false,
            superseded: false,
        };
        let batch = Some(self.batch(epoch, &version, &new)?);
        held.versions.insert(version.clone(), new);
        Ok(Kept {
            digest,
            version,
            batch,
        })
    }

    fn batch(&self, epoch: Epoch, version: &str, content: &Version) -> Result<Batch, SecretError> {
        let terms = InstanceTerms {
            secrets: content.values.to_vec(),
            ..InstanceTerms::default()
        };
        let plain = terms.encode_to_vec();
        if plain.len() > MOST_BYTES {
            return Err(SecretError::TooLarge(plain.len()));
        }
        let sealed = seal::close(self.key.as_ref(), version.as_bytes(), content.salt, plain)
            .ok_or(SecretError::NoRandom)?;
        let key = Key::new(format!("{PREFIX}{version}"))?;
        Ok(Batch::new(Token(0), epoch).put(key, sealed))
    }

    /// Returns when what was kept is durable.
    pub(crate) async fn store(&self, kept: &mut [Kept]) -> Result<(), SecretError> {
        for one in kept {
            if let Some(batch) = one.batch.take() {
                self.store.commit(batch).await?;
                if let Some(version) = self.held().versions.get_mut(&one.version) {
                    version.stored = true;
                }
            }
        }
        Ok(())
    }

    /// The apply is over, whatever came of it: what no secret refers to now goes.
    pub(crate) fn release(&self, kept: &[Kept], records: &Records) {
        let mut held = self.held();
        for one in kept {
            if let Some(version) = held.versions.get_mut(&one.version) {
                version.pins = version.pins.saturating_sub(1);
            }
        }
        self.collect(&mut held, records);
    }

    /// Secrets may have been deleted.
    pub(crate) fn forget_deleted(&self, records: &Records) {
        self.collect(&mut self.held(), records);
    }

    fn collect(&self, held: &mut Held, records: &Records) {
        let mut deleted = Batch::new(Token(0), held.epoch);
        held.versions.retain(|name, version| {
            if version.pins > 0 || is_present(name, records) {
                return true;
            }
            if version.superseded {
                return false;
            }
            version.superseded = true;
            if let Ok(key) = Key::new(format!("{PREFIX}{name}")) {
                deleted
                    .operations
                    .push(mezz_store::Operation::Delete { key });
            }
            true
        });
        while !deleted.operations.is_empty() {
            let rest = deleted
                .operations
                .len()
                .min(mezz_store::limits::BATCH_ITEMS);
            let mut batch = Batch::new(Token(0), held.epoch);
            batch.operations = deleted.operations.drain(..rest).collect();
            // What stays in the store goes with the next one.
            self.store.submit(batch, Box::new(|_| ()));
        }
    }

    /// Puts the values that tasks refer to into a frame for an agent.
    pub(crate) fn fill(&self, body: &mut Body) {
        let Body::RunTasks(run) = body else {
            return;
        };
        for task in &mut run.tasks {
            if task.instance.is_some() {
                self.fill_task(task);
            }
        }
    }

    fn fill_task(&self, task: &mut RunTask) {
        let environment = task
            .task
            .command
            .as_ref()
            .and_then(|command| command.environment.as_ref());
        let variables = environment.iter().flat_map(|list| &list.variables);
        let of_variables =
            variables.filter_map(|variable| variable.secret.as_ref()?.reference.as_ref());
        let Some(instance) = &mut task.instance else {
            return;
        };
        let of_files = instance
            .files
            .iter()
            .filter_map(|file| file.secret.as_ref());
        let mut wanted: Vec<&Reference> = of_variables.chain(of_files).collect();
        if wanted.is_empty() {
            return;
        }
        wanted.sort_by_key(|one| (&one.name, &one.key));
        wanted.dedup();
        let held = self.held();
        let values = wanted.into_iter().filter_map(|one| {
            let version = held.versions.get(&one.name)?;
            let value = version.values.iter().find(|value| value.key == one.key())?;
            Some(SecretValue {
                name: one.name.clone(),
                ..value.clone()
            })
        });
        instance.secrets = values.collect();
    }
}

/// Whether a secret is now as this version of it.
fn is_present(version: &str, records: &Records) -> bool {
    let Some((name, digest)) = version.rsplit_once('@') else {
        return false;
    };
    let Ok(name) = Name::new(name) else {
        return false;
    };
    let work = &records.work;
    let key = work.index.get(&(Kind::Secret, name));
    let object = key.and_then(|key| work.objects.get(key.index()));
    object.is_some_and(|object| match &*object.spec {
        Spec::Secret(secret) => secret.digest.as_deref() == Some(digest),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(key: Option<SecretKey>) -> SecretVault {
        let backend = mezz_store::open_memory().expect("a store");
        SecretVault::new(backend.store, key)
    }

    fn values(password: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("password".to_owned(), password.to_owned())])
    }

    fn name() -> Name {
        Name::new("/team/db").expect("a name")
    }

    #[test]
    fn equal_values_have_one_digest_and_others_another_that_tells_nothing() {
        let vault = vault(None);
        let one = vault.keep(&name(), values("a")).expect("kept").digest;
        assert_eq!(vault.keep(&name(), values("a")).expect("kept").digest, one);
        assert_ne!(vault.keep(&name(), values("b")).expect("kept").digest, one);
        let other = vault.keep(&Name::new("/db").expect("a name"), values("a"));
        assert_ne!(other.expect("kept").digest, one);
    }

    #[test]
    fn a_sealed_store_holds_no_value_and_opens_only_with_its_key() {
        let key = |byte| SecretKey::new(&[byte; 32]).expect("a key");
        let vault = vault(Some(key(1)));
        let mut kept = vault.keep(&name(), values("hunter2")).expect("kept");
        let batch = kept.batch.take().expect("it is new");
        let entries: Vec<Entry> = batch
            .operations
            .iter()
            .filter_map(|operation| match operation {
                mezz_store::Operation::Put { key, value } => Some(Entry {
                    key: key.clone(),
                    version: mezz_store::Version(1),
                    value: value.clone(),
                }),
                mezz_store::Operation::Delete { .. } => None,
            })
            .collect();
        assert!(!entries[0].value.windows(7).any(|bytes| bytes == b"hunter2"));
        for (key, opens) in [(Some(key(1)), true), (Some(key(2)), false), (None, false)] {
            let reader = self::vault(key);
            let read = reader.lead(Epoch(1), &mut entries.clone());
            assert_eq!(read.is_ok(), opens);
        }
    }
}
