//! Logging of the daemons: to stderr, filtered, and made more talkative for a while on request.

use std::io::IsTerminal;
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::flags::{Daemon, FlagError, Flags};

/// The running logger, whose filter can be replaced.
#[derive(Clone, Debug)]
pub(crate) struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    usual: String,
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
    /// Logs more (level 1: debug, above: trace) for a while, then as before; must be called within a runtime.
    pub(crate) fn raise(&self, level: u32, lasting: Duration) {
        let more = match level {
            0 => self.usual.as_str(),
            1 => "debug",
            _ => "trace",
        };
        self.set(more);
        let logging = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(lasting).await;
            logging.set(&logging.usual);
        });
    }

    fn set(&self, filter: &str) {
        if let Err(error) = self.filter.reload(EnvFilter::new(filter)) {
            tracing::warn!(%error, "the logging level stays as it is");
        }
    }
}
