//! Users' objects given to a master over `/v1`, and what becomes of them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Applies a document; returns when the master has promised it.
pub(crate) fn apply(address: &str, document: &Value) -> Result<()> {
    post(address, "/v1/apply", document)
}

/// Sends an object, which has to be taken.
pub(crate) fn post(address: &str, path: &str, document: &Value) -> Result<()> {
    let body = document.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    answer(address, head + &body).map(drop)
}

/// The run of a job that was run once, when it has ended.
fn ended(address: &str, job: &str) -> Result<Option<Value>> {
    let request = format!("GET /v1/runs HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let runs: Vec<Value> = serde_json::from_str(&answer(address, request)?)?;
    let run = runs.into_iter().find(|run| run["name"] == job);
    Ok(run.filter(|run| run["ended_at"].is_string()))
}

/// Waits until the run of a job has ended, and fails unless all of its indices have succeeded.
pub(crate) fn succeeded(
    address: &str,
    job: &str,
    limit: Duration,
    mut meanwhile: impl FnMut() -> Result<()>,
) -> Result<Value> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if let Some(run) = ended(address, job)? {
            ensure!(run["state"] == "succeeded", "the run ended as {run}");
            return Ok(run);
        }
        meanwhile()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("the run of {job} did not end within {limit:?}")
}

fn answer(address: &str, request: String) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.starts_with("HTTP/1.1 20"), "the answer was {answer}");
    Ok(body.to_owned())
}
