//! OCI and Docker images: everything about them that needs no container.
//!
//! The pure half reads names, manifests, configurations, challenges and tars; the other half pulls from registries,
//! archives and layouts into a content-addressed [`store`], and gives stacks of layers for a container to stand on.
//! It mounts nothing and runs nothing.

mod beneath;

pub mod challenge;
pub mod config;
pub mod credentials;
pub mod digest;
pub mod layer;
pub mod limits;
pub mod manifest;
pub mod media;
pub mod platform;
pub mod provision;
pub mod pull;
pub mod reference;
pub mod registry;
pub mod runtime;
pub mod source;
pub mod store;
pub mod unpack;
pub mod users;
