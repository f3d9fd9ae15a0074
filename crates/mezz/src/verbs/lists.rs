//! `mezz ps` and the other lists, once or again at every change.

use jiff::Timestamp;

use crate::args::{Format, PsArgs};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::exit::Exit;
use crate::output::columns::{self, Listing};
use crate::output::show::{self, Reader};
use crate::output::terminal;

/// How often a list is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    Once,
    OnChange,
}

/// Lists tasks.
pub(crate) fn tasks(args: &PsArgs) -> Result<Exit, ClientError> {
    let watch = if args.watch {
        Watch::OnChange
    } else {
        Watch::Once
    };
    show_list(
        &args.cluster.master,
        &target(args),
        &columns::TASKS,
        args.output.output,
        watch,
    )
}

/// Shows a list; a watched one until it is interrupted or its reader has gone.
pub(crate) fn show_list(
    master: &str,
    target: &str,
    listing: &Listing,
    format: Format,
    watch: Watch,
) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
    let (mut answer, mut index) = api.get_with_index(target)?;
    if watch == Watch::Once {
        show::list(listing, &answer, format, Timestamp::now())?;
        return Ok(Exit::Ok);
    }
    let joint = if target.contains('?') { '&' } else { '?' };
    loop {
        let before = match format {
            Format::Table | Format::Wide => terminal::clear(),
            Format::Yaml => "---\n",
            Format::Json | Format::Name => "",
        };
        if show::write(before)? == Reader::Gone
            || show::list(listing, &answer, format, Timestamp::now())? == Reader::Gone
        {
            return Ok(Exit::Ok);
        }
        let shown = answer.clone();
        while answer == shown {
            // Shorter than the client's patience with a plain answer.
            let next = format!("{target}{joint}index={index}&wait=30s");
            (answer, index) = api.get_with_index(&next)?;
        }
    }
}

fn target(args: &PsArgs) -> String {
    let mut query = Vec::new();
    for (name, value) in [
        ("framework", &args.framework),
        ("role", &args.role),
        ("agent", &args.agent),
        ("service", &args.service),
        ("job", &args.job),
        ("run", &args.run),
    ] {
        if let Some(value) = value {
            query.push(format!("{name}={}", percent_encoded(value)));
        }
    }
    for label in &args.label {
        query.push(format!("label={}", percent_encoded(label)));
    }
    if let Some(state) = &args.state {
        query.push(format!("state={}", percent_encoded(&task_state(state))));
    }
    // Whoever asks for a state wants those that have ended in it, too.
    if args.all || args.state.is_some() {
        query.push("all=true".to_owned());
    }
    if query.is_empty() {
        "/v1/tasks".to_owned()
    } else {
        format!("/v1/tasks?{}", query.join("&"))
    }
}

/// The name of a task's state from what people write: `running` is `TASK_RUNNING`.
pub(super) fn task_state(text: &str) -> String {
    let state = text.to_uppercase();
    if state.starts_with("TASK_") {
        state
    } else {
        format!("TASK_{state}")
    }
}
