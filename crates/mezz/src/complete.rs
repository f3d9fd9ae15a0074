//! Completion for shells: what the script of `mezz completions` calls. Names come from the cluster, if it answers.

use std::ffi::OsString;
use std::process::ExitCode;

use clap_complete::CompletionCandidate;
use clap_complete::env::CompleteEnv;
use serde_json::Value;

use crate::client::api::Api;
use crate::command_line;
use crate::exit::Exit;

/// The variable by which the script says for which shell it asks.
pub(crate) const VARIABLE: &str = "_MEZZ_COMPLETE";
/// Nobody reads more names than these.
const NAMES_MAX: usize = 500;

/// Answers the script of a shell.
pub(crate) fn answer(arguments: Vec<OsString>) -> ExitCode {
    let here = std::env::current_dir().ok();
    let done = CompleteEnv::with_factory(command_line::everything)
        .var(VARIABLE)
        .try_complete(arguments, here.as_deref());
    match done {
        Ok(_) => Exit::Ok.into(),
        // A shell shows no message while it completes.
        Err(_) => Exit::Failed.into(),
    }
}

/// Every task that is known.
pub(crate) fn tasks() -> Vec<CompletionCandidate> {
    let mut found = names("/v1/tasks?all=true", "id", "name");
    found.push(CompletionCandidate::new("last").help(Some("the last task".into())));
    found
}

/// Tasks that have not ended.
pub(crate) fn live_tasks() -> Vec<CompletionCandidate> {
    names("/v1/tasks", "id", "name")
}

pub(crate) fn frameworks() -> Vec<CompletionCandidate> {
    names("/v1/frameworks", "id", "name")
}

pub(crate) fn agents() -> Vec<CompletionCandidate> {
    names("/v1/agents", "id", "hostname")
}

pub(crate) fn roles() -> Vec<CompletionCandidate> {
    names("/v1/roles", "name", "")
}

pub(crate) fn services() -> Vec<CompletionCandidate> {
    names("/v1/services", "name", "")
}

/// What `mezz run` takes by its name.
pub(crate) fn jobs() -> Vec<CompletionCandidate> {
    let mut found = names("/v1/jobs", "name", "");
    found.extend(names("/v1/dags", "name", ""));
    found.extend(names("/v1/crons", "name", ""));
    found
}

/// Runs, by names that nothing else has.
pub(crate) fn runs() -> Vec<CompletionCandidate> {
    let master = std::env::var("MEZZ_MASTER").unwrap_or_else(|_| "127.0.0.1:5050".to_owned());
    let list = Api::new(&master).and_then(|mut api| api.list("/v1/runs"));
    list.unwrap_or_default()
        .iter()
        .rev()
        .take(NAMES_MAX)
        .filter_map(|run| {
            let text = |key: &str| run.get(key)?.as_str();
            let state = text("state")?.to_owned();
            let full = format!("{}/{}", text("name")?, text("id")?);
            Some(CompletionCandidate::new(full).help(Some(state.into())))
        })
        .collect()
}

/// Whatever `mezz logs` takes.
pub(crate) fn outputs() -> Vec<CompletionCandidate> {
    let mut found = services();
    found.extend(jobs());
    found.extend(tasks());
    found
}

/// Whatever `mezz why` takes.
pub(crate) fn everything() -> Vec<CompletionCandidate> {
    let mut found = outputs();
    found.extend(frameworks());
    found.extend(roles());
    found.extend(agents());
    found
}

fn names(target: &str, key: &str, about: &str) -> Vec<CompletionCandidate> {
    let master = std::env::var("MEZZ_MASTER").unwrap_or_else(|_| "127.0.0.1:5050".to_owned());
    let list = Api::new(&master).and_then(|mut api| api.list(target));
    // A cluster that does not answer has no names to offer; a shell has no place for the reason.
    list.unwrap_or_default()
        .iter()
        .take(NAMES_MAX)
        .filter_map(|one| {
            let about = one.get(about).and_then(Value::as_str);
            let name = one.get(key)?.as_str()?;
            Some(CompletionCandidate::new(name).help(about.map(|about| about.to_owned().into())))
        })
        .collect()
}
