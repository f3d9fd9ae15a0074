//! `mezz apply`.

use mezz_spec::Fault;
use serde_json::Value;

use super::batch::Batch;
use super::progress::{self, Stay};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::exit::Exit;
use crate::object_args::ApplyArgs;
use crate::output::{show, talk};

/// Applies all objects of all files at once.
pub(in super::super) fn apply(master: &str, args: &ApplyArgs) -> Result<Exit, ClientError> {
    let Some(batch) = Batch::of_files(&args.from)? else {
        return Ok(Exit::Refused);
    };
    let mut api = Api::new(master)?;
    let Some(applied) = send(&mut api, &batch, args.dry_run)? else {
        return Ok(Exit::Refused);
    };
    let end = if args.dry_run { " (dry run)\n" } else { "\n" };
    let lines = applied.iter().map(|one| line(one) + end);
    show::write(&lines.collect::<String>())?;
    if args.dry_run || !Stay::of(args.waiting).is_wanted() {
        return Ok(Exit::Ok);
    }
    progress::follow(&mut api, &rollouts(&applied))
}

/// Hands objects to the master; none when they are refused, which has been told.
pub(crate) fn send(
    api: &mut Api,
    batch: &Batch,
    dry_run: bool,
) -> Result<Option<Vec<Value>>, ClientError> {
    let target = if dry_run {
        "/v1/apply?dry_run=true"
    } else {
        "/v1/apply"
    };
    match api.post(target, batch.content()) {
        Err(ClientError::Refused(problem)) if !problem.errors.is_empty() => {
            tell(batch.name(), &problem.errors);
            Ok(None)
        }
        answer => Ok(Some(serde_json::from_value(answer?)?)),
    }
}

/// Says what is wrong with a file, one fault after the other, and that this was all.
pub(super) fn tell(file: Option<&str>, faults: &[Fault]) {
    tell_faults(file, faults);
    talk::note("nothing was changed");
}

/// Says what is wrong with a file, one fault after the other.
pub(super) fn tell_faults(file: Option<&str>, faults: &[Fault]) {
    for fault in faults {
        let mut place = file.map(str::to_owned).unwrap_or_default();
        if let (false, Some(at)) = (place.is_empty(), fault.at) {
            place = format!("{place}:{}:{}", at.line, at.column);
        }
        if !place.is_empty() {
            place.push_str(": ");
        }
        let bare = Fault {
            hint: None,
            at: None,
            ..fault.clone()
        };
        talk::error(&format!("{place}{bare}"));
        if let Some(hint) = &fault.hint {
            talk::hint(hint);
        }
    }
}

/// What became of one object.
pub(crate) fn line(applied: &Value) -> String {
    let text = |key| applied.get(key).and_then(Value::as_str).unwrap_or_default();
    let generation = applied.get("generation").and_then(Value::as_u64);
    let generation = generation.map_or_else(String::new, |number| format!(", generation {number}"));
    let (kind, name, change) = (text("kind"), text("name"), text("change"));
    format!("{kind} {name} {change}{generation}")
}

/// The rollouts that began.
pub(crate) fn rollouts(applied: &[Value]) -> Vec<String> {
    applied
        .iter()
        .filter_map(|one| one.get("rollout")?.as_str())
        .map(str::to_owned)
        .collect()
}
