//! What `mezz dev` is given to begin with: a task, or objects of any kinds; and how it goes, told to the person who
//! watches.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use mezz_spec::{Kind, Name};
use serde_json::Value;

use crate::client::api::{Api, LogQuery};
use crate::client::error::ClientError;
use crate::client::follow::Sinks;
use crate::client::objects::selected;
use crate::exit::Exit;
use crate::output::talk;
use crate::task_spec::TaskSpec;
use crate::verbs::follow;
use crate::verbs::objects::batch::Batch;
use crate::verbs::objects::files::{self, Source};
use crate::verbs::objects::foreign::{self, Origin};
use crate::verbs::objects::{apply, progress};

/// How long the first run of a cron is waited for.
const CRON_PATIENCE: Duration = Duration::from_secs(15);
/// How long the first run of a job is waited for: it may have no place.
const JOB_PATIENCE: Duration = Duration::from_mins(1);

/// What is run first.
#[derive(Debug)]
pub(crate) enum FirstWork {
    Task(Box<TaskSpec>),
    Objects(Source),
}

impl FirstWork {
    /// What a file holds: one `task:`, or objects with a `kind`.
    pub(crate) fn of_file(path: &Path) -> anyhow::Result<Self> {
        let source = files::source(path)?;
        let documents = mezz_spec::read::documents(&source.text, source.format);
        let is_objects = documents.is_ok_and(|documents| {
            documents.len() > 1
                || documents
                    .iter()
                    .any(|document| document.value.get("kind").is_some())
        }) || foreign::origin(&source) != Origin::Native;
        if !is_objects {
            let task = TaskSpec::of_yaml(&source.text).with_context(|| source.path.clone())?;
            return Ok(Self::Task(Box::new(task)));
        }
        if let Err(faults) = foreign::read(&source, None) {
            let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
            anyhow::bail!("{}: {}", source.path, lines.join("\n"));
        }
        Ok(Self::Objects(source))
    }

    /// Hands it to the master and tells how it goes.
    pub(crate) fn show(&self, master: &str) -> Result<(), ClientError> {
        let mut api = Api::new(master)?;
        match self {
            Self::Task(task) => show_task(&mut api, task),
            Self::Objects(source) => show_objects(&mut api, source),
        }
    }
}

const OUTPUT: LogQuery = LogQuery {
    stream: "both",
    follow: true,
    tail: None,
};

fn show_task(api: &mut Api, task: &TaskSpec) -> Result<(), ClientError> {
    let id = api.create_task(&task.to_json())?;
    let mut sinks = Sinks {
        stdout: &mut std::io::stdout(),
        stderr: &mut std::io::stderr(),
    };
    if let Some(end) = follow::to_the_end(api, &id, OUTPUT, &mut sinks)? {
        let message = end
            .message
            .as_deref()
            .filter(|message| !message.is_empty())
            .map_or_else(String::new, |text| format!(": {text}"));
        talk::note(&format!("task {id} ended as {}{message}", end.state));
    }
    Ok(())
}

fn show_objects(api: &mut Api, source: &Source) -> Result<(), ClientError> {
    let Some(batch) = Batch::of(std::slice::from_ref(source), None) else {
        return Ok(());
    };
    let Some(applied) = apply::send(api, &batch, false)? else {
        return Ok(());
    };
    for one in &applied {
        talk::note(&apply::line(one));
    }
    progress::follow(api, &apply::rollouts(&applied))?;
    for object in foreign::read(source, None)
        .map(|read| read.objects)
        .unwrap_or_default()
    {
        match object.spec.kind() {
            Kind::Service => show_endpoints(api, &object.name)?,
            Kind::Job if !is_manual(&object.spec) => {
                show_run(api, Kind::Job, &object.name, JOB_PATIENCE)?;
            }
            Kind::Cron => show_run(api, Kind::Cron, &object.name, CRON_PATIENCE)?,
            _ => {}
        }
    }
    Ok(())
}

fn is_manual(spec: &mezz_spec::Spec) -> bool {
    matches!(spec, mezz_spec::Spec::Job(job) if job.start == mezz_spec::job::Start::Manual)
}

/// Says where a service is reached.
fn show_endpoints(api: &mut Api, name: &Name) -> Result<(), ClientError> {
    for endpoint in api.list(&format!("/v1/endpoints{name}"))? {
        let text = |key| {
            endpoint
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let port = endpoint.get("port").and_then(Value::as_u64);
        let (place, port) = (text("ip"), port.unwrap_or_default());
        let port_name = text("name");
        talk::note(&format!("service {name}: {port_name} at {place}:{port}"));
    }
    Ok(())
}

/// Shows what the first run of an object writes.
fn show_run(api: &mut Api, kind: Kind, name: &Name, patience: Duration) -> Result<(), ClientError> {
    let deadline = Instant::now() + patience;
    let runs = selected("/v1/runs", Some(name.as_str()), &[]);
    let own = |run: &Value| {
        let ended = run.get("ended_at").is_some_and(|at| !at.is_null());
        (ended && run.get("name").and_then(Value::as_str) == Some(name.as_str()))
            .then(|| run.clone())
    };
    // A list with a query is read again and again, since it is short and seldom changes for long.
    let run = loop {
        if let Some(run) = api.list(&runs)?.iter().find_map(own) {
            break Some(run);
        }
        if Instant::now() > deadline {
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let Some(run) = run else {
        talk::note(&format!("{kind} {name}: no run has ended yet"));
        return Ok(());
    };
    let text = |value: &Value, key| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let (id, state) = (text(&run, "id"), text(&run, "state"));
    let (id, state) = (id.unwrap_or_default(), state.unwrap_or_default());
    talk::note(&format!("{kind} {name}: run {id} {state}"));
    let ends = run.get("ends").and_then(Value::as_array);
    for instance in ends
        .into_iter()
        .flatten()
        .filter_map(|end| text(end, "instance"))
    {
        let mut sinks = Sinks {
            stdout: &mut std::io::stdout(),
            stderr: &mut std::io::stderr(),
        };
        let query = LogQuery {
            follow: false,
            ..OUTPUT
        };
        match follow::what_is_there(api, &instance, query, &mut sinks) {
            Err(error) if error.exit() == Exit::NotFound => {}
            shown => shown?,
        }
    }
    Ok(())
}
