//! The Docker Engine as a runtime of containers.
//!
//! Pure modules turn what Mesos says of a `DOCKER` container into the Engine's words ([`ContainerRequest`]) and read
//! what the Engine tells of one ([`Inspected`]); [`Engine`] is the client that says and hears them over a socket;
//! [`follow`] is what a process of the host does that stands for a container: it starts it, passes its output and
//! signals on, and ends as it ends. Must never decide whether a container is to run.

mod create;
mod engine;
mod error;
mod exec;
pub mod follow;
mod inspect;
mod name;
mod networks;
mod output;
mod parameters;
mod pull;
mod request;
mod resources;
mod transport;
mod volumes;

pub use create::CreateRequest;
pub use engine::{Created, Engine, EngineVersion, Listed};
pub use error::EngineError;
pub use inspect::{Inspected, State};
pub use name::ContainerName;
pub use output::{Channel, OutputStream};
pub use parameters::{ParameterError, supported as supported_parameters};
pub use pull::RegistryAuth;
pub use request::{ContainerRequest, HostRules, RequestError, Run};
pub use resources::{Bound, Needs};
