//! What users write: the kinds of objects, their fields, defaults and rules, and the files that hold them.
//!
//! The types are the one schema: JSON Schema, `explain` and the checks of unknown keys all come from them. This crate
//! decides nothing about a cluster and knows no clock, file or network.

pub mod cron;
pub mod dag;
pub mod group;
pub mod job;
pub mod material;
pub mod name;
pub mod object;
pub mod placement;
pub mod quantity;
pub mod service;
pub mod template;

pub use name::Name;
pub use object::{Kind, Object, Spec};
