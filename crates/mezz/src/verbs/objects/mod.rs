//! The verbs for what users write: applying, reading, changing and waiting.

mod act;
pub(crate) mod apply;
mod delete;
mod export;
pub(crate) mod files;
mod get;
mod offline;
pub(crate) mod progress;
mod run;
mod wait;

pub(super) use act::{pause, restart, resume, rollback, scale};
pub(super) use delete::delete;
pub(super) use export::export;
pub(super) use get::{get, runs};
pub(super) use offline::{explain, init};
pub(super) use run::run;
pub(super) use wait::wait;
