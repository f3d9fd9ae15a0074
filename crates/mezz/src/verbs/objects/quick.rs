//! `mezz run --service|--job|--cron -- COMMAND`: an object from the command line, as one would write it into a file.

use mezz_spec::{Kind, Name};
use serde_json::{Map, Value, json};

use super::apply::{self, line, rollouts};
use super::batch::Batch;
use super::progress::{self, Stay};
use super::run;
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::objects::{self, path};
use crate::exit::Exit;
use crate::object_args::Waiting;
use crate::output::{show, talk, yaml};
use crate::run_args::{QuickArgs, RunArgs};
use crate::task_spec::{CommandSpec, TaskSpec, UriSpec};

/// Which kind of object runs the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape<'a> {
    Service,
    Job,
    Cron(&'a str),
}

impl<'a> Shape<'a> {
    fn of(args: &'a QuickArgs) -> Option<Self> {
        match (&args.cron, args.service, args.job) {
            (Some(schedule), ..) => Some(Self::Cron(schedule)),
            (None, true, _) => Some(Self::Service),
            (None, false, true) => Some(Self::Job),
            (None, false, false) => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Job => "job",
            Self::Cron(_) => "cron",
        }
    }
}

/// Whether an object is asked for instead of a single task.
pub(in super::super) fn is_wanted(args: &RunArgs) -> bool {
    Shape::of(&args.quick).is_some()
}

/// Applies the object, or prints it; a job is run, and a service waited for.
pub(in super::super) fn quick(master: &str, args: &RunArgs) -> Result<Exit, ClientError> {
    let Some(shape) = Shape::of(&args.quick) else {
        let message = "no kind of object is asked for".to_owned();
        return Err(ClientError::Usage(message));
    };
    let (name, object) = object(shape, args)?;
    if args.quick.print {
        show::write(&yaml::yaml(&object))?;
        return Ok(Exit::Ok);
    }
    let mut api = Api::new(master)?;
    let Some(applied) = apply::send(&mut api, &Batch::of_value(&object), false)? else {
        return Ok(Exit::Refused);
    };
    let lines: String = applied.iter().map(|one| line(one) + "\n").collect();
    let waiting = Waiting {
        wait: !args.detach,
        no_wait: args.detach,
    };
    match shape {
        Shape::Service => {
            show::write(&lines)?;
            if !Stay::of(waiting).is_wanted() {
                return Ok(Exit::Ok);
            }
            progress::follow(&mut api, &rollouts(&applied))
        }
        Shape::Job => {
            talk::note(lines.trim_end());
            run::begin(&mut api, Kind::Job, &name, &json!({}), waiting)
        }
        Shape::Cron(_) => {
            show::write(&lines)?;
            let cron = api.value(&path(Kind::Cron, &name))?;
            if let Some(at) = cron.pointer("/status/next_at").and_then(Value::as_str) {
                let tip = format!("`mezz logs cron{name}` shows its last run");
                talk::note(&format!("it fires next at {at}; {tip}"));
            }
            Ok(Exit::Ok)
        }
    }
}

fn object(shape: Shape<'_>, args: &RunArgs) -> Result<(Name, Value), ClientError> {
    let word = shape.word();
    let Some(name) = &args.name else {
        let message = format!("a {word} needs a --name, such as /team/app");
        return Err(ClientError::Usage(message));
    };
    if args.id.is_some() {
        let message = "--id is for tasks and runs: an object has its --name".to_owned();
        return Err(ClientError::Usage(message));
    }
    let name = objects::name(name)?;
    let variable = |name: &str| std::env::var(name).ok();
    let task = TaskSpec::of_arguments(args, variable);
    let task = task.map_err(|error| ClientError::Usage(error.to_string()))?;
    let mut object = json!({ "kind": word, "name": name.as_str() });
    if !task.labels.is_empty() {
        object["labels"] = json!(task.labels);
    }
    object["spec"] = spec(shape, &task, &args.quick);
    Ok((name, object))
}

fn spec(shape: Shape<'_>, task: &TaskSpec, quick: &QuickArgs) -> Value {
    let mut own = Map::new();
    own.insert("template".to_owned(), template(task));
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            own.insert(key.to_owned(), value);
        }
    };
    put("role", task.role.as_ref().map(|role| json!(role)));
    put("priority", task.priority.map(|number| json!(number)));
    match shape {
        Shape::Service => put("replicas", quick.replicas.map(|count| json!(count))),
        Shape::Job | Shape::Cron(_) => {
            put("completions", quick.completions.map(|count| json!(count)));
            put("parallelism", quick.parallelism.map(|count| json!(count)));
            put("retries", quick.retries.map(|count| json!(count)));
        }
    }
    match shape {
        Shape::Service => Value::Object(own),
        Shape::Job => {
            // Each call begins a run of its own, also when the job is there already.
            own.insert("start".to_owned(), json!("manual"));
            Value::Object(own)
        }
        Shape::Cron(schedule) => {
            let mut cron = json!({ "schedules": [schedule], "run": { "job": own } });
            if let Some(zone) = &quick.time_zone {
                cron["time_zone"] = json!(zone);
            }
            cron
        }
    }
}

fn template(task: &TaskSpec) -> Value {
    let command = match &task.command {
        CommandSpec::Shell(text) => json!(text),
        CommandSpec::Words(words) => json!(words),
    };
    let mut container = json!({ "command": command });
    let amounts = [
        ("cpus", task.cpus),
        ("mem", task.mem),
        ("disk", task.disk),
        ("gpus", task.gpus),
    ];
    let amounts = amounts
        .into_iter()
        .filter_map(|(name, amount)| Some((name.to_owned(), number(amount?))));
    let amounts: Map<String, Value> = amounts.collect();
    if !amounts.is_empty() {
        container["resources"] = Value::Object(amounts);
    }
    if !task.env.is_empty() {
        container["env"] = json!(task.env);
    }
    if let Some(count) = task.ports.filter(|count| *count > 0) {
        let ports = (0..count).map(|index| json!({ "name": format!("port{index}") }));
        container["ports"] = ports.collect();
    }
    let uris = task.uris.iter().map(|uri| match uri {
        UriSpec::Plain(uri) => json!({ "uri": uri }),
        UriSpec::Full(full) => json!(full),
    });
    let uris: Vec<Value> = uris.collect();
    if !uris.is_empty() {
        container["artifacts"] = json!(uris);
    }
    let mut template = json!({ "containers": [container] });
    if let Some(user) = &task.user {
        template["user"] = json!(user);
    }
    if let Some(grace) = task.kill_grace_period_secs {
        template["kill"] = json!({ "grace": grace });
    }
    template
}

/// Whole where it is: a count of GPUs is one.
fn number(amount: f64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a whole number within bounds"
    )]
    if amount.fract() == 0.0 && amount.abs() < 1e15 {
        json!(amount as i64)
    } else {
        json!(amount)
    }
}
