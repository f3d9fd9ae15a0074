//! A job of Chronos as somebody wrote it, and what is made of it here: a job, and a cron when it has times to come.

use std::collections::BTreeMap;

use mezz_spec::cron::{CatchUp, Cron, Overlap, Reference, Target};
use mezz_spec::job::{After, Job, Start};
use mezz_spec::quantity::Span;
use mezz_spec::{Name, Object, Spec};
use mezz_state::time::Wall;
use serde_json::{Map, Value};

use super::schedule::{Parts, Times};
use super::{kept, names, template};
use crate::reading::{Fault, Faults, Members, faults_of, of_spec, seconds};

/// Where the job as it was given is kept.
pub(super) const JOB: &str = "chronos/job";
const RETRIES: u64 = 2;
/// Between a failure and the next attempt.
const RETRY_SECONDS: u64 = 60;
const URGENT: i32 = 10;
/// A start that could not be honoured for so long is made up for.
const LATEST_DAYS: u64 = 30;

/// Members that Chronos answers and clients send back, and what only versions before 3 knew.
const PASSED: [&str; 8] = [
    "name",
    "successCount",
    "errorCount",
    "lastSuccess",
    "lastError",
    "errorsSinceLastSuccess",
    "invocationCount",
    "jobType",
];
const NUMBERS: [&str; 5] = ["cpus", "mem", "disk", "retries", "maxCompletionTime"];
const FLAGS: [&str; 7] = [
    "disabled",
    "concurrent",
    "softError",
    "highPriority",
    "shell",
    "async",
    "dataProcessingJobType",
];

/// A job as somebody wrote it.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) name: String,
    pub(super) body: Value,
    pub(super) parents: Vec<String>,
    pub(super) schedule: Option<String>,
}

impl Written {
    /// Parts a body. Numbers and flags may be written as texts, as Chronos reads them.
    pub(super) fn new(body: Value) -> Result<Self, Vec<Fault>> {
        let Value::Object(mut members) = body else {
            return Err(vec![fault("", "an object is wanted")]);
        };
        loosen(&mut members);
        let name = match members.get("name") {
            Some(Value::String(name)) => name.clone(),
            _ => return Err(vec![fault("/name", "the job's name is missing")]),
        };
        names::check(&name).map_err(|message| vec![fault("/name", &message)])?;
        let parents = match members.get("parents") {
            None => Vec::new(),
            Some(Value::Array(list)) => texts(list)?,
            Some(_) => return Err(vec![fault("/parents", "a list of names is wanted")]),
        };
        let schedule = match members.get("schedule") {
            None => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => return Err(vec![fault("/schedule", "a text is wanted")]),
        };
        if schedule.is_some() && !parents.is_empty() {
            let message = "a job has a schedule or parents, not both";
            return Err(vec![fault("/schedule", message)]);
        }
        Ok(Self {
            name,
            body: Value::Object(members),
            parents,
            schedule,
        })
    }

    fn zone(&self) -> &str {
        self.body["scheduleTimeZone"].as_str().unwrap_or_default()
    }

    /// When it is to run by itself.
    pub(super) fn times(&self, now: Wall) -> Result<Option<Times>, Vec<Fault>> {
        let Some(schedule) = &self.schedule else {
            return Ok(None);
        };
        let parts = Parts::parse(schedule, self.zone())
            .map_err(|message| vec![fault("/schedule", &message)])?;
        Ok(Some(parts.times(now)))
    }
}

fn fault(path: &str, message: &str) -> Fault {
    Fault {
        path: path.into(),
        message: message.into(),
    }
}

fn texts(list: &[Value]) -> Result<Vec<String>, Vec<Fault>> {
    let mut texts: Vec<String> = Vec::new();
    for value in list {
        match value {
            Value::String(text) if texts.contains(text) => {}
            Value::String(text) => texts.push(text.clone()),
            _ => return Err(vec![fault("/parents", "a list of names is wanted")]),
        }
    }
    Ok(texts)
}

fn loosen(members: &mut Map<String, Value>) {
    members.retain(|_, value| !value.is_null());
    for key in ["schedule", "scheduleTimeZone", "epsilon"] {
        if members.get(key).is_some_and(|value| value == "") {
            members.remove(key);
        }
    }
    if members
        .get("parents")
        .is_some_and(|value| value == &Value::Array(Vec::new()))
    {
        members.remove("parents");
    }
    for key in NUMBERS {
        let read = members.get(key).and_then(Value::as_str).map(str::trim);
        if let Some(number) = read.and_then(|text| serde_json::from_str::<Value>(text).ok())
            && number.is_number()
        {
            members.insert(key.into(), number);
        }
    }
    for key in FLAGS {
        let read = members.get(key).and_then(Value::as_str);
        let flag = match read.map(str::to_ascii_lowercase).as_deref() {
            Some("true") => true,
            Some("false" | "") => false,
            _ => continue,
        };
        members.insert(key.into(), flag.into());
    }
}

