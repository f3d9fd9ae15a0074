//! The names of containers, networks and interfaces, held to the rules of the interface and of the kernel.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name that the interface does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Neither a container nor a network may be named so.
    #[error(
        "{what} \"{text}\" must begin with a letter or digit and hold only letters, digits, `_`, `.` and `-`"
    )]
    Name {
        /// What was to be named.
        what: &'static str,
        /// The name.
        text: String,
    },
    /// The kernel takes no interface of this name.
    #[error(
        "interface name \"{0}\" must have 1 to 15 bytes without `/`, `:` or white space, and be neither `.` nor `..`"
    )]
    Interface(String),
}

/// The id of a container, as plugins are told it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

/// The name of a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkName(String);

/// The name of an interface within a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceName(String);

/// What the kernel holds of an interface's name, without the closing zero.
const INTERFACE_BYTES: usize = 15;

impl ContainerId {
    /// Takes an id that the interface allows.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        named("container id", text.into()).map(Self)
    }
}

impl NetworkName {
    /// Takes a name that the interface allows.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        named("network name", text.into()).map(Self)
    }
}

impl InterfaceName {
    /// Takes a name that the kernel allows.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        let text = text.into();
        let has_bad = text
            .chars()
            .any(|c| c == '/' || c == ':' || c.is_whitespace() || c == '\0');
        if text.is_empty() || text.len() > INTERFACE_BYTES || has_bad || text == "." || text == ".."
        {
            return Err(IdError::Interface(text));
        }
        Ok(Self(text))
    }

    /// `eth0`, `eth1`, … : what the container's networks are called in their order.
    pub fn numbered(index: usize) -> Self {
        Self(format!("eth{index}"))
    }
}

fn named(what: &'static str, text: String) -> Result<String, IdError> {
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if begins_well && text.chars().all(is_allowed) {
        Ok(text)
    } else {
        Err(IdError::Name { what, text })
    }
}

macro_rules! text_of {
    ($($name:ident),*) => {$(
        impl $name {
            /// As it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    )*};
}

text_of!(ContainerId, NetworkName, InterfaceName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_their_folder_are_refused() {
        for bad in ["", "..", ".hidden", "a/b", "-x", "a b", "ü"] {
            assert!(ContainerId::new(bad).is_err(), "{bad}");
            assert!(NetworkName::new(bad).is_err(), "{bad}");
        }
        for good in ["5baff64c-d028", "parent.child", "net_1", "0"] {
            assert!(ContainerId::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn interface_names_are_those_of_the_kernel() {
        for bad in ["", ".", "..", "a/b", "a:1", "a b", "sixteencharacter"] {
            assert!(InterfaceName::new(bad).is_err(), "{bad}");
        }
        assert!(InterfaceName::new("fifteencharacte").is_ok());
        assert_eq!(InterfaceName::numbered(2).as_str(), "eth2");
    }
}
