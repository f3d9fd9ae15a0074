//! Where the bytes of an URI come from: the host's files or an HTTP server.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::beneath::Sandbox;
use super::{FetchError, FetchSettings, Job};

/// Copies what the URI names to `name` in the sandbox.
pub(super) async fn copy_into(
    job: &Arc<Job>,
    sandbox: &Arc<Sandbox>,
    uri: &str,
    name: &str,
) -> Result<(), FetchError> {
    match uri.split_once("://") {
        Some(("http" | "https", _)) => download(job, sandbox, uri, name).await,
        Some(("file", path)) => copy_file(job, sandbox, file_path(path)?, name).await,
        Some((scheme, _)) => Err(FetchError::Scheme(scheme.to_owned())),
        None => copy_file(job, sandbox, plain_path(&job.settings, uri)?, name).await,
    }
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

async fn copy_file(
    job: &Arc<Job>,
    sandbox: &Arc<Sandbox>,
    from: PathBuf,
    name: &str,
) -> Result<(), FetchError> {
    let (job, sandbox, name) = (Arc::clone(job), Arc::clone(sandbox), name.to_owned());
    let copy = move || {
        let mut from = File::open(from)?;
        if !from.metadata()?.is_file() {
            return Err(FetchError::Io(std::io::Error::other("not a regular file")));
        }
        pour(&job, &mut from, &mut sandbox.create(&name)?)
    };
    tokio::task::spawn_blocking(copy)
        .await
        .map_err(|error| FetchError::Archive(error.to_string()))?
}

/// Copies everything, counted.
pub(super) fn pour(job: &Job, from: &mut impl Read, to: &mut impl Write) -> Result<(), FetchError> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        job.count(count)?;
        to.write_all(&buffer[..count])?;
    }
}

async fn download(
    job: &Arc<Job>,
    sandbox: &Arc<Sandbox>,
    uri: &str,
    name: &str,
) -> Result<(), FetchError> {
    let stall = job.settings.stall_timeout;
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
    let mut file = sandbox.create(name)?;
    while let Some(piece) = tokio::time::timeout(stall, response.chunk())
        .await
        .map_err(stalled)?
        .map_err(|error| plain(&error))?
    {
        job.count(piece.len())?;
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
