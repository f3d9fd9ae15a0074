//! Reservations and their labels.

use std::fmt;

/// How a reservation came to be.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum ReservationKind {
    /// Given with the agent's resources.
    Static,
    /// Made by an operation.
    Dynamic,
}

/// Free-form labels, sorted, since their order means nothing.
#[derive(
    Debug,
    Clone,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Labels(Vec<(String, Option<String>)>);

impl Labels {
    /// The labels in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_deref()))
    }
}

impl FromIterator<(String, Option<String>)> for Labels {
    fn from_iter<I: IntoIterator<Item = (String, Option<String>)>>(labels: I) -> Self {
        let mut list: Vec<_> = labels.into_iter().collect();
        list.sort_unstable();
        Self(list)
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (key, value)) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{key}")?;
            if let Some(value) = value {
                write!(f, ": {value}")?;
            }
        }
        f.write_str("}")
    }
}

/// One level of a reservation stack.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Reservation {
    /// Static or dynamic.
    pub kind: ReservationKind,
    /// The role that may use the resource.
    pub role: String,
    /// Who reserved it.
    pub principal: Option<String>,
    /// Labels that keep reservations of one role apart.
    pub labels: Option<Labels>,
}

impl fmt::Display for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ReservationKind::Static => "STATIC",
            ReservationKind::Dynamic => "DYNAMIC",
        };
        write!(f, "{kind},{}", self.role)?;
        if let Some(principal) = &self.principal {
            write!(f, ",{principal}")?;
        }
        if let Some(labels) = &self.labels {
            write!(f, ",{labels}")?;
        }
        Ok(())
    }
}
