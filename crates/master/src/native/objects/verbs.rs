//! Verbs upon an object: `POST /v1/KIND/NAME:VERB`.

use std::collections::BTreeMap;

use http::Method;
use mezz_http::{Request, Response, respond};
use mezz_spec::service::Replicas;
use mezz_spec::{Kind, Name};
use mezz_workload::call::{Call, Conflict, Reply as WorkReply};
use mezz_workload::key::ObjectKey;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::given::Given;
use super::super::parameters;
use super::super::problems::{allow, bad_request, not_found, unreadable};
use super::standstill::lasting;
use super::{answers, ask, conflict};
use crate::shared::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    replicas: Replicas,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Rollback {
    to: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Run {
    parameters: BTreeMap<String, String>,
    id: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Fire {
    parameters: BTreeMap<String, String>,
    id: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct OfRun {
    from: Option<String>,
    node: Option<String>,
}

/// Whether what follows a colon is a verb of some kind.
pub(in super::super) fn is_verb(verb: &str) -> bool {
    let word = verb.split(':').next().unwrap_or_default();
    matches!(
        word,
        "scale"
            | "restart"
            | "rollback"
            | "pause"
            | "resume"
            | "abort"
            | "reset-backoff"
            | "run"
            | "stop"
            | "mark-succeeded"
    )
}

/// Does what a verb says to an object; `verb` is what follows the colon.
pub(in super::super) async fn act(
    shared: &Shared,
    request: &mut Request,
    kind: Kind,
    name: Name,
    verb: &str,
) -> Result<Response, Response> {
    allow(request, &[Method::POST])?;
    let given = Given::check(&request.query(), &[parameters::CONFLICT])?;
    let conflict = conflict(&given);
    let body = request
        .read_body()
        .await
        .map_err(|refused| unreadable(&refused))?;
    let of = name.clone();
    let call = call(kind, name, verb, conflict, &body)?;
    let reply = ask(shared, call).await?;
    let mut answer = answers::reply(&reply);
    if let WorkReply::Started { run, .. } = &reply {
        answer["name"] = match kind {
            Kind::Cron => owner_of(shared, &of, run),
            _ => of.as_str().into(),
        };
    }
    Ok(respond::json(answer.to_string()))
}

/// Whose run it is that a cron began: its own, or that of what it refers to.
fn owner_of(shared: &Shared, cron: &Name, run: &str) -> Value {
    let view = shared.view();
    let work = &view.records.work;
    let name_of = |key: ObjectKey| work.objects.get(key.index()).map(|one| &one.name);
    let mut found = work.run_called(run).filter(|run| {
        let of_cron = run.cause.of_cron().and_then(|(object, _)| name_of(object));
        of_cron == Some(cron)
    });
    let name = found.next().and_then(|run| name_of(run.object));
    Value::from(name.unwrap_or(cron).as_str())
}

fn call(
    kind: Kind,
    name: Name,
    verb: &str,
    conflict: Conflict,
    body: &[u8],
) -> Result<Call, Response> {
    Ok(match (kind, verb) {
        (Kind::Service, "scale") => {
            let Scale { replicas } = required(body)?;
            Call::Scale {
                name,
                replicas,
                conflict,
            }
        }
        (Kind::Service, "restart") => Call::Restart { name, conflict },
        (Kind::Service, "rollback") => {
            let Rollback { to } = optional(body)?;
            Call::Rollback { name, to, conflict }
        }
        (Kind::Service | Kind::Cron, "pause") => {
            let lasts = lasting(body)?;
            Call::Pause { name, lasts }
        }
        (Kind::Service | Kind::Cron, "resume") => Call::Resume { name },
        (Kind::Service, "abort") => Call::Abort { name },
        (Kind::Service | Kind::Job, "reset-backoff") => Call::ResetBackoff { name },
        (Kind::Job | Kind::Dag, "run") => {
            let Run {
                parameters,
                id,
                arguments,
            } = optional(body)?;
            Call::Run {
                name,
                parameters,
                id,
                arguments,
            }
        }
        (Kind::Cron, "run") => {
            let Fire { parameters, id } = optional(body)?;
            Call::Fire {
                name,
                parameters,
                id,
            }
        }
        (Kind::Job | Kind::Dag | Kind::Cron, verb) if verb.contains(':') || kind != Kind::Cron => {
            return of_run(name, verb, body);
        }
        _ => return Err(unknown(kind, verb)),
    })
}

/// `stop`, `resume` and `mark-succeeded` of a run: `:VERB:RUN`.
fn of_run(name: Name, verb: &str, body: &[u8]) -> Result<Call, Response> {
    let Some((verb, run)) = verb.split_once(':') else {
        return Err(unknown(Kind::Job, verb));
    };
    let run = run.to_owned();
    let OfRun { from, node } = optional(body)?;
    match verb {
        "stop" => Ok(Call::StopRun { name, run }),
        "resume" => Ok(Call::ResumeRun { name, run, from }),
        "mark-succeeded" => Ok(Call::MarkSucceeded { name, run, node }),
        _ => Err(unknown(Kind::Job, verb)),
    }
}

fn unknown(kind: Kind, verb: &str) -> Response {
    let verbs = match kind {
        Kind::Service => "scale, restart, rollback, pause, resume, abort, reset-backoff",
        Kind::Cron => "run, pause, resume, stop:RUN, mark-succeeded:RUN",
        Kind::Job | Kind::Dag => "run, stop:RUN, resume:RUN, mark-succeeded:RUN",
        Kind::Group | Kind::Secret | Kind::Config => "none",
    };
    not_found(
        &format!("a {kind} knows no verb '{verb}'"),
        &format!("verbs of a {kind}: {verbs}"),
    )
}

fn required<T: DeserializeOwned>(body: &[u8]) -> Result<T, Response> {
    let bad = |error: serde_json::Error| bad_request(&format!("the body: {error}"));
    let mut value: Value = serde_json::from_slice(body).map_err(bad)?;
    if let Value::Object(members) = &mut value {
        members.values_mut().for_each(make_whole);
    }
    serde_json::from_value(value).map_err(bad)
}

/// A whole number is one however it is written: 2 and 2.0 are the same in JSON.
fn make_whole(value: &mut Value) {
    let number = value.as_f64().filter(|_| value.is_f64());
    if let Some(number) = number.filter(|number| number.fract() == 0.0 && number.abs() < 9e15) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a whole number within bounds"
        )]
        let whole = number as i64;
        *value = whole.into();
    }
}

pub(super) fn optional<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Response> {
    if body.is_empty() {
        return Ok(T::default());
    }
    required(body)
}
