//! The native API under `/v1`: what the command line and the web page use. Which path is about what.

mod event_json;
mod events;
mod given;
mod history;
mod lists;
mod logs;
mod modes;
mod new_task;
mod object_json;
mod objects;
mod openapi;
mod owners;
mod page;
mod parameters;
mod problems;
mod rows;
mod run;
mod selection;
mod subject;
mod tasks;
mod touched;
mod tunnels;
mod usage;
mod values;
mod watch;
mod why;
mod work;

pub(crate) use history::History;
pub(crate) use page::status_page;
pub(crate) use values::rfc3339;

use std::sync::Arc;

use http::Method;
use mezz_http::request::segments;
use mezz_http::{Request, Response};

use crate::leading::require_leader;
use crate::shared::Shared;
use given::Given;
use parameters::Parameter;
use problems::{allow, as_problem, not_found};
use rows::Kind;
use subject::Subject;
use work::{Wanted, WorkSubject};

/// Answers a request; `rest` is what follows `/v1`.
pub(crate) async fn handle(shared: &Arc<Shared>, rest: &str, mut request: Request) -> Response {
    let answered = match tunnel_in(rest) {
        Ok(None) => answer(shared, rest, &mut request).await,
        Ok(Some(asked)) => match require_leader(shared, &request) {
            Ok(()) => asked.open(shared, request).await,
            Err(refused) => Err(as_problem(refused)),
        },
        Err(refused) => Err(refused),
    };
    match answered {
        Ok(response) | Err(response) => response,
    }
}

/// A way into the container of a task, as a path asks for it.
struct Tunnel {
    framework: Option<String>,
    id: String,
    way: String,
}

impl Tunnel {
    async fn open(self, shared: &Arc<Shared>, request: Request) -> Result<Response, Response> {
        let Self { framework, id, way } = self;
        tunnels::tunnel(shared, framework.as_deref(), &id, &way, request).await
    }
}

fn tunnel_in(rest: &str) -> Result<Option<Tunnel>, Response> {
    let parts = segments(rest);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let ["tasks", tail @ ..] = parts.as_slice() else {
        return Ok(None);
    };
    // With one name before the way, then with two.
    for names in 1..=tail.len().min(2) {
        let (names, words) = tail.split_at(names);
        if let Some(way) = tunnels::way(words)? {
            let (id, framework) = match names {
                [framework, id] => (id, Some((*framework).to_owned())),
                [id] => (id, None),
                _ => return Ok(None),
            };
            return Ok(Some(Tunnel {
                framework,
                id: (*id).to_owned(),
                way,
            }));
        }
    }
    Ok(None)
}

