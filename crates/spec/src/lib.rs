//! What users write: the kinds of objects, their fields, defaults and rules, and the files that hold them.
//!
//! The types are the one schema: JSON Schema, `explain` and the checks of unknown keys all come from them. This crate
//! decides nothing about a cluster and knows no clock, file or network.

pub mod check;
pub mod cron;
pub mod dag;
pub mod diff;
pub mod explain;
pub mod fault;
pub mod group;
pub mod init;
pub mod job;
pub mod material;
pub mod name;
pub mod nearest;
pub mod object;
pub mod placement;
pub mod quantity;
pub mod read;
pub mod rules;
pub mod schedule;
pub mod schema;
pub mod service;
pub mod sparse;
pub mod template;

pub use check::check;
pub use diff::{Change, diff, redacted};
pub use explain::{Explanation, explain};
pub use fault::{Fault, Position};
pub use init::init;
pub use name::Name;
pub use object::{Kind, Object, Spec};
pub use read::{Format, read};
pub use schema::schema;
