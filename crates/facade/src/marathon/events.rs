//! Marathon's event stream, made of facts.

/// Which types a reader wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter(Vec<String>);

impl EventFilter {
    /// These types; all of them when none is named.
    pub fn new(types: impl Iterator<Item = String>) -> Self {
        Self(types.collect())
    }

    /// Whether a reader gets events of a type.
    pub fn wants(&self, kind: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|wanted| wanted == kind)
    }
}
