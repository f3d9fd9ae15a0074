//! Which agents a framework wants offers of, by their attributes: compiled once, asked for each kind of agent.
//!
//! A role's expression is an OR of groups, each an AND of constraints. A role without an expression takes every agent.

mod pattern;

use crate::config::AgentSpec;
use mezz_proto::v1::scheduler::{self as wire, attribute_constraint as parts};
use mezz_proto::v1::{self, value};
use std::collections::BTreeMap;
use thiserror::Error;

pub(crate) use pattern::Pattern;
pub use pattern::{PatternError, RegexLimits};

/// Why constraints are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConstraintError {
    /// A role without groups.
    #[error(
        "'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role {0}"
    )]
    NoGroups(String),
    /// A group without constraints.
    #[error(
        "'OfferConstraints::RoleConstraints::groups' for role {0} contains an empty RoleConstraints::Group"
    )]
    EmptyGroup(String),
    /// A constraint that says nothing known.
    #[error("A role {role} has an invalid 'AttributeConstraint': {fault}")]
    Invalid {
        /// The role.
        role: String,
        /// What is wrong with the constraint.
        fault: ConstraintFault,
    },
}

/// What is wrong with one constraint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConstraintFault {
    /// Neither an attribute nor a pseudo-attribute.
    #[error(
        "Exactly one of 'AttributeConstraint::Selector::name' or 'AttributeConstraint::Selector::pseudoattribute_type' must be set"
    )]
    NoSelector,
    /// A pseudo-attribute of a later version.
    #[error("Unknown pseudoattribute type")]
    UnknownPseudoattribute,
    /// No predicate, or one of a later version.
    #[error("Unknown predicate type")]
    UnknownPredicate,
    /// A regular expression that is wrong or too large.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

/// The constraints of one framework, by role.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OfferConstraints {
    by_role: BTreeMap<String, Vec<Group>>,
}

/// All of these must hold.
type Group = Vec<Constraint>;

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Constraint {
    selector: Selector,
    predicate: Predicate,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Selector {
    Attribute(String),
    Hostname,
    Region,
    Zone,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
enum Predicate {
    Exists,
    NotExists,
    TextEquals(String),
    TextNotEquals(String),
    TextMatches(Pattern),
    TextNotMatches(Pattern),
}

/// What a selector finds on an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found<'a> {
    Nothing,
    Text(&'a str),
    /// An attribute that is no text: it exists, and no predicate on texts speaks against it.
    NoText,
}

/// Whether what constraints say differs between agents that differ in their host names only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grain {
    Class,
    Agent,
}

impl OfferConstraints {
    /// Compiles the constraints of a SUBSCRIBE or UPDATE_FRAMEWORK call.
    pub fn compile(
        constraints: &wire::OfferConstraints,
        limits: RegexLimits,
    ) -> Result<Self, ConstraintError> {
        let mut by_role = BTreeMap::new();
        // The order of the wire's map is not determined, but which fault is named first must be.
        let sorted: BTreeMap<_, _> = constraints.role_constraints.iter().collect();
        for (role, expression) in sorted {
            if expression.groups.is_empty() {
                return Err(ConstraintError::NoGroups(role.clone()));
            }
            let groups: Result<Vec<Group>, ConstraintError> = expression
                .groups
                .iter()
                .map(|group| compile_group(role, group, limits))
                .collect();
            by_role.insert(role.clone(), groups?);
        }
        Ok(Self { by_role })
    }

    /// Whether agents like this one are offered in the role.
    pub fn admits(&self, role: &str, agent: &AgentSpec) -> bool {
        self.by_role.get(role).is_none_or(|groups| {
            groups
                .iter()
                .any(|group| group.iter().all(|constraint| constraint.holds(agent)))
        })
    }

    pub(crate) fn grain(&self, role: &str) -> Grain {
        let constraints = self.by_role.get(role).into_iter().flatten().flatten();
        let mut selectors = constraints.map(|constraint| &constraint.selector);
        if selectors.any(|selector| *selector == Selector::Hostname) {
            Grain::Agent
        } else {
            Grain::Class
        }
    }
}

fn compile_group(
    role: &str,
    group: &wire::offer_constraints::role_constraints::Group,
    limits: RegexLimits,
) -> Result<Group, ConstraintError> {
    if group.attribute_constraints.is_empty() {
        return Err(ConstraintError::EmptyGroup(role.to_owned()));
    }
    let constraints = group.attribute_constraints.iter();
    let compiled = constraints.map(|constraint| Constraint::compile(constraint, limits));
    compiled
        .collect::<Result<Group, ConstraintFault>>()
        .map_err(|fault| ConstraintError::Invalid {
            role: role.to_owned(),
            fault,
        })
}

impl Constraint {
    fn compile(
        constraint: &wire::AttributeConstraint,
        limits: RegexLimits,
    ) -> Result<Self, ConstraintFault> {
        Ok(Self {
            selector: Selector::compile(&constraint.selector)?,
            predicate: Predicate::compile(&constraint.predicate, limits)?,
        })
    }

    fn holds(&self, agent: &AgentSpec) -> bool {
        self.predicate.holds(self.selector.find(agent))
    }
}

impl Selector {
    fn compile(selector: &parts::Selector) -> Result<Self, ConstraintFault> {
        use parts::selector::{PseudoattributeType, Selector as Wire};
        match &selector.selector {
            None => Err(ConstraintFault::NoSelector),
            Some(Wire::AttributeName(name)) => Ok(Self::Attribute(name.clone())),
            Some(Wire::PseudoattributeType(kind)) => match PseudoattributeType::try_from(*kind) {
                Ok(PseudoattributeType::Hostname) => Ok(Self::Hostname),
                Ok(PseudoattributeType::Region) => Ok(Self::Region),
                Ok(PseudoattributeType::Zone) => Ok(Self::Zone),
                Ok(PseudoattributeType::Unknown) | Err(_) => {
                    Err(ConstraintFault::UnknownPseudoattribute)
                }
            },
        }
    }

    fn find<'a>(&self, agent: &'a AgentSpec) -> Found<'a> {
        let domain = agent.domain.as_ref();
        let text = match self {
            Self::Attribute(name) => return find_attribute(&agent.attributes, name),
            Self::Hostname => Some(agent.hostname.as_str()),
            Self::Region => domain.map(|domain| domain.region.as_str()),
            Self::Zone => domain.map(|domain| domain.zone.as_str()),
        };
        text.map_or(Found::Nothing, Found::Text)
    }
}

