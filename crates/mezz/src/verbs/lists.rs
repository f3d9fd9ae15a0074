//! `mezz ps`.

use jiff::Timestamp;

use crate::args::PsArgs;
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::exit::Exit;
use crate::output::{columns, show};

/// Lists tasks.
pub(crate) fn tasks(args: &PsArgs) -> Result<Exit, ClientError> {
    let answer = Api::new(&args.cluster.master)?.get(&target(args))?;
    show::list(
        &columns::TASKS,
        &answer,
        args.output.output,
        Timestamp::now(),
    )?;
    Ok(Exit::Ok)
}

fn target(args: &PsArgs) -> String {
    let mut query = Vec::new();
    if let Some(framework) = &args.framework {
        query.push(format!("framework={}", percent_encoded(framework)));
    }
    if let Some(state) = &args.state {
        let state = state.to_uppercase();
        let state = if state.starts_with("TASK_") {
            state
        } else {
            format!("TASK_{state}")
        };
        query.push(format!("state={}", percent_encoded(&state)));
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
