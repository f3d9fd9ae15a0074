//! The whole cluster in one thread: real cores, and a network, disks, processes and frameworks that are made up.
//!
//! Time is virtual and chance comes from a seed, so that a run that failed fails again. It owns faults, models and
//! checks; it must never decide what a master or an agent does.

mod agent_node;
mod attempts;
mod checks;
mod disk;
mod ending;
mod executor_model;
mod faults;
mod fire_times;
mod framework_calls;
mod framework_node;
mod master_hearing;
mod master_node;
mod network;
mod pauses;
mod processes;
mod recorded;
mod rng;
mod schedule;
mod service_promises;
mod task_view;
mod user_rest;
mod user_specs;
mod users;
mod world;

pub use recorded::Recorded;
pub use rng::Rng;
pub use schedule::End;
pub use users::Users;
pub use world::{Recording, Settings, Summary, World};
