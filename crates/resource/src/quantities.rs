//! Scalar quantities by name, without reservations or allocations.

use crate::resource::Name;
use crate::scalar::Scalar;
use std::fmt;
use std::ops::{AddAssign, SubAssign};
use thiserror::Error;

/// Why a text of quantities is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuantitiesError {
    /// Not `name:number`.
    #[error("'{0}' is not of the form name:number")]
    Form(String),
    /// The part after the colon.
    #[error("'{value}' is not a quantity of {name}: it must be a number of at least 0")]
    Number {
        /// The resource.
        name: String,
        /// The text at fault.
        value: String,
    },
}

/// Quantities sorted by name, without zeros.
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
pub struct Quantities(Vec<(Name, Scalar)>);

impl Quantities {
    /// No quantities.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The quantities in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, Scalar)> {
        self.0.iter().map(|(name, scalar)| (name, *scalar))
    }

    /// The quantity of one name.
    pub fn get(&self, name: &str) -> Scalar {
        self.iter()
            .find(|(own, _)| own.as_str() == name)
            .map_or(Scalar::ZERO, |(_, scalar)| scalar)
    }

    /// Adds to one name.
    pub fn add(&mut self, name: Name, scalar: Scalar) {
        match self.0.binary_search_by(|(own, _)| own.cmp(&name)) {
            Ok(at) => {
                self.0[at].1 += scalar;
                if self.0[at].1.is_zero() {
                    self.0.remove(at);
                }
            }
            Err(_) if scalar.is_zero() => {}
            Err(at) => self.0.insert(at, (name, scalar)),
        }
    }

    /// Whether at least so much of each name is here.
    pub fn contains(&self, other: &Self) -> bool {
        other
            .iter()
            .all(|(name, wanted)| self.get(name.as_str()) >= wanted)
    }

    /// What is left after taking `other` away; never below zero.
    pub fn saturating_sub(&self, other: &Self) -> Self {
        self.iter()
            .map(|(name, own)| (name.clone(), own.saturating_sub(other.get(name.as_str()))))
            .collect()
    }

    /// Parses `cpus:1;mem:128`.
    pub fn parse(text: &str) -> Result<Self, QuantitiesError> {
        let mut list = Self::new();
        for token in text
            .split(';')
            .map(str::trim)
            .filter(|token| !token.is_empty())
        {
            let (name, value) = token
                .split_once(':')
                .ok_or_else(|| QuantitiesError::Form(token.to_owned()))?;
            let (name, value) = (name.trim(), value.trim());
            if name.is_empty() {
                return Err(QuantitiesError::Form(token.to_owned()));
            }
            let scalar = value
                .parse()
                .ok()
                .and_then(Scalar::from_f64)
                .filter(|s| *s >= Scalar::ZERO);
            let scalar = scalar.ok_or_else(|| QuantitiesError::Number {
                name: name.to_owned(),
                value: value.to_owned(),
            })?;
            list.add(name.into(), scalar);
        }
        Ok(list)
    }

    /// Parses alternatives such as `cpus:0.01|mem:32`, the form of `--min_allocatable_resources`.
    pub fn parse_alternatives(text: &str) -> Result<Vec<Self>, QuantitiesError> {
        text.split('|')
            .filter(|part| !part.trim().is_empty())
            .map(Self::parse)
            .collect()
    }
}

impl FromIterator<(Name, Scalar)> for Quantities {
    fn from_iter<I: IntoIterator<Item = (Name, Scalar)>>(entries: I) -> Self {
        let mut list = Self::new();
        for (name, scalar) in entries {
            list.add(name, scalar);
        }
        list
    }
}

impl AddAssign<&Quantities> for Quantities {
    fn add_assign(&mut self, other: &Quantities) {
        for (name, scalar) in other.iter() {
            self.add(name.clone(), scalar);
        }
    }
}

impl SubAssign<&Quantities> for Quantities {
    /// Never below zero.
    fn sub_assign(&mut self, other: &Quantities) {
        *self = self.saturating_sub(other);
    }
}

impl fmt::Display for Quantities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        for (index, (name, scalar)) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{name}:{scalar}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_of_the_default_minimum_parse() {
        let list = Quantities::parse_alternatives("cpus:0.01|mem:32").unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].get("cpus"), Scalar(10));
        assert_eq!(list[1].to_string(), "mem:32");
        assert!(Quantities::parse_alternatives("").unwrap().is_empty());
    }

    #[test]
    fn bad_quantities_name_what_is_wrong() {
        let message = Quantities::parse("cpus:-1").unwrap_err().to_string();
        assert!(
            message.contains("'-1' is not a quantity of cpus"),
            "{message}"
        );
        assert!(Quantities::parse("cpus").is_err());
    }

    #[test]
    fn subtraction_stops_at_zero() {
        let mut left = Quantities::parse("cpus:1;mem:10").unwrap();
        left -= &Quantities::parse("cpus:2;mem:4").unwrap();
        assert_eq!(left.to_string(), "mem:6");
    }
}
