//! The resource algebra: fixed-point scalars, ranges, sets, reservations, disks, roles, attributes
//! and durations, with the texts and wire forms that Mesos clients know.
//!
//! It decides nothing about who gets what, and never touches a clock, a file or the network.

pub mod attributes;
mod disk;
mod display;
mod duration;
mod quantities;
mod ranges;
mod reservation;
mod resource;
mod resources;
pub mod role;
mod scalar;
mod summary;
mod text;
mod validation;
mod value_text;
mod wire;
mod wire_fields;

pub use disk::{Disk, DiskSource, DiskSourceKind, Persistence};
pub use duration::{DurationError, format_duration, parse_duration};
pub use quantities::{Quantities, QuantitiesError};
pub use ranges::{Range, Ranges};
pub use reservation::{Labels, Reservation, ReservationKind};
pub use resource::{Name, Resource, Sharing, Tenure, Traits, Value};
pub use resources::Resources;
pub use role::{RoleError, ancestors, is_strict_subrole_of, validate_role};
pub use scalar::Scalar;
pub use summary::SummaryValue;
pub use text::{ResourceTextError, parse, parse_text};
pub use validation::{ResourceError, ResourceProblem};
pub use wire_fields::ReservationForm;
