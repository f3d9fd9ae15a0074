//! Resources in the words that Mesos uses in its messages.

use crate::resource::{Resource, Value};
use crate::resources::Resources;
use std::fmt;

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(scalar) => write!(f, "{scalar}"),
            Self::Ranges(ranges) => write!(f, "{ranges}"),
            Self::Set(set) => {
                f.write_str("{")?;
                for (index, item) in set.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{item}")?;
                }
                f.write_str("}")
            }
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())?;
        if let Some(role) = self.allocation_role() {
            write!(f, "(allocated: {role})")?;
        }
        if !self.reservations().is_empty() {
            f.write_str("(reservations: [")?;
            for (index, reservation) in self.reservations().iter().enumerate() {
                let separator = if index == 0 { "" } else { "," };
                write!(f, "{separator}({reservation})")?;
            }
            f.write_str("])")?;
        }
        if let Some(disk) = self.disk() {
            write!(f, "[{disk}]")?;
        }
        if self.is_revocable() {
            f.write_str("{REV}")?;
        }
        if self.is_shared() {
            f.write_str("<SHARED>")?;
        }
        write!(f, ":{}", self.value())?;
        if self.is_shared() {
            write!(f, "<{}>", self.copies())?;
        }
        Ok(())
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        for (index, resource) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{resource}")?;
        }
        Ok(())
    }
}
