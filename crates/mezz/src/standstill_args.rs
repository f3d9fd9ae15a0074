//! Arguments of the verbs that stop something for a time.

use clap::Args;
use jiff::Timestamp;
use mezz_spec::quantity::Span;
use serde_json::{Value, json};

use crate::client::error::ClientError;
use crate::object_args::{HeldArgs, ServiceName};

/// How long something stands still.
#[derive(Args, Debug, Default)]
pub(crate) struct LastsArgs {
    /// End by itself after so long, as in 2h.
    #[arg(long = "for", value_name = "DURATION", conflicts_with = "until")]
    span: Option<String>,
    /// End by itself at this time, as in 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl LastsArgs {
    /// What the master is told.
    pub(crate) fn body(&self) -> Result<Value, ClientError> {
        if let Some(span) = &self.span {
            Span::parse(span).map_err(|error| ClientError::Usage(format!("--for: {error}")))?;
            return Ok(json!({ "for": span }));
        }
        let Some(until) = &self.until else {
            return Ok(json!({}));
        };
        let at: Timestamp = until
            .parse()
            .map_err(|error| ClientError::Usage(format!("--until: {error}")))?;
        Ok(json!({ "until": at.to_string() }))
    }

    /// The same as the end of a sentence, with a space before it.
    pub(crate) fn words(&self) -> String {
        match (&self.span, &self.until) {
            (Some(span), _) => format!(" for {span}"),
            (None, Some(until)) => format!(" until {until}"),
            (None, None) => String::new(),
        }
    }
}

#[derive(Args, Debug)]
#[command(
    after_help = "Without --for and --until it stands still until `mezz resume`. A pause takes the place of an earlier one."
)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    pub(crate) of: HeldArgs,
    #[command(flatten)]
    pub(crate) lasts: LastsArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PausedService {
    #[command(flatten)]
    pub(crate) of: ServiceName,
    #[command(flatten)]
    pub(crate) lasts: LastsArgs,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Nothing of services, jobs, crons and dags is started, ended or rolled while everything is frozen, and nothing ends for \
                        the sake of other work; what runs goes on, and so do frameworks. Without --for and --until that lasts until \
                        `mezz thaw`. `mezz status` shows it."
)]
pub(crate) struct FreezeArgs {
    #[command(flatten)]
    pub(crate) lasts: LastsArgs,
}
