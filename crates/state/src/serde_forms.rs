//! Forms in which parts of the state are written into a snapshot: the same bytes for the same state.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map as its entries in the order of its keys.
pub mod sorted {
    use std::hash::Hash;

    use rustc_hash::FxHashMap;

    use super::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::implicit_hasher, reason = "the one hasher of the cores")]
    pub fn serialize<K, V, S>(map: &FxHashMap<K, V>, serializer: S) -> Result<S::Ok, S::Error>
    where
        K: Serialize + Ord,
        V: Serialize,
        S: Serializer,
    {
        let mut entries: Vec<(&K, &V)> = map.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        serializer.collect_seq(entries)
    }

    pub fn deserialize<'de, K, V, D>(deserializer: D) -> Result<FxHashMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Eq + Hash,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?
            .into_iter()
            .collect())
    }
}

/// An array longer than serde knows.
pub mod array {
    use super::{Deserialize, Deserializer, Error, Serializer};

    pub fn serialize<S: Serializer, const N: usize>(
        array: &[u64; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(array)
    }

    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u64; N], D::Error> {
        Vec::deserialize(deserializer)?
            .try_into()
            .map_err(|list: Vec<u64>| D::Error::invalid_length(list.len(), &"one for each counter"))
    }
}