async fn answer(
    shared: &Arc<Shared>,
    rest: &str,
    request: &mut Request,
) -> Result<Response, Response> {
    let parts = segments(rest);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    // These are the same at every master.
    match parts.as_slice() {
        ["version"] => return get(shared, request, &[], |_| Subject::Version).await,
        ["openapi.json"] => return get(shared, request, &[], |_| Subject::OpenApi).await,
        ["openapi", file] => {
            let facade = openapi::facade_named(file).ok_or_else(|| nothing_at(request))?;
            return get(shared, request, &[], |_| Subject::FacadeOpenApi(facade)).await;
        }
        ["schema"] => return get(shared, request, &[], |_| Subject::Schema(None)).await,
        ["schema", word] => {
            let kind = objects::kind_named(word)?;
            return get(shared, request, &[], |_| Subject::Schema(Some(kind))).await;
        }
        _ => {}
    }
    require_leader(shared, request).map_err(as_problem)?;
    match parts.as_slice() {
        ["tasks"] if *request.method() == Method::POST => {
            Given::check(&request.query(), &[])?;
            run::run(shared, request).await
        }
        ["tasks"] => {
            allow(request, &[Method::GET, Method::POST])?;
            list(shared, request, Kind::Tasks, parameters::TASKS).await
        }
        ["agents"] => list(shared, request, Kind::Agents, parameters::AGENTS).await,
        ["frameworks"] => list(shared, request, Kind::Frameworks, parameters::FRAMEWORKS).await,
        ["roles"] => list(shared, request, Kind::Roles, parameters::ROLES).await,
        ["offers"] => list(shared, request, Kind::Offers, parameters::OFFERS).await,
        ["agents", id] => element(shared, request, Kind::Agents, id).await,
        ["frameworks", id] => element(shared, request, Kind::Frameworks, id).await,
        ["roles", name @ ..] => element(shared, request, Kind::Roles, &name.join("/")).await,
        ["offers", id] => element(shared, request, Kind::Offers, id).await,
        ["tasks", tail @ ..] => of_task(shared, request, tail).await,
        ["events"] => {
            allow(request, &[Method::GET])?;
            let given = Given::check(&request.query(), &[parameters::EVENTS])?;
            events::answer(shared, request, &given).await
        }
        ["usage"] => {
            allow(request, &[Method::GET])?;
            Given::check(&request.query(), &[])?;
            Ok(usage::usage(shared).await)
        }
        ["freeze"] => of_freeze(shared, request).await,
        ["apply"] => objects::apply(shared, request).await,
        ["plan"] => objects::plan(shared, request).await,
        ["rollouts" | "runs" | "instances" | "endpoints", ..] => {
            of_work(shared, request, parts[0], &parts[1..]).await
        }
        [plural, name @ ..] if let Some(kind) = objects::kind_of(plural) => {
            of_object(shared, request, kind, name).await
        }
        ["why", id @ ..] if !id.is_empty() => {
            let id = id.join("/");
            get(shared, request, &[], |_| Subject::Why(id)).await
        }
        _ => Err(nothing_at(request)),
    }
}

fn nothing_at(request: &Request) -> Response {
    not_found(
        &format!("there is no {}", request.path()),
        "GET /v1/openapi.json lists every path",
    )
}

/// What follows the plural of a kind: nothing, a name, or a name with a verb.
async fn of_object(
    shared: &Arc<Shared>,
    request: &mut Request,
    kind: mezz_spec::Kind,
    name: &[&str],
) -> Result<Response, Response> {
    let Some((last, front)) = name.split_last() else {
        let tables = [parameters::OBJECTS];
        allow(request, &[Method::GET])?;
        let all: Vec<&[Parameter]> = tables.into_iter().chain([parameters::POLL]).collect();
        let wanted = Wanted::new(&Given::check(&request.query(), &all)?)?;
        let subject = Subject::Work(Box::new(WorkSubject::Objects { kind, wanted }));
        return get(shared, request, &tables, |_| subject).await;
    };
    // No name has a colon: what is neither a POST nor a verb is told so by the check of the name.
    if let Some((last, verb)) = last.split_once(':')
        && (*request.method() == Method::POST || objects::is_verb(verb))
    {
        let verb = verb.to_owned();
        let parts: Vec<&str> = front.iter().copied().chain([last]).collect();
        let name = objects::name_of(&parts)?;
        return objects::act(shared, request, kind, name, &verb).await;
    }
    let name = objects::name_of(name)?;
    if *request.method() == Method::DELETE {
        return objects::delete(shared, request, kind, name).await;
    }
    allow(request, &[Method::GET, Method::DELETE])?;
    let subject = Subject::Work(Box::new(WorkSubject::Object { kind, name }));
    get(shared, request, &[], |_| subject).await
}

/// Whether everything is frozen.
async fn of_freeze(shared: &Arc<Shared>, request: &mut Request) -> Result<Response, Response> {
    if [Method::POST, Method::DELETE].contains(request.method()) {
        return objects::freeze(shared, request).await;
    }
    allow(request, &[Method::GET, Method::POST, Method::DELETE])?;
    let subject = Subject::Work(Box::new(WorkSubject::Freeze));
    get(shared, request, &[], |_| subject).await
}

