//! Rules in words.

use std::fmt;

use mezz_resource::Scalar;

use super::{PlaceKey, PlaceTest, Rule};

impl fmt::Display for PlaceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hostname => "hostname",
            Self::Agent => "agent",
            Self::Region => "region",
            Self::Zone => "zone",
            Self::Attribute(name) => name,
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operator, values) = match &self.test {
            PlaceTest::In(values) => ("in", values),
            PlaceTest::NotIn(values) => ("not_in", values),
            PlaceTest::Matches(values) => ("matches", values),
            PlaceTest::NotMatches(values) => ("not_matches", values),
            PlaceTest::Exists => return write!(f, "{} exists", self.key),
            PlaceTest::Absent => return write!(f, "{} absent", self.key),
            PlaceTest::AtLeast(bound) => {
                return write!(f, "{} at_least {}", self.key, Scalar(*bound));
            }
            PlaceTest::AtMost(bound) => {
                return write!(f, "{} at_most {}", self.key, Scalar(*bound));
            }
        };
        write!(f, "{} {operator} [{}]", self.key, values.join(", "))
    }
}
