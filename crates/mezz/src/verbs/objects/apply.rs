//! `mezz apply`.

use mezz_spec::Fault;
use serde_json::Value;

use super::files::{self, Source};
use super::progress::{self, Stay};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::Content;
use crate::exit::Exit;
use crate::object_args::ApplyArgs;
use crate::output::{show, talk};

/// Applies all objects of all files at once.
pub(in super::super) fn apply(args: &ApplyArgs) -> Result<Exit, ClientError> {
    let sources = files::sources(&args.files)?;
    let mut api = Api::new(&args.cluster.master)?;
    let Some(applied) = send(&mut api, &sources, args.dry_run)? else {
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

/// Hands the objects to the master; none when they are refused, which has been told.
pub(crate) fn send(
    api: &mut Api,
    sources: &[Source],
    dry_run: bool,
) -> Result<Option<Vec<Value>>, ClientError> {
    let target = if dry_run {
        "/v1/apply?dry_run=true"
    } else {
        "/v1/apply"
    };
    // One file goes as it is, so that faults have its lines. Several become one text, since all or none are applied.
    let (media_type, text, name) = if let [one] = sources {
        (one.media_type(), one.text.clone(), Some(one.path.as_str()))
    } else {
        let Some(text) = joined(sources) else {
            return Ok(None);
        };
        ("application/json", text, None)
    };
    let body = Content {
        media_type,
        bytes: text.as_bytes(),
    };
    match api.post(target, body) {
        Err(ClientError::Refused(problem)) if !problem.errors.is_empty() => {
            tell(name, &problem.errors);
            Ok(None)
        }
        answer => Ok(Some(serde_json::from_value(answer?)?)),
    }
}

/// The objects of several files as one text; none when one of them is wrong, which has been told.
fn joined(sources: &[Source]) -> Option<String> {
    let mut objects = Vec::new();
    let mut all_well = true;
    for source in sources {
        match source.objects() {
            Ok(found) => objects.extend(found.iter().map(mezz_spec::Object::to_value)),
            Err(faults) => {
                tell(Some(&source.path), &faults);
                all_well = false;
            }
        }
    }
    all_well.then(|| Value::Array(objects).to_string())
}

/// Says what is wrong with a file, one fault after the other.
pub(super) fn tell(file: Option<&str>, faults: &[Fault]) {
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
    talk::note("nothing was changed");
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
