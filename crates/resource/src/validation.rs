//! The rules that a resource from outside must obey, in the words that clients see.

use crate::role::{RoleError, is_strict_subrole_of, validate_role};
use crate::scalar::Scalar;
use mezz_proto::v1;
use mezz_proto::v1::resource::disk_info::source::Type as SourceType;
use mezz_proto::v1::resource::reservation_info::Type as ReservationType;
use thiserror::Error;

/// A resource that is refused, with its place in the list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("Resource '{text}' is invalid: {problem}")]
pub struct ResourceError {
    /// The place in the list, from 0.
    pub index: usize,
    /// The resource in words.
    pub text: String,
    /// What is wrong with it.
    pub problem: ResourceProblem,
}

/// What is wrong with a resource; the texts are Mesos's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResourceProblem {
    /// `name` is empty.
    #[error("Empty resource name")]
    EmptyName,
    /// `type` is none of the known.
    #[error("Invalid resource type")]
    UnknownType,
    /// The value field does not fit the type.
    #[error("Invalid {0} resource")]
    ValueField(&'static str),
    /// Negative, not a number, or below a thousandth.
    #[error("Invalid scalar resource: value <= 0")]
    NotPositive,
    /// More than can be held exactly.
    #[error("Invalid scalar resource: value is too large")]
    TooLarge,
    /// `begin > end`.
    #[error("Invalid ranges resource: begin > end")]
    InvertedRange,
    /// Two ranges share a value.
    #[error("Invalid ranges resource: overlapping ranges")]
    OverlappingRanges,
    /// An item twice.
    #[error("Invalid set resource: duplicated elements")]
    DuplicatedElements,
    /// Text values are for attributes only.
    #[error("Unsupported resource type")]
    UnsupportedType,
    /// `disk` on something else.
    #[error("DiskInfo should not be set for {0} resource")]
    DiskOnOther(String),
    /// `mount` or `path` on a block or raw disk.
    #[error("{field} should not be set for {kind} disk source")]
    SourceField {
        /// `Mount` or `Path`.
        field: &'static str,
        /// `BLOCK` or `RAW`.
        kind: &'static str,
    },
    /// An unknown source type.
    #[error("Unsupported 'DiskInfo.Source.Type' in 'UNKNOWN'")]
    UnknownSource,
    /// A bad role name.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// A field of `reservations` inside `reservation`.
    #[error("'Resource.ReservationInfo.{0}' must not be set for the 'Resource.reservation' field")]
    OldReservationField(&'static str),
    /// `role: "*"` with `reservation`.
    #[error("Invalid reservation: role \"*\" cannot be dynamically reserved")]
    StarDynamicallyReserved,
    /// A missing field of `reservations`.
    #[error("Invalid reservation: 'Resource.ReservationInfo.{0}' field must be set.")]
    MissingReservationField(&'static str),
    /// `*` in `reservations`.
    #[error("Invalid reservation: role \"*\" cannot be reserved")]
    StarReserved,
    /// A static reservation above another.
    #[error("Invalid refined reservation: A refined reservation cannot be STATIC")]
    StaticRefinement,
    /// A refinement that does not go down the role tree.
    #[error("Invalid refined reservation: role '{role}' is not a refinement of '{ancestor}'")]
    NotARefinement {
        /// The role at fault.
        role: String,
        /// The role below it in the stack.
        ancestor: String,
    },
    /// The old and the new form differ or cannot go together.
    #[error("Invalid resource format: {0}")]
    MixedForms(String),
    /// An unknown reservation type.
    #[error("Unsupported 'Resource.ReservationInfo.Type'")]
    UnknownReservationType,
    /// `shared` on something else than a disk.
    #[error("Resource {0} cannot be shared")]
    SharedOther(String),
    /// `shared` on a disk that is no persistent volume.
    #[error("Only persistent volumes can be shared")]
    SharedWithoutVolume,
}

type Checked = Result<(), ResourceProblem>;

/// Checks one resource of the wire, in either form.
pub(crate) fn validate(resource: &v1::Resource) -> Checked {
    if resource.name.is_empty() {
        return Err(ResourceProblem::EmptyName);
    }
    validate_value(resource)?;
    validate_disk(resource)?;
    if resource.reservations.is_empty() {
        validate_old_form(resource)?;
    } else {
        validate_stack(&resource.reservations)?;
        validate_mixed_forms(resource)?;
    }
    validate_sharing(resource)
}

fn validate_value(resource: &v1::Resource) -> Checked {
    let fields = (
        resource.scalar.as_ref(),
        resource.ranges.as_ref(),
        resource.set.as_ref(),
    );
    match v1::value::Type::try_from(resource.r#type) {
        Err(_) => Err(ResourceProblem::UnknownType),
        Ok(v1::value::Type::Text) => Err(ResourceProblem::UnsupportedType),
        Ok(v1::value::Type::Scalar) => match fields {
            (Some(scalar), None, None) => validate_scalar(scalar.value),
            _ => Err(ResourceProblem::ValueField("scalar")),
        },
        Ok(v1::value::Type::Ranges) => match fields {
            (None, Some(ranges), None) => validate_ranges(&ranges.range),
            _ => Err(ResourceProblem::ValueField("ranges")),
        },
        Ok(v1::value::Type::Set) => match fields {
            (None, None, Some(set)) => validate_set(&set.item),
            _ => Err(ResourceProblem::ValueField("set")),
        },
    }
}

fn validate_scalar(value: f64) -> Checked {
    match Scalar::from_f64(value) {
        Some(scalar) if scalar > Scalar::ZERO || value == 0.0 => Ok(()),
        None if value.is_finite() && value > 0.0 => Err(ResourceProblem::TooLarge),
        _ => Err(ResourceProblem::NotPositive),
    }
}

fn validate_ranges(ranges: &[v1::value::Range]) -> Checked {
    if ranges.iter().any(|range| range.begin > range.end) {
        return Err(ResourceProblem::InvertedRange);
    }
    let mut sorted: Vec<_> = ranges
        .iter()
        .map(|range| (range.begin, range.end))
        .collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[1].0 <= pair[0].1) {
        return Err(ResourceProblem::OverlappingRanges);
    }
    Ok(())
}

fn validate_set(items: &[String]) -> Checked {
    let mut sorted: Vec<_> = items.iter().collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(ResourceProblem::DuplicatedElements);
    }
    Ok(())
}

