//! Support for tests: clusters of real binaries, a client that shares no code with the product, and
//! the dialogues recorded from Apache Mesos.
//!
//! Nothing here is part of a release. The HTTP client and the RecordIO reader are written anew on
//! purpose: a fault in the product's codecs must not hide behind itself.

pub mod captures;
pub mod cluster;
pub mod compare;
pub mod controlled_store;
pub mod docker_engine;
pub mod encoding;
pub mod event_stream;
pub mod executor;
pub mod framework;
pub mod http_client;
pub mod processes;
pub mod record_reader;
pub mod replay;
pub mod shape;
pub mod wait;

pub use cluster::{Daemon, DaemonError, TempCluster};
pub use docker_engine::{Bridging, DockerEngine};
pub use encoding::Encoding;
pub use event_stream::EventStream;
pub use executor::Executor;
pub use framework::Framework;
pub use http_client::{Client, HttpError, Request, Response};
