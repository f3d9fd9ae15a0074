//! The `/files/*` endpoints over a [`Files`] tree.

use std::io::Read as _;

use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};

use crate::body::Body;
use crate::files::{Entry, Files, FilesError, mode_text};
use crate::query::Query;
use crate::stream::{StreamLimits, stream};
use crate::{Request, Response, respond};

/// Which of the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilesEndpoint {
    Browse,
    Read,
    Download,
    Debug,
}

/// Answers a request to one of the endpoints.
pub async fn handle(files: &Files, endpoint: FilesEndpoint, request: &Request) -> Response {
    if let Err(refused) = request.expect_method(&[Method::GET]) {
        return refused;
    }
    let query = request.query();
    let answered = match endpoint {
        FilesEndpoint::Debug => Ok(debug(files)),
        FilesEndpoint::Browse => browse(files, &query).await,
        FilesEndpoint::Read => read(files, &query).await,
        FilesEndpoint::Download => return download(files, &query).await,
    };
    match answered {
        Ok(json) => respond::unversioned_json(request.headers(), &query, json),
        Err(refused) => refused,
    }
}

fn debug(files: &Files) -> Vec<u8> {
    let map: serde_json::Map<String, serde_json::Value> = files
        .attached()
        .into_iter()
        .map(|(path, real)| (path, serde_json::Value::from(real.to_string_lossy())))
        .collect();
    serde_json::Value::Object(map).to_string().into_bytes()
}

async fn browse(files: &Files, query: &Query) -> Result<Vec<u8>, Response> {
    let path = path_of(query)?;
    let files = files.clone();
    let entries = blocking(move || files.browse(&path)).await?;
    let list: Vec<serde_json::Value> = entries.iter().map(entry_json).collect();
    Ok(serde_json::Value::from(list).to_string().into_bytes())
}

/// One entry as `/files/browse` prints it.
pub fn entry_json(entry: &Entry) -> serde_json::Value {
    serde_json::json!({
        "gid": account_name("/etc/group", entry.gid),
        "mode": mode_text(entry.mode),
        "mtime": entry.mtime_seconds as f64,
        "nlink": entry.nlink,
        "path": entry.path,
        "size": entry.size,
        "uid": account_name("/etc/passwd", entry.uid),
    })
}

/// The name of a user or group id as `ls -l` shows it; the number when it has none.
pub fn account_name(database: &str, id: u32) -> String {
    let wanted = id.to_string();
    std::fs::read_to_string(database)
        .ok()
        .and_then(|text| {
            text.lines().find_map(|line| {
                let mut fields = line.split(':');
                let name = fields.next()?;
                (fields.nth(1)? == wanted).then(|| name.to_owned())
            })
        })
        .unwrap_or(wanted)
}

async fn read(files: &Files, query: &Query) -> Result<Vec<u8>, Response> {
    let path = path_of(query)?;
    let offset = query.number::<i64>("offset").map_err(|_| {
        respond::bad_request(format!(
            "Failed to parse offset: '{}'.\n",
            query.get("offset").unwrap_or_default()
        ))
    })?;
    let length = query.number::<i64>("length").map_err(|_| {
        respond::bad_request(format!(
            "Failed to parse length: '{}'.\n",
            query.get("length").unwrap_or_default()
        ))
    })?;
    let files = files.clone();
    let piece = blocking(move || files.read(&path, offset.unwrap_or(-1), length)).await?;
    let value =
        serde_json::json!({ "data": String::from_utf8_lossy(&piece.data), "offset": piece.offset });
    Ok(value.to_string().into_bytes())
}

async fn download(files: &Files, query: &Query) -> Response {
    let path = match path_of(query) {
        Ok(path) => path,
        Err(refused) => return refused,
    };
    let files = files.clone();
    let opened = blocking(move || {
        let (file, name) = files.open(&path)?;
        let length = file.metadata()?.len();
        Ok((file, name, length))
    })
    .await;
    let (file, name, length) = match opened {
        Ok(opened) => opened,
        Err(refused) => return refused,
    };
    let (sender, reader) = stream(StreamLimits {
        max_records: 16,
        max_bytes: 1 << 20,
    });
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        // The file may grow while it is sent: the announced length holds.
        let mut file = file.take(length);
        let mut buffer = vec![0; 128 << 10];
        while let Ok(count) = file.read(&mut buffer) {
            let piece = Bytes::copy_from_slice(&buffer[..count]);
            if count == 0 || runtime.block_on(sender.send_waiting(piece)).is_err() {
                break;
            }
        }
        sender.end();
    });
    let mut response = Response::new(Body::Sized { reader, length });
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename={name}")) {
        response
            .headers_mut()
            .insert(CONTENT_DISPOSITION, disposition);
    }
    response
}

fn path_of(query: &Query) -> Result<String, Response> {
    match query.get("path") {
        Some(path) if !path.is_empty() => Ok(path.to_owned()),
        Some(_) => Err(missing()),
        None => Err(respond::bad_request("Expecting 'path=value' in query.\n")),
    }
}

/// 404 as Mesos gives it for unknown virtual paths: without a body, labelled as text.
pub fn missing() -> Response {
    respond::text(StatusCode::NOT_FOUND, "")
}

/// The response to a failed look at a file.
pub fn refusal(error: FilesError) -> Response {
    match error {
        FilesError::NotFound => missing(),
        FilesError::Invalid(message) => respond::bad_request(format!("{message}.\n")),
        FilesError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => missing(),
        FilesError::Io(error) => {
            respond::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, Response> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(refusal),
        Err(error) => Err(respond::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            error.to_string(),
        )),
    }
}
