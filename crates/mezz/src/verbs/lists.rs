//! `mezz ps` and the other lists, once or again at every change.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::args::{Format, ListArgs, PsArgs};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::exit::Exit;
use crate::output::columns::{self, Listing};
use crate::output::show::{self, Reader};
use crate::output::terminal;

/// Lists tasks.
pub(crate) fn tasks(master: &str, args: &PsArgs) -> Result<Exit, ClientError> {
    show_list(master, &target(args), &columns::TASKS, &args.list)
}

/// Shows a list; a watched one until it is interrupted or its reader has gone.
pub(crate) fn show_list(
    master: &str,
    target: &str,
    listing: &Listing,
    args: &ListArgs,
) -> Result<Exit, ClientError> {
    let format = args.output.output;
    let mut api = Api::new(master)?;
    let (mut answer, mut index) = api.get_with_index(target)?;
    if !args.watch {
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
    let frameworks = args.framework.iter();
    let mut pairs: Vec<_> = frameworks.map(|one| ("framework", one.clone())).collect();
    pairs.extend(args.place.pairs());
    pairs.extend(args.owners.pairs());
    pairs.extend(args.label.iter().map(|label| ("label", label.clone())));
    pairs.extend(args.state.iter().map(|state| ("state", task_state(state))));
    // Whoever asks for a state wants those that have ended in it, too.
    if args.all || !args.state.is_empty() {
        pairs.push(("all", "true".to_owned()));
    }
    with_query("/v1/tasks".to_owned(), pairs)
}

/// A target with more of a query.
pub(super) fn with_query(mut target: String, pairs: Vec<(&'static str, String)>) -> String {
    for (key, value) in pairs {
        let joint = if target.contains('?') { '&' } else { '?' };
        let _ = write!(target, "{joint}{key}={}", percent_encoded(&value));
    }
    target
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
