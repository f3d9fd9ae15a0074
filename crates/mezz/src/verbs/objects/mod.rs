//! The verbs for what users write: applying, reading, changing and waiting.

mod act;
pub(crate) mod apply;
pub(crate) mod batch;
mod convert;
mod delete;
mod export;
pub(crate) mod files;
pub(crate) mod foreign;
mod get;
mod offline;
mod plan;
pub(crate) mod progress;
mod quick;
mod requests;
mod rollout;
mod run;
mod standing;
mod steer;
mod wait;

pub(super) use act::{pause, restart, resume, rollback, scale};
pub(super) use convert::convert;
pub(super) use delete::delete;
pub(super) use export::export;
pub(super) use get::{get, runs};
pub(super) use offline::{explain, init, schema};
pub(super) use plan::plan;
pub(super) use quick::{is_wanted as is_quick, quick};
pub(super) use rollout::rollout;
pub(super) use run::run;
pub(super) use standing::standing;
pub(super) use steer::{abort, mark_succeeded, reset, stop};
pub(super) use wait::wait;
