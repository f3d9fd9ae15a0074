//! Placement as users write it, in the words of the ledger. Labels of other objects become their groups here.

use mezz_sched::{GroupKey, Packing, PlaceKey, PlaceTest, Rule, Rules, Spread};
use mezz_spec::Kind;
use mezz_spec::placement::{self, Key, Operator, Placement, Selector};

use crate::key::ObjectKey;
use crate::workloads::Workloads;

/// Where the instances of an object are counted.
pub(crate) fn group(object: ObjectKey) -> GroupKey {
    GroupKey(u64::from(object.0))
}

impl Workloads {
    /// The rules of a placement as things stand.
    pub(crate) fn rules(&self, placement: &Placement) -> Rules {
        Rules {
            require: placement
                .require
                .iter()
                .map(|rule| rule_of(&rule.key, rule.op, &rule.values))
                .collect(),
            prefer: placement
                .prefer
                .iter()
                .map(|wish| (rule_of(&wish.key, wish.op, &wish.values), wish.weight))
                .collect(),
            spread: placement.spread.iter().map(spread).collect(),
            near: placement
                .near
                .iter()
                .map(|selector| self.groups_with(selector))
                .collect(),
            away: placement
                .away
                .iter()
                .flat_map(|selector| self.groups_with(selector))
                .collect(),
            same: placement.same.iter().map(place_key).collect(),
            packing: match placement.packing {
                placement::Packing::Inherit => Packing::Inherit,
                placement::Packing::Binpack => Packing::Binpack,
                placement::Packing::Spread => Packing::Spread,
            },
        }
    }

    /// The objects that have all these labels.
    fn groups_with(&self, selector: &Selector) -> Vec<GroupKey> {
        [Kind::Service, Kind::Job]
            .into_iter()
            .flat_map(|kind| self.of_kind(kind))
            .filter(|(name, key)| {
                self.object_at(*key).is_some_and(|object| {
                    let labels = self.inherited(name).labels_with(&object.labels);
                    selector
                        .labels
                        .iter()
                        .all(|(label, value)| labels.get(label) == Some(value))
                })
            })
            .map(|(_, key)| group(key))
            .collect()
    }
}

fn place_key(key: &Key) -> PlaceKey {
    match key {
        Key::Hostname => PlaceKey::Hostname,
        Key::Agent => PlaceKey::Agent,
        Key::Region => PlaceKey::Region,
        Key::Zone => PlaceKey::Zone,
        Key::Attribute(name) => PlaceKey::Attribute(name.as_str().into()),
    }
}

fn rule_of(key: &Key, op: Operator, values: &[String]) -> Rule {
    let number = || values.first().map_or(0, |value| thousandths(value));
    let test = match op {
        Operator::In => PlaceTest::In(values.to_vec()),
        Operator::NotIn => PlaceTest::NotIn(values.to_vec()),
        Operator::Matches => PlaceTest::Matches(values.to_vec()),
        Operator::NotMatches => PlaceTest::NotMatches(values.to_vec()),
        Operator::Exists => PlaceTest::Exists,
        Operator::Absent => PlaceTest::Absent,
        Operator::AtLeast => PlaceTest::AtLeast(number()),
        Operator::AtMost => PlaceTest::AtMost(number()),
    };
    Rule {
        key: place_key(key),
        test,
    }
}

fn spread(spread: &placement::Spread) -> Spread {
    Spread {
        key: place_key(&spread.key),
        max_per: spread.max_per,
        max_skew: spread.max_skew,
        expected: spread.expected,
    }
}

/// A decimal number, checked by the spec's rules, in thousandths.
fn thousandths(text: &str) -> i64 {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let decimals: String = decimals.chars().chain("000".chars()).take(3).collect();
    let whole: i64 = whole.parse().unwrap_or(0);
    let decimals: i64 = decimals.parse().unwrap_or(0);
    sign * whole.saturating_mul(1_000).saturating_add(decimals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_rules_are_read_in_thousandths() {
        for (text, wanted) in [("7", 7_000), ("0.25", 250), ("-1.5", -1_500)] {
            assert_eq!(thousandths(text), wanted);
        }
    }
}