/// Rollouts, runs, instances and endpoints.
async fn of_work(
    shared: &Arc<Shared>,
    request: &Request,
    what: &str,
    rest: &[&str],
) -> Result<Response, Response> {
    let id = rest.join("/");
    let subject = match (what, rest) {
        ("endpoints", [_, ..]) => WorkSubject::Endpoints(objects::name_of(rest)?),
        ("rollouts", [_]) => WorkSubject::Rollout(id),
        ("runs", [_, ..]) => WorkSubject::Run(id),
        ("instances", [_]) if *request.method() == Method::DELETE => {
            return objects::end_instance(shared, request, id).await;
        }
        ("instances", [_]) => {
            allow(request, &[Method::GET, Method::DELETE])?;
            WorkSubject::Instance(id)
        }
        (_, []) if what != "endpoints" => {
            allow(request, &[Method::GET])?;
            let own = [match what {
                "rollouts" => parameters::ROLLOUTS,
                "runs" => parameters::RUNS,
                _ => parameters::INSTANCES,
            }];
            let tables = [own[0], parameters::POLL];
            let wanted = Wanted::new(&Given::check(&request.query(), &tables)?)?;
            let subject = match what {
                "rollouts" => WorkSubject::Rollouts(wanted),
                "runs" => WorkSubject::Runs(wanted),
                _ => WorkSubject::Instances(wanted),
            };
            return get(shared, request, &own, |_| Subject::Work(Box::new(subject))).await;
        }
        _ => return Err(nothing_at(request)),
    };
    get(shared, request, &[], |_| Subject::Work(Box::new(subject))).await
}

/// What follows `/v1/tasks`: an id, or a framework and an id, and perhaps what is wanted of the task.
async fn of_task(
    shared: &Arc<Shared>,
    request: &Request,
    tail: &[&str],
) -> Result<Response, Response> {
    let (framework, id, part) = match tail {
        [id] => (None, *id, None),
        [id, "logs"] => (None, *id, Some("logs")),
        [framework, id] => (Some(*framework), *id, None),
        [framework, id, "logs"] => (Some(*framework), *id, Some("logs")),
        _ => return Err(nothing_at(request)),
    };
    if part.is_some() {
        allow(request, &[Method::GET])?;
        let given = Given::check(&request.query(), &[parameters::LOGS])?;
        return logs::logs(shared, framework, id, request, &given).await;
    }
    if *request.method() == Method::DELETE {
        let given = Given::check(&request.query(), &[parameters::KILL])?;
        return run::kill(shared, framework, id, &given).await;
    }
    allow(request, &[Method::GET, Method::DELETE])?;
    let subject = Subject::Task {
        framework: framework.map(str::to_owned),
        id: id.to_owned(),
    };
    get(shared, request, &[], |_| subject).await
}

async fn list(
    shared: &Arc<Shared>,
    request: &Request,
    kind: Kind,
    selectors: &[Parameter],
) -> Result<Response, Response> {
    let own = [selectors, parameters::PAGE];
    get(shared, request, &own, |given| Subject::list(kind, given)).await
}

async fn element(
    shared: &Arc<Shared>,
    request: &Request,
    kind: Kind,
    id: &str,
) -> Result<Response, Response> {
    let id = id.to_owned();
    get(shared, request, &[], |_| Subject::Element { kind, id }).await
}

/// A GET in one of its three modes.
async fn get(
    shared: &Arc<Shared>,
    request: &Request,
    own: &[&[Parameter]],
    subject: impl FnOnce(&Given) -> Subject,
) -> Result<Response, Response> {
    allow(request, &[Method::GET])?;
    let tables: Vec<&[Parameter]> = own.iter().copied().chain([parameters::POLL]).collect();
    let given = Given::check(&request.query(), &tables)?;
    let subject = subject(&given);
    modes::answer(shared, request, &given, subject).await
}
