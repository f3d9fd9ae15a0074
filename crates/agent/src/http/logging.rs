//! The verbosity of logs as operators set it. It is remembered and shown; the process's log filter is its own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::Method;
use mezz_http::{Request, Response, respond};

/// Glog's verbosity, 0 to 3.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoggingLevel(std::sync::Arc<AtomicU32>);

/// The highest verbosity.
const HIGHEST: u32 = 3;

impl LoggingLevel {
    pub(super) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it for a while, after which it is 0 again.
    pub(super) fn set(&self, level: u32, duration: Duration) -> Result<(), String> {
        if level > HIGHEST {
            return Err(format!("Invalid level '{level}'"));
        }
        self.0.store(level, Ordering::Relaxed);
        let shared = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            let _ = shared
                .0
                .compare_exchange(level, 0, Ordering::Relaxed, Ordering::Relaxed);
        });
        Ok(())
    }

    /// `/logging/toggle`.
    pub(super) fn toggle(&self, request: &Request) -> Result<Response, Response> {
        request.expect_method(&[Method::GET, Method::POST])?;
        let query = request.query();
        match (query.get("level"), query.get("duration")) {
            (None, None) => Ok(respond::text(
                http::StatusCode::OK,
                format!("{}\n", self.get()),
            )),
            (Some(_), None) => Err(respond::bad_request(
                "Expecting 'duration=value' in query.\n",
            )),
            (None, Some(_)) => Err(respond::bad_request("Expecting 'level=value' in query.\n")),
            (Some(level), Some(duration)) => {
                let level = level.parse().map_err(|_| {
                    respond::bad_request(format!("Failed to parse level '{level}'.\n"))
                })?;
                let duration = mezz_resource::parse_duration(duration).map_err(|error| {
                    respond::bad_request(format!(
                        "Failed to parse duration '{duration}': {error}.\n"
                    ))
                })?;
                self.set(level, duration)
                    .map_err(|error| respond::bad_request(format!("{error}.\n")))?;
                Ok(respond::ok())
            }
        }
    }
}
