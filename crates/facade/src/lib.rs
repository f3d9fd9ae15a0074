//! The APIs of other systems over our objects: a request of theirs becomes an answer from a view, or a call of the
//! controllers and the way in which its reply is answered. Pure: a shell carries requests in and answers out.

pub mod answer;
pub mod chronos;
pub mod doings;
pub mod identity;
pub mod instant;
mod invalid;
pub mod marathon;
pub mod metronome;
mod openapi;
pub mod outcome;
pub mod paths;
pub mod reading;
pub mod request;
mod secrets;
pub mod world;

pub use answer::{Answer, Body};
pub use outcome::Outcome;
pub use request::Request;
pub use world::World;