/// The objects that a job as Chronos writes it means, for files that are converted: with its schedule as it is written,
/// and without what the API keeps for itself.
pub fn converted(body: Value) -> Result<Vec<Object>, Vec<Fault>> {
    let written = Written::new(body)?;
    let times = match &written.schedule {
        Some(schedule) => Some(
            Parts::parse(schedule, written.zone())
                .map_err(|message| vec![fault("/schedule", &message)])?
                .as_written(),
        ),
        None => None,
    };
    let mut objects = objects_of(&written, times.as_ref())?;
    for object in &mut objects {
        if let Spec::Job(job) = &mut object.spec {
            job.annotations.remove(JOB);
        }
    }
    Ok(objects)
}

/// The members of a job that Chronos drops, for those who want to tell of them. Of a job that cannot be read: none.
pub fn unknown_members(body: Value) -> Vec<Fault> {
    let faults = Faults::default();
    let Ok(written) = Written::new(body) else {
        return Vec::new();
    };
    read(&written, &faults);
    faults.into_unknown()
}

/// What is made of a job. All faults are told.
pub(super) fn objects_of(
    written: &Written,
    times: Option<&Times>,
) -> Result<Vec<Object>, Vec<Fault>> {
    let faults = Faults::dropping();
    let read = read(written, &faults);
    if !faults.is_empty() {
        return Err(faults.into_list());
    }
    let (job, rules) = read.ok_or_else(Vec::new)?;
    let name = names::name_of(&written.name);
    let cron = times
        .filter(|times| !times.schedules.is_empty())
        .map(|times| Spec::Cron(Box::new(cron(&name, times, &rules))));
    let objects: Vec<Object> = [Some(Spec::Job(Box::new(job))), cron]
        .into_iter()
        .flatten()
        .map(|spec| Object {
            name: name.clone(),
            labels: BTreeMap::new(),
            spec,
            generation: None,
        })
        .collect();
    let told: Vec<Fault> = objects
        .iter()
        .flat_map(|object| of_spec(&faults_of(object), ""))
        .collect();
    if told.is_empty() {
        Ok(objects)
    } else {
        Err(told)
    }
}

/// What a job says of its starts.
struct Rules {
    enabled: bool,
    overlap: Overlap,
    latest: Span,
}

fn cron(name: &Name, times: &Times, rules: &Rules) -> Cron {
    let target = Target::JobRef(Reference {
        name: name.clone(),
        parameters: BTreeMap::new(),
    });
    Cron {
        schedules: times.schedules.clone(),
        time_zone: times.zone.clone(),
        enabled: rules.enabled,
        starting_deadline: rules.latest,
        overlap: rules.overlap,
        catch_up: CatchUp::Last,
        ..Cron::of(String::new(), target)
    }
}

fn read(written: &Written, faults: &Faults) -> Option<(Job, Rules)> {
    let members = Members::new(&written.body, "", faults)?;
    members.pass(&PASSED);
    members.pass(&["schedule", "parents"]);
    // These mean nothing here, but are answered.
    for key in ["owner", "ownerName", "description", "scheduleTimeZone"] {
        members.text(key);
    }
    for key in ["async", "dataProcessingJobType"] {
        members.flag(key);
    }
    let rules = rules(&members);
    let is_after = rules.enabled && !written.parents.is_empty();
    let after = is_after.then(|| After {
        jobs: written
            .parents
            .iter()
            .map(|parent| names::name_of(parent))
            .collect(),
        overlap: rules.overlap,
    });
    let longest = members.number("maxCompletionTime").unwrap_or(0.0);
    let template = template::read(&members, written);
    let mut job = Job {
        start: Start::Manual,
        after,
        placement: template::placement(&members),
        retries: retries(&members),
        ignore_failure: members.flag("softError").unwrap_or(false),
        attempt_timeout: (longest > 0.0).then(|| seconds(longest)),
        priority: if members.flag("highPriority").unwrap_or(false) {
            URGENT
        } else {
            0
        },
        annotations: BTreeMap::from([(JOB.to_owned(), kept::text(&written.body))]),
        ..Job::of(template)
    };
    job.backoff.initial = Span::seconds(RETRY_SECONDS);
    job.backoff.max = Span::seconds(RETRY_SECONDS);
    members.finish();
    Some((job, rules))
}

fn retries(members: &Members<'_>) -> u32 {
    let retries = members.whole("retries", 1_000_000).unwrap_or(RETRIES);
    u32::try_from(retries).unwrap_or(u32::MAX)
}

fn rules(members: &Members<'_>) -> Rules {
    let is_concurrent = members.flag("concurrent").unwrap_or(false);
    let mut latest = Span::seconds(LATEST_DAYS * 86_400);
    if let Some(text) = members.text("epsilon") {
        match template::period(text) {
            Some(span) => latest = span.max(Span::seconds(1)),
            None => members.tell(
                "epsilon",
                format!("'{text}' is no period such as PT15M or P1D"),
            ),
        }
    }
    Rules {
        enabled: !members.flag("disabled").unwrap_or(false),
        overlap: if is_concurrent {
            Overlap::Allow
        } else {
            Overlap::Forbid
        },
        latest,
    }
}
