//! Resources as flags give them: `cpus:4;mem:1024;ports:[31000-32000];disk(role):10`, or a JSON array.

use crate::reservation::{Reservation, ReservationKind};
use crate::resource::{Name, Resource, Traits, Value};
use crate::resources::Resources;
use crate::role::{STAR, validate_role};
use crate::scalar::Scalar;
use crate::validation::{ResourceError, ResourceProblem};
use crate::value_text::{ValueText, parse_value};
use mezz_proto::v1;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use thiserror::Error;

/// Why a text of resources is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResourceTextError {
    /// No colon, or more than one.
    #[error("Bad value for resources, missing or extra ':' in {0}")]
    Colon(String),
    /// `cpus(role:4`.
    #[error("Bad value for resources, mismatched parentheses in {0}")]
    Parentheses(String),
    /// The part after the colon.
    #[error("Failed to parse resource {name} value {value} error {error}")]
    Value {
        /// The resource.
        name: String,
        /// The text at fault.
        value: String,
        /// What is wrong.
        error: String,
    },
    /// Text is no value of a resource.
    #[error("Bad type for resource {name} value {value} type TEXT")]
    Type {
        /// The resource.
        name: String,
        /// The text at fault.
        value: String,
    },
    /// The JSON does not have the shape of a resource.
    #[error("Some JSON resources were not formatted properly: {0}")]
    Json(String),
    /// A resource that breaks a rule.
    #[error(transparent)]
    Invalid(#[from] ResourceError),
    /// Something that flags may not say.
    #[error("{0}")]
    NotFromFlags(&'static str),
    /// One name with two kinds of value.
    #[error("Resources with the same name ('{0}') but different types are not allowed")]
    TwoKinds(String),
}

/// Reads resources of a flag in either form; those without a role get the default role.
pub fn parse(text: &str, default_role: &str) -> Result<Resources, ResourceTextError> {
    if !text.trim_start().starts_with('[') {
        return parse_text(text, default_role);
    }
    let array: Vec<Json> =
        serde_json::from_str(text).map_err(|error| ResourceTextError::Json(error.to_string()))?;
    let protos: Result<Vec<_>, _> = array
        .iter()
        .enumerate()
        .map(|(index, json)| resource_from_json(json, index, default_role))
        .collect();
    let resources = Resources::from_proto(&protos?)?;
    check_flag_rules(&resources)?;
    Ok(resources)
}

/// Reads resources of a flag in the short text form.
pub fn parse_text(text: &str, default_role: &str) -> Result<Resources, ResourceTextError> {
    let mut resources = Resources::new();
    let tokens = text.split(';').filter(|token| !token.trim().is_empty());
    for (index, token) in tokens.enumerate() {
        resources.push(parse_token(token.trim(), index, default_role)?);
    }
    check_flag_rules(&resources)?;
    Ok(resources)
}

fn parse_token(
    token: &str,
    index: usize,
    default_role: &str,
) -> Result<Resource, ResourceTextError> {
    let mut parts = token.split(':');
    let (Some(head), Some(value), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(ResourceTextError::Colon(token.to_owned()));
    };
    let (name, role) = match head.find('(') {
        None => (head.trim(), default_role),
        Some(open) => match head.find(')') {
            Some(close) if close > open => (head[..open].trim(), head[open + 1..close].trim()),
            _ => return Err(ResourceTextError::Parentheses(token.to_owned())),
        },
    };
    let invalid = |problem: ResourceProblem| ResourceError {
        index,
        text: token.to_owned(),
        problem,
    };
    if name.is_empty() {
        return Err(invalid(ResourceProblem::EmptyName).into());
    }
    validate_role(role).map_err(|error| invalid(error.into()))?;
    let value = resource_value(name, value, invalid)?;
    let reservations = match role {
        STAR => Vec::new(),
        role => vec![Reservation {
            kind: ReservationKind::Static,
            role: role.to_owned(),
            principal: None,
            labels: None,
        }],
    };
    Ok(Resource::new(
        Name::from(name),
        Traits {
            reservations,
            ..Traits::default()
        },
        value,
    ))
}

fn resource_value(
    name: &str,
    text: &str,
    invalid: impl Fn(ResourceProblem) -> ResourceError,
) -> Result<Value, ResourceTextError> {
    let parsed = parse_value(text).map_err(|error| ResourceTextError::Value {
        name: name.to_owned(),
        value: text.to_owned(),
        error: error.to_string(),
    })?;
    match parsed {
        ValueText::Scalar(number) => Ok(Value::Scalar(scalar_of(number).map_err(invalid)?)),
        ValueText::Ranges(ranges) => Ok(Value::Ranges(ranges)),
        ValueText::Set(items) => {
            let count = items.len();
            let set: BTreeSet<String> = items.into_iter().collect();
            if set.len() != count {
                return Err(invalid(ResourceProblem::DuplicatedElements).into());
            }
            Ok(Value::Set(set))
        }
        ValueText::Text(value) => Err(ResourceTextError::Type {
            name: name.to_owned(),
            value,
        }),
    }
}

fn scalar_of(number: f64) -> Result<Scalar, ResourceProblem> {
    match Scalar::from_f64(number) {
        None => Err(ResourceProblem::TooLarge),
        Some(scalar) if scalar.is_zero() && number > 0.0 => Err(ResourceProblem::NotPositive),
        Some(scalar) => Ok(scalar),
    }
}

fn check_flag_rules(resources: &Resources) -> Result<(), ResourceTextError> {
    for resource in resources {
        if resource.is_persistent_volume() {
            return Err(ResourceTextError::NotFromFlags(
                "Persistent volumes cannot be specified at the command line",
            ));
        }
        if resource.is_revocable() {
            return Err(ResourceTextError::NotFromFlags(
                "Revocable resources cannot be specified at the command line; do not include a 'revocable' key in the resources JSON",
            ));
        }
        let last = resource.reservations().last();
        if last.is_some_and(|reservation| reservation.kind == ReservationKind::Dynamic) {
            return Err(ResourceTextError::NotFromFlags(
                "Dynamic reservations cannot be specified at the command line; do not include a reservation with DYNAMIC type in the resources JSON",
            ));
        }
    }
    let kinds = |resource: &Resource| std::mem::discriminant(resource.value());
    let list: Vec<_> = resources.iter().collect();
    for pair in list.windows(2) {
        if pair[0].name() == pair[1].name() && kinds(pair[0]) != kinds(pair[1]) {
            return Err(ResourceTextError::TwoKinds(pair[0].name().to_string()));
        }
    }
    Ok(())
}

#[allow(deprecated)] // the old form is a fact of the wire
fn resource_from_json(
    json: &Json,
    index: usize,
    default_role: &str,
) -> Result<v1::Resource, ResourceTextError> {
    let shape = |text: String| ResourceTextError::Json(format!("resource {index}: {text}"));
    let field = |name: &str| json.get(name).filter(|value| !value.is_null());
    let name = field("name")
        .and_then(Json::as_str)
        .ok_or_else(|| shape("'name' must be a string".into()))?;
    let kind = field("type")
        .and_then(Json::as_str)
        .ok_or_else(|| shape("'type' must be a string".into()))?;
    let kind = v1::value::Type::from_str_name(kind)
        .ok_or_else(|| shape(format!("unknown type '{kind}'")))?;
    let mut resource = v1::Resource {
        name: name.to_owned(),
        r#type: kind as i32,
        ..Default::default()
    };
    if let Some(scalar) = field("scalar") {
        let value = scalar.get("value").and_then(Json::as_f64);
        let value = value.ok_or_else(|| shape("'scalar.value' must be a number".into()))?;
        resource.scalar = Some(v1::value::Scalar { value });
    }
    if let Some(ranges) = field("ranges") {
        resource.ranges = Some(crate::attributes::ranges_from_json(ranges).map_err(shape)?);
    }
    if let Some(set) = field("set") {
        resource.set = Some(crate::attributes::set_from_json(set).map_err(shape)?);
    }
    if let Some(role) = field("role") {
        let role = role
            .as_str()
            .ok_or_else(|| shape("'role' must be a string".into()))?;
        resource.role = Some(role.to_owned());
    }
    resource.reservations = reservations_from_json(json).map_err(shape)?;
    resource.disk = disk_from_json(json).map_err(shape)?.map(Box::new);
    resource.revocable = field("revocable").map(|_| v1::resource::RevocableInfo {});
    if field("reservation").is_some() {
        return Err(ResourceTextError::NotFromFlags(
            "Dynamic reservations cannot be specified at the command line; do not include a reservation with DYNAMIC type in the resources JSON",
        ));
    }
    if resource.role.is_none() && resource.reservations.is_empty() {
        resource.role = Some(default_role.to_owned());
    }
    Ok(resource)
}

fn reservations_from_json(json: &Json) -> Result<Vec<v1::resource::ReservationInfo>, String> {
    let Some(list) = json.get("reservations").filter(|value| !value.is_null()) else {
        return Ok(Vec::new());
    };
    let list = list.as_array().ok_or("'reservations' must be an array")?;
    list.iter()
        .map(|entry| {
            let kind = match entry.get("type").and_then(Json::as_str) {
                None => None,
                Some(name) => Some(
                    v1::resource::reservation_info::Type::from_str_name(name)
                        .ok_or_else(|| format!("unknown reservation type '{name}'"))?
                        as i32,
                ),
            };
            let text = |key: &str| entry.get(key).and_then(Json::as_str).map(str::to_owned);
            Ok(v1::resource::ReservationInfo {
                r#type: kind,
                role: text("role"),
                principal: text("principal"),
                labels: None,
            })
        })
        .collect()
}

fn disk_from_json(json: &Json) -> Result<Option<v1::resource::DiskInfo>, String> {
    use v1::resource::disk_info::{Source, source};
    let Some(disk) = json.get("disk").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    if disk.get("persistence").is_some() {
        return Err("persistent volumes cannot be specified at the command line".into());
    }
    let Some(entry) = disk.get("source").filter(|value| !value.is_null()) else {
        return Ok(Some(v1::resource::DiskInfo::default()));
    };
    let kind = entry
        .get("type")
        .and_then(Json::as_str)
        .ok_or("'disk.source.type' must be a string")?;
    let kind = source::Type::from_str_name(kind)
        .ok_or_else(|| format!("unknown disk source type '{kind}'"))?;
    let root = |key: &str| {
        entry
            .get(key)
            .map(|part| part.get("root").and_then(Json::as_str).map(str::to_owned))
    };
    let text = |key: &str| entry.get(key).and_then(Json::as_str).map(str::to_owned);
    let source = Source {
        r#type: kind as i32,
        path: root("path").map(|root| source::Path { root }),
        mount: root("mount").map(|root| source::Mount { root }),
        vendor: text("vendor"),
        id: text("id"),
        metadata: None,
        profile: text("profile"),
    };
    Ok(Some(v1::resource::DiskInfo {
        source: Some(source),
        ..Default::default()
    }))
}
