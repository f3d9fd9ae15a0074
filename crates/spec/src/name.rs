//! Names of objects: paths whose leading components are the role.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest name.
pub const MAX_NAME_BYTES: usize = 200;
/// The longest component of a name.
pub const MAX_COMPONENT_BYTES: usize = 63;

/// Why a text is no name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NameError {
    #[error("a name is empty; write something like /team/app")]
    Empty,
    #[error("'{0}' has an empty component; write one slash between components")]
    EmptyComponent(String),
    #[error(
        "'{component}' in '{name}' is not of lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
    )]
    Component { name: String, component: String },
    #[error(
        "'{0}' is longer than {MAX_NAME_BYTES} bytes, or a component than {MAX_COMPONENT_BYTES}"
    )]
    TooLong(String),
}

/// A path such as `/team/app/web`: components of `[a-z0-9.-]`, as in Marathon. Written with or without the first slash,
/// kept with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A path such as /team/app/web: components of a-z, 0-9, '-' and '.'; with or without the first slash.",
            "type": "string",
            "format": "name",
            "minLength": 1,
            "maxLength": MAX_NAME_BYTES + 1,
            "pattern": "^/?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(/[a-z0-9]([a-z0-9.-]*[a-z0-9])?)*$",
        })
    }
}

impl Name {
    /// Reads a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let inner = text.strip_prefix('/').unwrap_or(text);
        if inner.is_empty() {
            return Err(NameError::Empty);
        }
        if inner.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong(text.into()));
        }
        for component in inner.split('/') {
            check_component(text, component)?;
        }
        Ok(Self(format!("/{inner}")))
    }

    /// With its first slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its components, outermost first.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0[1..].split('/')
    }

    /// The last component.
    pub fn last(&self) -> &str {
        self.components()
            .next_back()
            .expect("a name has a component")
    }

    /// The group that it lies in; none at the top.
    pub fn parent(&self) -> Option<Self> {
        let (head, _) = self.0.rsplit_once('/')?;
        (!head.is_empty()).then(|| Self(head.to_owned()))
    }

    /// Whether it is `group` or lies below it.
    pub fn is_within(&self, group: &Self) -> bool {
        self.0
            .strip_prefix(group.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The role of what has this name, unless its spec says another: the leading components; `*` at the top.
    pub fn role(&self) -> String {
        self.parent()
            .map_or_else(|| "*".into(), |parent| parent.0[1..].to_owned())
    }
}

fn check_component(name: &str, component: &str) -> Result<(), NameError> {
    if component.is_empty() {
        return Err(NameError::EmptyComponent(name.into()));
    }
    if component.len() > MAX_COMPONENT_BYTES {
        return Err(NameError::TooLong(name.into()));
    }
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let is_good = bytes
        .iter()
        .all(|byte| is_plain(*byte) || matches!(byte, b'-' | b'.'))
        && bytes.first().is_some_and(|byte| is_plain(*byte))
        && bytes.last().is_some_and(|byte| is_plain(*byte));
    if is_good {
        Ok(())
    } else {
        Err(NameError::Component {
            name: name.into(),
            component: component.into(),
        })
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
