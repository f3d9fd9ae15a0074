//! What the machine itself allows, measured in the same minutes as what is held against it.

use std::time::{Duration, Instant};

use anyhow::Result;
use mezz_proto::agent_protocol::Frame;
use prost::Message;

use super::fleet::Registration;

/// How long one thread takes to decode all these registrations and drop them again.
pub(crate) fn decode(registrations: &[Registration]) -> Result<Duration> {
    let started = Instant::now();
    for registration in registrations {
        std::hint::black_box(Frame::decode(&registration[..])?);
    }
    Ok(started.elapsed())
}