fn validate_disk(resource: &v1::Resource) -> Checked {
    let Some(disk) = &resource.disk else {
        return Ok(());
    };
    if resource.name != "disk" {
        return Err(ResourceProblem::DiskOnOther(resource.name.clone()));
    }
    let Some(source) = &disk.source else {
        return Ok(());
    };
    let kind = match SourceType::try_from(source.r#type) {
        Ok(SourceType::Path | SourceType::Mount) => return Ok(()),
        Ok(SourceType::Block) => "BLOCK",
        Ok(SourceType::Raw) => "RAW",
        Ok(SourceType::Unknown) | Err(_) => return Err(ResourceProblem::UnknownSource),
    };
    if source.mount.is_some() {
        return Err(ResourceProblem::SourceField {
            field: "Mount",
            kind,
        });
    }
    if source.path.is_some() {
        return Err(ResourceProblem::SourceField {
            field: "Path",
            kind,
        });
    }
    Ok(())
}

#[allow(deprecated)] // the old form is a fact of the wire
fn validate_old_form(resource: &v1::Resource) -> Checked {
    let role = resource.role.as_deref().unwrap_or(crate::role::STAR);
    validate_role(role)?;
    let Some(reservation) = &resource.reservation else {
        return Ok(());
    };
    if reservation.r#type.is_some() {
        return Err(ResourceProblem::OldReservationField("type"));
    }
    if reservation.role.is_some() {
        return Err(ResourceProblem::OldReservationField("role"));
    }
    if role == crate::role::STAR {
        return Err(ResourceProblem::StarDynamicallyReserved);
    }
    Ok(())
}

