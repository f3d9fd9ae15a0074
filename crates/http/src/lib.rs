//! HTTP as Mesos's clients expect it: a server, prefix routing, negotiation, streams of records, files, a small client.
//!
//! It turns bytes into requests and responses into bytes. It must never know a framework, a task or an agent.

pub mod body;
pub mod bulk;
pub mod client;
mod connection;
pub mod direct;
pub mod files;
pub mod files_http;
pub mod logging_level;
pub mod negotiate;
pub mod query;
pub mod request;
pub mod respond;
pub mod router;
pub mod server;
pub mod session;
pub mod stream;
pub mod task_output;
pub mod tunnel;

pub use body::Body;
pub use request::Request;

/// A response with one of our bodies.
pub type Response = http::Response<Body>;
