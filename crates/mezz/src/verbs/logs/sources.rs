//! Whose output is meant, and which tasks that is now.

use mezz_spec::{Kind, Name};
use serde_json::Value;

use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::client::identify::task_id;
use crate::client::objects::{self, path};
use crate::client::runs::{self, Named, Run};
use crate::exit::Exit;

/// Kinds that have output, in the order in which a name alone is tried.
const KINDS: [Kind; 4] = [Kind::Service, Kind::Job, Kind::Dag, Kind::Cron];

/// What was named.
#[derive(Clone, Debug)]
pub(super) enum Meant {
    /// The full id of a task.
    Task(String),
    Service(Name),
    /// The newest run of a job, dag or cron.
    LastRun(Kind, Name),
    Run(Run),
}

/// A task whose output is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) id: String,
    /// For people: short, and told apart within what is shown.
    pub(super) label: String,
}

impl Meant {
    /// What a user means: KIND/NAME, a name, a run, an instance or another task. An id as a whole goes first.
    pub(super) fn find(api: &mut Api, given: &str) -> Result<Self, ClientError> {
        if let (Some(kind), name) = objects::split(given) {
            return match runs::named(api, kind, name, true)? {
                Named::Object(kind, name) => Self::of_object(kind, name),
                Named::Run(run) => Ok(Self::Run(run)),
            };
        }
        if given != "last" && is_there(api, &format!("/v1/tasks/{}", percent_encoded(given)))? {
            return Ok(Self::Task(given.to_owned()));
        }
        if let Ok(name) = Name::new(given) {
            for kind in KINDS {
                if is_there(api, &path(kind, &name))? {
                    return Self::of_object(kind, name);
                }
            }
        }
        match runs::find(api, given) {
            Ok(run) => return Ok(Self::Run(run)),
            Err(error) if error.exit() == Exit::NotFound => {}
            Err(error) => return Err(error),
        }
        task_id(api, given).map(Self::Task).map_err(|error| match error {
            ClientError::NotFound { .. } if given != "last" => ClientError::NotFound {
                what: format!("no service, job, cron, dag, run, instance or task is called '{given}', or begins so"),
                hint: "`mezz get all`, `mezz runs` and `mezz ps --all` list them".to_owned(),
            },
            error => error,
        })
    }

    fn of_object(kind: Kind, name: Name) -> Result<Self, ClientError> {
        match kind {
            Kind::Service => Ok(Self::Service(name)),
            Kind::Job | Kind::Dag | Kind::Cron => Ok(Self::LastRun(kind, name)),
            kind => Err(ClientError::Usage(format!("a {kind} has no output"))),
        }
    }

    /// In words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Task(id) => format!("task {id}"),
            Self::Service(name) => format!("service {name}"),
            Self::LastRun(kind, name) => format!("the last run of {kind} {name}"),
            Self::Run(run) => format!("run {}", run.full()),
        }
    }

    /// The tasks that belong to it now; of a run also those that have ended, and of a service those only while none is live.
    pub(super) fn sources(&self, api: &mut Api) -> Result<Vec<Source>, ClientError> {
        match self {
            Self::Task(id) => Ok(vec![Source {
                id: id.clone(),
                label: id.clone(),
            }]),
            Self::Service(name) => of_service(api, name),
            Self::LastRun(..) => match self.pinned(api)? {
                Some(run) => run.sources(api),
                None => Ok(Vec::new()),
            },
            Self::Run(run) => of_run(api, run),
        }
    }

    /// With the newest run in place of its object; none when there is no run.
    pub(super) fn pinned(&self, api: &mut Api) -> Result<Option<Self>, ClientError> {
        match self {
            Self::LastRun(_, name) => Ok(newest(api, name)?.map(Self::Run)),
            other => Ok(Some(other.clone())),
        }
    }

    /// The instance that ended last.
    pub(super) fn previous(&self, api: &mut Api) -> Result<Source, ClientError> {
        let query = match self {
            Self::Service(name) => selector("service", name.as_str()),
            Self::LastRun(_, name) => selector("job", name.as_str()),
            Self::Run(run) => selector("run", &run.full()),
            Self::Task(id) => {
                let instance = api.value(&format!("/v1/instances/{}", percent_encoded(id)))?;
                let name = instance.get("name").and_then(Value::as_str);
                selector("service", name.unwrap_or_default())
            }
        };
        let tasks = api.list(&format!("/v1/tasks?all=true&{query}"))?;
        let text = |task: &Value, key| task.get(key).and_then(Value::as_str).map(str::to_owned);
        let ended = tasks
            .iter()
            .filter(|task| text(task, "finished_at").is_some());
        let last = ended.max_by_key(|task| text(task, "finished_at"));
        let id = last.and_then(|task| text(task, "id"));
        let id = id.ok_or_else(|| ClientError::NotFound {
            what: format!("nothing of {} has ended, as far as is known", self.words()),
            hint: "without --previous the output of what runs is shown".to_owned(),
        })?;
        Ok(Source {
            label: id.clone(),
            id,
        })
    }
}