/// Of several attributes of one name the first counts.
fn find_attribute<'a>(attributes: &'a [v1::Attribute], name: &str) -> Found<'a> {
    let Some(attribute) = attributes.iter().find(|own| own.name == name) else {
        return Found::Nothing;
    };
    match &attribute.text {
        Some(text) if attribute.r#type() == value::Type::Text => Found::Text(&text.value),
        _ => Found::NoText,
    }
}

impl Predicate {
    fn compile(predicate: &parts::Predicate, limits: RegexLimits) -> Result<Self, ConstraintFault> {
        use parts::predicate::Predicate as Wire;
        let compiled = match predicate.predicate.as_ref() {
            None => return Err(ConstraintFault::UnknownPredicate),
            Some(Wire::Exists(_)) => Self::Exists,
            Some(Wire::NotExists(_)) => Self::NotExists,
            Some(Wire::TextEquals(equals)) => Self::TextEquals(equals.value.clone()),
            Some(Wire::TextNotEquals(equals)) => Self::TextNotEquals(equals.value.clone()),
            Some(Wire::TextMatches(matches)) => {
                Self::TextMatches(Pattern::compile(&matches.regex, limits)?)
            }
            Some(Wire::TextNotMatches(matches)) => {
                Self::TextNotMatches(Pattern::compile(&matches.regex, limits)?)
            }
        };
        Ok(compiled)
    }

    fn holds(&self, found: Found<'_>) -> bool {
        match (self, found) {
            (Self::Exists, found) => found != Found::Nothing,
            (Self::NotExists, found) => found == Found::Nothing,
            (Self::TextEquals(_) | Self::TextMatches(_), Found::Nothing) => false,
            (Self::TextNotEquals(_) | Self::TextNotMatches(_), Found::Nothing)
            | (_, Found::NoText) => true,
            (Self::TextEquals(wanted), Found::Text(text)) => text == wanted,
            (Self::TextNotEquals(wanted), Found::Text(text)) => text != wanted,
            (Self::TextMatches(pattern), Found::Text(text)) => pattern.matches(text),
            (Self::TextNotMatches(pattern), Found::Text(text)) => !pattern.matches(text),
        }
    }
}
