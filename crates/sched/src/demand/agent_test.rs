//! What rules look at on an agent, and their tests, compiled once for a shape.

use std::borrow::Cow;
use std::collections::BTreeSet;

use mezz_proto::v1::{self, value};
use mezz_resource::Scalar;

use super::{PlaceKey, PlaceTest, Rule};
use crate::config::AgentSpec;
use crate::constraints::Pattern;

/// A value of an agent.
#[derive(Debug, PartialEq)]
pub(super) enum Found<'a> {
    Text(Cow<'a, str>),
    Number(Scalar),
}

impl Found<'_> {
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Number(number) => Cow::Owned(number.to_string()),
        }
    }

    fn number(&self) -> Option<Scalar> {
        match self {
            Self::Text(text) => text.trim().parse().ok().and_then(Scalar::from_f64),
            Self::Number(number) => Some(*number),
        }
    }
}

impl PlaceKey {
    /// Its value on an agent; of several attributes of one name the first counts.
    pub(super) fn find<'a>(&self, agent: &'a AgentSpec) -> Option<Found<'a>> {
        let domain = agent.domain.as_ref();
        let text = match self {
            Self::Hostname => Some(agent.hostname.as_str()),
            Self::Agent => Some(agent.id.as_str()),
            Self::Region => domain.map(|domain| domain.region.as_str()),
            Self::Zone => domain.map(|domain| domain.zone.as_str()),
            Self::Attribute(name) => {
                let mut attributes = agent.attributes.iter();
                return find_attribute(attributes.find(|own| own.name == **name)?);
            }
        };
        text.map(|text| Found::Text(Cow::Borrowed(text)))
    }

    /// Whether agents that differ in nothing else can differ in it.
    pub(super) fn tells_agents_apart(&self) -> bool {
        matches!(self, Self::Hostname | Self::Agent)
    }
}

fn find_attribute(attribute: &v1::Attribute) -> Option<Found<'_>> {
    match attribute.r#type() {
        value::Type::Text => {
            let text = attribute.text.as_ref()?;
            Some(Found::Text(Cow::Borrowed(&text.value)))
        }
        value::Type::Scalar => {
            Scalar::from_f64(attribute.scalar.as_ref()?.value).map(Found::Number)
        }
        value::Type::Ranges => {
            let ranges = attribute.ranges.as_ref()?.range.iter();
            let list: Vec<String> = ranges
                .map(|range| format!("{}-{}", range.begin, range.end))
                .collect();
            Some(Found::Text(Cow::Owned(format!("[{}]", list.join(",")))))
        }
        value::Type::Set => {
            let items = &attribute.set.as_ref()?.item;
            Some(Found::Text(Cow::Owned(format!("{{{}}}", items.join(",")))))
        }
    }
}

/// A rule, ready to be asked.
#[derive(Debug, Clone)]
pub(super) struct AgentTest {
    key: PlaceKey,
    check: Check,
}

#[derive(Debug, Clone)]
enum Check {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Matches(Vec<Pattern>),
    NotMatches(Vec<Pattern>),
    Exists,
    Absent,
    AtLeast(Scalar),
    AtMost(Scalar),
}

impl AgentTest {
    pub(super) fn new(rule: &Rule) -> Self {
        let set = |values: &[String]| values.iter().cloned().collect();
        // They were checked when the demand was written: one that does not compile matches nothing.
        let patterns = |list: &[String]| {
            list.iter()
                .filter_map(|pattern| Pattern::try_from(pattern.clone()).ok())
                .collect()
        };
        let check = match &rule.test {
            PlaceTest::In(values) => Check::In(set(values)),
            PlaceTest::NotIn(values) => Check::NotIn(set(values)),
            PlaceTest::Matches(list) => Check::Matches(patterns(list)),
            PlaceTest::NotMatches(list) => Check::NotMatches(patterns(list)),
            PlaceTest::Exists => Check::Exists,
            PlaceTest::Absent => Check::Absent,
            PlaceTest::AtLeast(bound) => Check::AtLeast(Scalar(*bound)),
            PlaceTest::AtMost(bound) => Check::AtMost(Scalar(*bound)),
        };
        Self {
            key: rule.key.clone(),
            check,
        }
    }

    pub(super) fn passes(&self, agent: &AgentSpec) -> bool {
        let Some(found) = self.key.find(agent) else {
            return matches!(
                self.check,
                Check::NotIn(_) | Check::NotMatches(_) | Check::Absent
            );
        };
        match &self.check {
            Check::In(values) => values.contains(&*found.text()),
            Check::NotIn(values) => !values.contains(&*found.text()),
            Check::Matches(list) => list.iter().any(|own| own.matches(&found.text())),
            Check::NotMatches(list) => !list.iter().any(|own| own.matches(&found.text())),
            Check::Exists => true,
            Check::Absent => false,
            Check::AtLeast(bound) => found.number().is_some_and(|number| number >= *bound),
            Check::AtMost(bound) => found.number().is_some_and(|number| number <= *bound),
        }
    }
}
