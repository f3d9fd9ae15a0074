//! A session with a container as client verbs see it: frames over a tunnel, read on one thread and written on others.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use mezz_http::tunnel::{Decoder, Frame, Kind, encode};

use super::api::Api;
use super::error::ClientError;

/// How a program in a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this raw wait(2) status.
    Status(i32),
    /// In a way that nobody can tell; the text says why, if it is known.
    Unknown(String),
}

impl End {
    /// What the last frame of a session says.
    pub(crate) fn of(data: &[u8]) -> Self {
        match <[u8; 4]>::try_from(data) {
            Ok(status) => Self::Status(i32::from_be_bytes(status)),
            Err(_) => Self::Unknown(String::from_utf8_lossy(data).into_owned()),
        }
    }

    /// As a shell has it: the program's own code, or 128 and its signal.
    pub(crate) fn code(&self) -> Option<u8> {
        match self {
            Self::Status(status) => {
                let [low, high, ..] = status.to_le_bytes();
                Some(match low & 0x7f {
                    0 => high,
                    signal => 128 + signal,
                })
            }
            Self::Unknown(_) => None,
        }
    }
}

/// The writing side. Clones write to the same session.
#[derive(Clone, Debug)]
pub(crate) struct Sender(Arc<Mutex<TcpStream>>);

impl Sender {
    /// Sends one frame.
    pub(crate) fn send(&self, kind: Kind, data: &[u8]) -> io::Result<()> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(&encode(kind, data))
    }
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    stream: BufReader<TcpStream>,
    decoder: Decoder,
    address: String,
}

impl Session {
    /// Opens one; `target` is its path.
    pub(crate) fn open(api: &Api, target: &str, body: &[u8]) -> Result<Self, ClientError> {
        Ok(Self {
            stream: api.tunnel(target, body)?,
            decoder: Decoder::default(),
            address: api.address().to_owned(),
        })
    }

    /// The writing side.
    pub(crate) fn sender(&self) -> Result<Sender, ClientError> {
        let copy = self.stream.get_ref().try_clone();
        let stream = copy.map_err(|source| self.broken(source))?;
        Ok(Sender(Arc::new(Mutex::new(stream))))
    }

    fn broken(&self, source: io::Error) -> ClientError {
        ClientError::Broken {
            address: self.address.clone(),
            source,
        }
    }

    /// The next frame.
    pub(crate) fn next(&mut self) -> Result<Frame, ClientError> {
        let mut buffer = [0; 16 << 10];
        loop {
            let frame = self.decoder.next();
            let frame = frame.map_err(|error| self.broken(io::Error::other(error)))?;
            if let Some(frame) = frame {
                return Ok(frame);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.decoder.push(&buffer[..count]),
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    /// Hands output on until the program has ended.
    pub(crate) fn run(
        &mut self,
        stdout: &mut dyn Write,
        stderr: &mut dyn Write,
    ) -> Result<End, ClientError> {
        loop {
            let Frame { kind, data } = self.next()?;
            let written = match kind {
                Kind::Stdout => stdout.write_all(&data).and_then(|()| stdout.flush()),
                Kind::Stderr => stderr.write_all(&data).and_then(|()| stderr.flush()),
                Kind::Exit => return Ok(End::of(&data)),
                _ => Ok(()),
            };
            written.map_err(ClientError::Output)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_programs_own_or_that_of_its_signal() {
        assert_eq!(End::Status(7 << 8).code(), Some(7));
        assert_eq!(End::Status(9).code(), Some(137));
        assert_eq!(End::Unknown(String::new()).code(), None);
    }
}