fn is_there(api: &mut Api, target: &str) -> Result<bool, ClientError> {
    match api.get(target) {
        Ok(_) => Ok(true),
        Err(error) if error.exit() == Exit::NotFound => Ok(false),
        // Not a name that such a path can have.
        Err(ClientError::Refused(problem)) if problem.status == 400 => Ok(false),
        Err(error) => Err(error),
    }
}

fn selector(key: &str, value: &str) -> String {
    format!("{key}={}", percent_encoded(value))
}

/// The newest run that belongs to an object of this name.
fn newest(api: &mut Api, name: &Name) -> Result<Option<Run>, ClientError> {
    let list = api.list(&format!("/v1/runs?{}", selector("job", name.as_str())))?;
    let own = list
        .iter()
        .filter(|run| Run::of(run).is_some_and(|run| run.name == *name));
    let at = |run: &&Value| {
        let at = run.get("created_at").and_then(Value::as_str);
        at.map(str::to_owned)
    };
    // A cron that names a job has no runs of its own: then those that were begun for it.
    let last = own.max_by_key(at).or_else(|| list.iter().max_by_key(at));
    Ok(last.and_then(Run::of))
}

fn of_service(api: &mut Api, name: &Name) -> Result<Vec<Source>, ClientError> {
    let query = selector("service", name.as_str());
    let mut live = api.list(&format!("/v1/instances?{query}"))?;
    live.sort_by_key(|one| one.get("ordinal").and_then(Value::as_u64));
    if live.is_empty() {
        let tasks = api.list(&format!("/v1/tasks?all=true&{query}"))?;
        let at = |task: &&Value| {
            let at = task.get("finished_at").and_then(Value::as_str);
            at.map(str::to_owned)
        };
        let last = tasks
            .iter()
            .max_by_key(at)
            .and_then(|task| task.get("id")?.as_str());
        return Ok(last
            .map(|id| service_source(name, id, None))
            .into_iter()
            .collect());
    }
    let ordinal = |one: &Value| one.get("ordinal").and_then(Value::as_u64);
    let sources = live.iter().filter_map(|one| {
        let id = one.get("id")?.as_str()?;
        Some(service_source(name, id, ordinal(one)))
    });
    Ok(sources.collect())
}

/// `web.0/1a2b`: two instances of one ordinal may be there during a rollout.
fn service_source(name: &Name, id: &str, ordinal: Option<u64>) -> Source {
    let uuid = id.split(".instance-").nth(1).unwrap_or(id);
    let piece: String = uuid.chars().take(4).collect();
    let ordinal = ordinal.map_or_else(String::new, |ordinal| format!(".{ordinal}"));
    Source {
        id: id.to_owned(),
        label: format!("{}{ordinal}/{piece}", name.last()),
    }
}

fn of_run(api: &mut Api, run: &Run) -> Result<Vec<Source>, ClientError> {
    let answer = api.value(&run.target())?;
    let mut ids: Vec<String> = Vec::new();
    let mut add = |id: Option<&str>| {
        if let Some(id) = id.filter(|id| !ids.iter().any(|known| known == id)) {
            ids.push(id.to_owned());
        }
    };
    for end in answer
        .get("ends")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        add(end.get("instance").and_then(Value::as_str));
    }
    for one in api.list(&format!("/v1/instances?{}", selector("run", &run.full())))? {
        add(one.get("id").and_then(Value::as_str));
    }
    let mut sources: Vec<Source> = ids.into_iter().map(|id| attempt_source(run, id)).collect();
    // A dag's attempts are those of the runs of its nodes.
    let nodes = answer.get("nodes").and_then(Value::as_object);
    for (node, state) in nodes.into_iter().flatten() {
        let Some(id) = state.get("run").and_then(Value::as_str) else {
            continue;
        };
        let inner = match runs::find(api, id) {
            Err(error) if error.exit() == Exit::NotFound => continue,
            inner => inner?,
        };
        for source in of_run(api, &inner)? {
            sources.push(Source {
                label: format!("{node}:{}", source.label),
                ..source
            });
        }
    }
    Ok(sources)
}

/// `job.INDEX`, and from the second attempt on `job.INDEX.ATTEMPT`.
fn attempt_source(run: &Run, id: String) -> Source {
    let mut parts = id.rsplitn(3, '.');
    let (attempt, index) = (parts.next(), parts.next());
    let label = match (index, attempt) {
        (Some(index), Some("0")) => format!("{}.{index}", run.name.last()),
        (Some(index), Some(attempt)) => format!("{}.{index}.{attempt}", run.name.last()),
        _ => id.clone(),
    };
    Source { id, label }
}