fn validate_stack(stack: &[v1::resource::ReservationInfo]) -> Checked {
    let mut ancestor: Option<&str> = None;
    for reservation in stack {
        let kind = reservation
            .r#type
            .ok_or(ResourceProblem::MissingReservationField("type"))?;
        let role = reservation
            .role
            .as_deref()
            .ok_or(ResourceProblem::MissingReservationField("role"))?;
        validate_role(role)?;
        if role == crate::role::STAR {
            return Err(ResourceProblem::StarReserved);
        }
        let Ok(kind @ (ReservationType::Static | ReservationType::Dynamic)) =
            ReservationType::try_from(kind)
        else {
            return Err(ResourceProblem::UnknownReservationType);
        };
        if let Some(ancestor) = ancestor {
            if kind == ReservationType::Static {
                return Err(ResourceProblem::StaticRefinement);
            }
            if !is_strict_subrole_of(role, ancestor) {
                return Err(ResourceProblem::NotARefinement {
                    role: role.to_owned(),
                    ancestor: ancestor.to_owned(),
                });
            }
        }
        ancestor = Some(role);
    }
    Ok(())
}

#[allow(deprecated)] // the old form is a fact of the wire
fn validate_mixed_forms(resource: &v1::Resource) -> Checked {
    let mixed = |text: String| Err(ResourceProblem::MixedForms(text));
    let [reservation] = resource.reservations.as_slice() else {
        let field = match (&resource.role, &resource.reservation) {
            (Some(_), _) => "role",
            (None, Some(_)) => "reservation",
            (None, None) => return Ok(()),
        };
        return mixed(format!(
            "'Resource.{field}' must not be set if there is more than one reservation in 'Resource.reservations'"
        ));
    };
    let stack_role = reservation.role.as_deref().unwrap_or_default();
    if let Some(role) = resource.role.as_deref().filter(|role| *role != stack_role) {
        return mixed(format!(
            "'Resource.role' field with '{role}' does not match the role '{stack_role}' in 'Resource.reservations'"
        ));
    }
    if reservation.r#type == Some(ReservationType::Static as i32) {
        return match resource.reservation {
            None => Ok(()),
            Some(_) => mixed(
                "'Resource.reservation' must not be set if the single reservation in 'Resource.reservations' is STATIC".into(),
            ),
        };
    }
    if resource.role.is_some() != resource.reservation.is_some() {
        return mixed(
            "'Resource.role' and 'Resource.reservation' must either be both set or both not set if the single reservation in 'Resource.reservations' is DYNAMIC".into(),
        );
    }
    match &resource.reservation {
        Some(old) if old.principal.as_deref().unwrap_or_default() != reservation.principal.as_deref().unwrap_or_default() => {
            mixed(format!(
                "'Resource.reservation.principal' field with '{}' does not match the principal '{}' in 'Resource.reservations'",
                old.principal.as_deref().unwrap_or_default(),
                reservation.principal.as_deref().unwrap_or_default()
            ))
        }
        Some(old) if old.labels.clone().unwrap_or_default() != reservation.labels.clone().unwrap_or_default() => mixed(
            "'Resource.reservation.labels' field does not match the labels in 'Resource.reservations'".into(),
        ),
        _ => Ok(()),
    }
}

fn validate_sharing(resource: &v1::Resource) -> Checked {
    if resource.shared.is_none() {
        return Ok(());
    }
    if resource.name != "disk" {
        return Err(ResourceProblem::SharedOther(resource.name.clone()));
    }
    match resource
        .disk
        .as_ref()
        .and_then(|disk| disk.persistence.as_ref())
    {
        Some(_) => Ok(()),
        None => Err(ResourceProblem::SharedWithoutVolume),
    }
}
