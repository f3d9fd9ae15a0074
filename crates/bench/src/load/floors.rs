//! What the machine itself allows, measured in the same minutes as what is held against it.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use mezz_proto::agent_protocol::Frame;
use prost::Message;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::fleet::Registration;

/// How long one thread takes to decode all these registrations and drop them again.
pub(crate) fn decode(registrations: &[Registration]) -> Result<Duration> {
    let started = Instant::now();
    for registration in registrations {
        std::hint::black_box(Frame::decode(&registration[..])?);
    }
    Ok(started.elapsed())
}

/// Messages/s that a plain program delivers to so many loopback sockets, one write each, with readers beside it.
pub(crate) fn fan_out(runtime: &Runtime, sockets: usize, length: usize) -> Result<f64> {
    const ROUNDS: usize = 300;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (done, finished) = std::sync::mpsc::channel();
    let mut writers = Vec::new();
    for _ in 0..sockets {
        let mut reader = runtime.block_on(TcpStream::connect(address))?;
        let done = done.clone();
        runtime.spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            let mut left = length * ROUNDS;
            while left > 0 {
                match reader.read(&mut buffer).await {
                    Ok(read) if read > 0 => left -= read.min(left),
                    _ => return,
                }
            }
            let _ = done.send(());
        });
        writers.push(listener.accept()?.0);
    }
    let message = vec![b'x'; length];
    let started = Instant::now();
    for _ in 0..ROUNDS {
        for writer in &mut writers {
            writer.write_all(&message)?;
        }
    }
    for _ in 0..sockets {
        finished.recv_timeout(Duration::from_mins(1))?;
    }
    Ok((sockets * ROUNDS) as f64 / started.elapsed().as_secs_f64())
}
