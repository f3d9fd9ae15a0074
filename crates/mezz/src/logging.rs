//! Logging of the daemons: to stderr, filtered, and made more talkative for a while on request.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::flags::{Daemon, FlagError, Flags};

/// The running logger, whose filter can be replaced.
#[derive(Clone, Debug)]
pub(crate) struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    usual: String,
    /// What each daemon of this process was asked for.
    levels: Arc<Mutex<Vec<u32>>>,
}

/// Starts logging as the flags say; `mezz dev` is quiet unless told otherwise.
pub(crate) fn start(daemon: Daemon, flags: &Flags) -> Result<Logging, FlagError> {
    let usual = filter_text(daemon, flags);
    let wrong = |error: &dyn std::fmt::Display| FlagError::Meaning {
        flag: "log",
        message: format!("'{usual}': {error}"),
    };
    let (filter, handle) =
        reload::Layer::new(EnvFilter::try_new(&usual).map_err(|error| wrong(&error))?);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(true);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|error| wrong(&error))?;
    Ok(Logging {
        filter: handle,
        usual,
        levels: Arc::default(),
    })
}

fn filter_text(daemon: Daemon, flags: &Flags) -> String {
    if let Some(text) = flags.text("log") {
        return text.to_owned();
    }
    if flags.switch("quiet") {
        return "off".to_owned();
    }
    let level = if daemon == Daemon::Dev {
        flags.explicit("logging_level").unwrap_or("WARNING")
    } else {
        flags.text("logging_level").unwrap_or("INFO")
    };
    match level {
        "INFO" => "info",
        "ERROR" => "error",
        _ => "warn",
    }
    .to_owned()
}

impl Logging {
    /// By which one daemon makes the log more talkative (level 1: debug, above: trace) and as usual again (0).
    pub(crate) fn control(&self) -> Arc<dyn Fn(u32) + Send + Sync> {
        let mut levels = self.lock();
        let own = levels.len();
        levels.push(0);
        drop(levels);
        let logging = self.clone();
        Arc::new(move |level| {
            let mut levels = logging.lock();
            levels[own] = level;
            let highest = levels.iter().copied().max().unwrap_or(0);
            logging.set(match highest {
                0 => logging.usual.as_str(),
                1 => "debug",
                _ => "trace",
            });
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u32>> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, filter: &str) {
        if let Err(error) = self.filter.reload(EnvFilter::new(filter)) {
            tracing::warn!(%error, "the logging level stays as it is");
        }
    }
}
