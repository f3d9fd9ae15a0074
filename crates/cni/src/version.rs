//! The versions of the interface: what each can do, and which one a network is driven with.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version of the interface that this client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Version {
    /// 0.1.0, also meant by a configuration that names none.
    V0_1_0,
    /// 0.2.0: the VERSION command.
    V0_2_0,
    /// 0.3.0: lists of plugins; results with interfaces.
    V0_3_0,
    /// 0.3.1: capabilities.
    V0_3_1,
    /// 0.4.0: CHECK; DEL is told the result of ADD.
    V0_4_0,
    /// 1.0.0: addresses without a version of their own.
    V1_0_0,
    /// 1.1.0: GC and STATUS.
    V1_1_0,
}

/// A text that is no version this client speaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no version of CNI that is supported; supported: {list}", list = Version::listed())]
pub struct UnknownVersion(pub String);

impl Version {
    /// All versions, the oldest first.
    pub const ALL: [Self; 7] = [
        Self::V0_1_0,
        Self::V0_2_0,
        Self::V0_3_0,
        Self::V0_3_1,
        Self::V0_4_0,
        Self::V1_0_0,
        Self::V1_1_0,
    ];

    /// As it stands in `cniVersion`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// Whether results name interfaces, and plugins can be chained by them.
    pub fn has_chains(self) -> bool {
        self >= Self::V0_3_0
    }

    /// Whether plugins know CHECK, and take the result of ADD when they delete.
    pub fn has_check(self) -> bool {
        self >= Self::V0_4_0
    }

    /// Whether plugins know GC and STATUS.
    pub fn has_garbage_collection(self) -> bool {
        self >= Self::V1_1_0
    }

    /// The highest of `configured` that every plugin supports; plugins that were not asked are left out of `plugins`.
    pub fn negotiate(configured: &BTreeSet<Self>, plugins: &[BTreeSet<Self>]) -> Option<Self> {
        let by_all = |version: &&Self| plugins.iter().all(|plugin| plugin.contains(version));
        configured.iter().rev().find(by_all).copied()
    }

    fn listed() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
            .ok_or_else(|| UnknownVersion(text.to_owned()))
    }
}

impl TryFrom<String> for Version {
    type Error = UnknownVersion;

    fn try_from(text: String) -> Result<Self, UnknownVersion> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_they_came_out() {
        assert!(Version::ALL.is_sorted());
        for version in Version::ALL {
            assert_eq!(version.as_str().parse(), Ok(version));
        }
    }

    #[test]
    fn an_unknown_version_names_those_that_are_known() {
        let error = "2.0.0".parse::<Version>().unwrap_err().to_string();
        assert!(
            error.contains("\"2.0.0\"") && error.contains("1.1.0"),
            "{error}"
        );
    }

    #[test]
    fn the_highest_version_that_all_plugins_know_is_taken() {
        let configured = BTreeSet::from([Version::V0_4_0, Version::V1_0_0, Version::V1_1_0]);
        let old = BTreeSet::from([Version::V0_3_1, Version::V0_4_0, Version::V1_0_0]);
        let new = BTreeSet::from(Version::ALL);
        let negotiated = Version::negotiate(&configured, &[new.clone(), old]);
        assert_eq!(negotiated, Some(Version::V1_0_0));
        assert_eq!(Version::negotiate(&configured, &[]), Some(Version::V1_1_0));
        let ancient = BTreeSet::from([Version::V0_1_0]);
        assert_eq!(Version::negotiate(&configured, &[new, ancient]), None);
    }
}
