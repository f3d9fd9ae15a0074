//! The verbosity of a daemon's log as operators change it for a while, and `/logging/toggle`.
//!
//! It remembers and shows the level, and asks whoever owns the log to follow. It never writes to the log itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};

use crate::{Request, Response, respond};

/// Makes the log as talkative as the level says; 0 is as usual.
pub type LoggingControl = Arc<dyn Fn(u32) + Send + Sync>;

/// The highest verbosity.
const HIGHEST: u32 = 3;

#[derive(Clone, Copy, Debug, Default)]
struct Now {
    level: u32,
    changes: u64,
}

/// Glog's verbosity, 0 to 3. Clones share it.
#[derive(Clone, Default)]
pub struct LoggingLevel {
    now: Arc<Mutex<Now>>,
    control: Option<LoggingControl>,
}

impl std::fmt::Debug for LoggingLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LoggingLevel").field(&self.get()).finish()
    }
}

impl LoggingLevel {
    /// Level 0, with what it controls.
    pub fn new(control: Option<LoggingControl>) -> Self {
        Self {
            now: Arc::default(),
            control,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present level.
    pub fn get(&self) -> u32 {
        self.lock().level
    }

    /// Sets it for a while, after which it is 0 again unless it was set anew meanwhile.
    pub fn set(&self, level: u32, lasting: Duration) -> Result<(), String> {
        if level > HIGHEST {
            return Err(format!("Invalid level '{level}'"));
        }
        let changes = self.change(level, None);
        let shared = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(lasting).await;
            shared.change(0, changes);
        });
        Ok(())
    }

    /// Changes the level, unless others have done so since `after`.
    fn change(&self, level: u32, after: Option<u64>) -> Option<u64> {
        let mut now = self.lock();
        if after.is_some_and(|after| after != now.changes) {
            return None;
        }
        *now = Now {
            level,
            changes: now.changes + 1,
        };
        // Under the lock: of two changes at a time the one that is shown is the one that holds.
        if let Some(control) = &self.control {
            control(level);
        }
        Some(now.changes)
    }

    /// `/logging/toggle?level=N&duration=D`; without parameters it tells the present level. `parse` reads durations.
    pub fn toggle<E: std::fmt::Display>(
        &self,
        request: &Request,
        parse: impl Fn(&str) -> Result<Duration, E>,
    ) -> Result<Response, Response> {
        request.expect_method(&[Method::GET, Method::POST])?;
        let query = request.query();
        let (level, lasting) = match (query.get("level"), query.get("duration")) {
            (None, None) => {
                return Ok(respond::text(StatusCode::OK, format!("{}\n", self.get())));
            }
            (Some(_), None) => {
                return Err(respond::bad_request(
                    "Expecting 'duration=value' in query.\n",
                ));
            }
            (None, Some(_)) => {
                return Err(respond::bad_request("Expecting 'level=value' in query.\n"));
            }
            (Some(level), Some(lasting)) => (level, lasting),
        };
        let level = level
            .parse()
            .map_err(|_| respond::bad_request(format!("Failed to parse level '{level}'.\n")))?;
        let lasting = parse(lasting).map_err(|error| {
            respond::bad_request(format!("Failed to parse duration '{lasting}': {error}.\n"))
        })?;
        self.set(level, lasting)
            .map_err(|error| respond::bad_request(format!("{error}.\n")))?;
        Ok(respond::ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_level_goes_back_after_the_last_time_that_it_was_set() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let control: LoggingControl = Arc::new(move |level| tell.lock().expect("ours").push(level));
        let level = LoggingLevel::new(Some(control));
        level.set(1, Duration::ZERO).expect("a level");
        level.set(2, Duration::from_hours(1)).expect("a level");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(level.get(), 2, "the first time-out is void");
        level.set(3, Duration::ZERO).expect("a level");
        while level.get() != 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(*told.lock().expect("ours"), [1, 2, 3, 0]);
        assert!(level.set(4, Duration::ZERO).is_err());
    }
}
