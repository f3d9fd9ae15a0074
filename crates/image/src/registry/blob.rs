//! Downloads: into the store, hashed as they come, going on where they were cut off.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{RegistryError, Session};
use crate::digest::Digest;
use crate::manifest::Descriptor;
use crate::store::{Partial, Store, StoreError};

/// Pieces that may wait for the disk.
const WAITING_PIECES: usize = 64;

/// Told the bytes of a download that are there.
pub type Told = Arc<dyn Fn(u64) + Send + Sync>;

/// A thread that writes, so that neither a slow disk nor hashing holds up anything else.
struct Writer {
    pieces: mpsc::Sender<Bytes>,
    thread: JoinHandle<Result<Partial, StoreError>>,
}

impl Writer {
    fn start(mut partial: Partial) -> Self {
        let (pieces, mut taken) = mpsc::channel::<Bytes>(WAITING_PIECES);
        let thread = tokio::task::spawn_blocking(move || {
            while let Some(piece) = taken.blocking_recv() {
                partial.write(&piece)?;
            }
            Ok(partial)
        });
        Self { pieces, thread }
    }

    async fn finish(self) -> Result<Partial, StoreError> {
        drop(self.pieces);
        joined(self.thread).await
    }
}

async fn joined<T>(thread: JoinHandle<Result<T, StoreError>>) -> Result<T, StoreError> {
    thread.await.unwrap_or_else(|error| {
        let error = std::io::Error::other(error);
        Err(crate::store::at("write", std::path::Path::new(""))(error))
    })
}

impl Session {
    /// Brings content into the store.
    pub async fn blob(
        &self,
        store: &Arc<Store>,
        descriptor: &Descriptor,
        told: &Told,
    ) -> Result<(), RegistryError> {
        let digest = descriptor.digest.clone();
        let mut partial = self.take_up(store, &digest).await?;
        let mut failures = 0;
        let mut mended = partial.length() > 0;
        loop {
            let before = partial.length();
            let (back, cut) = self.go_on(partial, descriptor, told).await?;
            partial = back;
            if let Some(error) = cut {
                mended = true;
                failures = if partial.length() > before {
                    0
                } else {
                    failures + 1
                };
                if !error.is_passing() || failures > self.registries.settings.retries {
                    return Err(error);
                }
                self.pause(&error, failures).await;
                continue;
            }
            let store_too = Arc::clone(store);
            let completed = tokio::task::spawn_blocking(move || store_too.complete(partial));
            match joined(completed).await {
                // What an earlier attempt left may have been damaged since.
                Err(StoreError::Corrupt(_)) if mended => mended = false,
                Err(StoreError::Corrupt(expected)) => {
                    return Err(RegistryError::WrongDigest {
                        host: self.host().clone(),
                        what: format!("blobs/{expected}"),
                        expected,
                        found: "other content".to_owned(),
                    });
                }
                result => return Ok(result?),
            }
            partial = self.take_up(store, &digest).await?;
        }
    }

    async fn take_up(&self, store: &Arc<Store>, digest: &Digest) -> Result<Partial, RegistryError> {
        let (store, digest) = (Arc::clone(store), digest.clone());
        let partial = tokio::task::spawn_blocking(move || store.partial(&digest));
        Ok(joined(partial).await?)
    }

    /// One request's worth. Gives back what is there, and why it is not all.
    async fn go_on(
        &self,
        mut partial: Partial,
        descriptor: &Descriptor,
        told: &Told,
    ) -> Result<(Partial, Option<RegistryError>), RegistryError> {
        if partial.length() > descriptor.size {
            partial.restart()?;
        }
        if partial.length() == descriptor.size {
            return Ok((partial, None));
        }
        let path = format!("blobs/{}", descriptor.digest);
        let start = partial.length();
        let range = format!("bytes={start}-");
        let response = self
            .send(Method::GET, &path, &|request| match start {
                0 => request,
                _ => request.header(RANGE, &range),
            })
            .await;
        let response = match response {
            Ok(response) => response,
            Err(error) if error.is_passing() => return Ok((partial, Some(error))),
            Err(error) => return Err(error),
        };
        if start > 0 && !continues(&response, start) {
            partial.restart()?;
            if response.status() != StatusCode::OK {
                let status = response.status();
                let message = " although it was asked for the rest".to_owned();
                let error = RegistryError::Connection {
                    host: self.host().clone(),
                    message: format!("{status}{message}"),
                };
                return Ok((partial, Some(error)));
            }
        }
        self.stream(partial, response, descriptor, told).await
    }

    async fn stream(
        &self,
        partial: Partial,
        mut response: Response,
        descriptor: &Descriptor,
        told: &Told,
    ) -> Result<(Partial, Option<RegistryError>), RegistryError> {
        let mut length = partial.length();
        let writer = Writer::start(partial);
        let cut = loop {
            let piece = match self.within(response.chunk()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => break None,
                Ok(Err(error)) => break Some(self.broken(&error)),
                Err(error) => break Some(error),
            };
            length += piece.len() as u64;
            if length > descriptor.size {
                break Some(RegistryError::TooLong {
                    host: self.host().clone(),
                    what: format!("blobs/{}", descriptor.digest),
                    limit: descriptor.size,
                });
            }
            if writer.pieces.send(piece).await.is_err() {
                // The writer has ended, and says why.
                break None;
            }
            told(length);
        };
        let mut partial = writer.finish().await?;
        match cut {
            Some(error @ RegistryError::TooLong { .. }) => {
                partial.restart()?;
                Err(error)
            }
            None if partial.length() < descriptor.size => {
                let message = format!(
                    "it sent {} of {} bytes of {}",
                    partial.length(),
                    descriptor.size,
                    descriptor.digest
                );
                let host = self.host().clone();
                Ok((partial, Some(RegistryError::Connection { host, message })))
            }
            cut => Ok((partial, cut)),
        }
    }
}

/// Whether the answer begins where we left off.
fn continues(response: &Response, start: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE);
    let range = range.and_then(|value| value.to_str().ok());
    response.status() == StatusCode::PARTIAL_CONTENT
        && range.is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
}
