//! Where the bytes of an URI come from: the host's files or an HTTP server.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{FetchError, FetchSettings};

/// Counts what is written, and can forbid it.
pub(super) trait Meter: Send + Sync + 'static {
    /// So much is announced.
    fn expect(&self, bytes: u64) -> Result<(), FetchError>;
    /// So much comes now.
    fn count(&self, bytes: usize) -> Result<(), FetchError>;
}

/// Copies what the URI names into the file that `create` makes once there is something to copy.
pub(super) async fn copy_into<M: Meter>(
    settings: &FetchSettings,
    meter: &Arc<M>,
    uri: &str,
    create: impl FnOnce() -> io::Result<File> + Send + 'static,
) -> Result<(), FetchError> {
    let path = match uri.split_once("://") {
        Some(("http" | "https", _)) => {
            return download(settings.stall_timeout, meter.as_ref(), uri, create).await;
        }
        Some(("file", path)) => file_path(path)?,
        Some((scheme, _)) => return Err(FetchError::Scheme(scheme.to_owned())),
        None => plain_path(settings, uri)?,
    };
    let meter = Arc::clone(meter);
    blocking(move || copy_file(meter.as_ref(), path, create)).await
}

/// Runs something off the runtime's own threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| FetchError::Archive(error.to_string()))?
}

/// `file:///path` and `file://localhost/path`.
fn file_path(rest: &str) -> Result<PathBuf, FetchError> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if path.starts_with('/') {
        Ok(PathBuf::from(path))
    } else {
        Err(FetchError::NoFileName)
    }
}

fn plain_path(settings: &FetchSettings, uri: &str) -> Result<PathBuf, FetchError> {
    if uri.starts_with('/') {
        return Ok(PathBuf::from(uri));
    }
    settings
        .frameworks_home
        .as_ref()
        .map(|home| home.join(uri))
        .ok_or(FetchError::NoFrameworksHome)
}

fn copy_file(
    meter: &impl Meter,
    from: PathBuf,
    create: impl FnOnce() -> io::Result<File>,
) -> Result<(), FetchError> {
    let mut from = File::open(from)?;
    let data = from.metadata()?;
    if !data.is_file() {
        return Err(FetchError::Io(io::Error::other("not a regular file")));
    }
    meter.expect(data.len())?;
    pour(meter, &mut from, &mut create()?)
}

/// Copies everything, counted.
pub(super) fn pour(
    meter: &impl Meter,
    from: &mut impl Read,
    to: &mut impl Write,
) -> Result<(), FetchError> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        meter.count(count)?;
        to.write_all(&buffer[..count])?;
    }
}

/// Copies everything within the kernel, counted piece by piece; file systems that can share the blocks.
pub(super) fn copy_whole(meter: &impl Meter, from: &File, to: &mut File) -> Result<(), FetchError> {
    const PIECE: u64 = 8 << 20;
    loop {
        let count = io::copy(&mut from.take(PIECE), to)?;
        meter.count(usize::try_from(count).unwrap_or(usize::MAX))?;
        if count < PIECE {
            return Ok(());
        }
    }
}

async fn download(
    stall: Duration,
    meter: &impl Meter,
    uri: &str,
    create: impl FnOnce() -> io::Result<File>,
) -> Result<(), FetchError> {
    let stalled = |_| FetchError::Stalled(stall);
    let request = client()?.get(uri).send();
    let mut response = tokio::time::timeout(stall, request)
        .await
        .map_err(stalled)?
        .map_err(|error| plain(&error))?;
    if !response.status().is_success() {
        return Err(FetchError::Http(format!(
            "the server answered {}",
            response.status()
        )));
    }
    if let Some(bytes) = response.content_length() {
        meter.expect(bytes)?;
    }
    let mut file = create()?;
    while let Some(piece) = tokio::time::timeout(stall, response.chunk())
        .await
        .map_err(stalled)?
        .map_err(|error| plain(&error))?
    {
        meter.count(piece.len())?;
        file.write_all(&piece)?;
    }
    Ok(())
}

fn client() -> Result<&'static reqwest::Client, FetchError> {
    static CLIENT: OnceLock<Result<reqwest::Client, String>> = OnceLock::new();
    let client = CLIENT.get_or_init(|| {
        reqwest::Client::builder()
            .build()
            .map_err(|error| error.to_string())
    });
    client
        .as_ref()
        .map_err(|error| FetchError::Http(error.clone()))
}

/// The innermost reason, which is what helps.
fn plain(error: &reqwest::Error) -> FetchError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    FetchError::Http(text)
}
