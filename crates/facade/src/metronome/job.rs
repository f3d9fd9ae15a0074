//! Metronome's jobs as our jobs: a job as it was given is kept beside the spec that was made of it, so that it is answered
//! as it was given for as long as nobody has changed the job otherwise.

use std::collections::BTreeMap;

use mezz_spec::cron::Overlap;
use mezz_spec::job::{After, Job, Start};
use mezz_spec::{Name, Object, Spec};
use serde_json::{Map, Value};

use super::{ids, run_spec, schedule};
use crate::reading::{Fault, Faults, Members, faults_of, of_spec};

/// Where the job as it was given is kept.
pub(super) const JOB: &str = "metronome/job";

/// Members that Metronome answers and clients send back.
const ANSWERED: [&str; 3] = ["activeRuns", "history", "historySummary"];

/// A job as somebody wrote it.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) id: Option<String>,
    /// Without schedules and what is only answered.
    pub(super) job: Value,
    pub(super) schedules: Vec<Value>,
}

impl Written {
    /// Parts a body.
    pub(super) fn new(body: Value) -> Result<Self, Vec<Fault>> {
        let Value::Object(mut members) = body else {
            return Err(vec![fault("", "an object is wanted")]);
        };
        members.retain(|_, value| !value.is_null());
        for key in ANSWERED {
            members.remove(key);
        }
        let id = match members.remove("id") {
            None => None,
            Some(Value::String(id)) => Some(id),
            Some(_) => return Err(vec![fault("/id", "a text is wanted")]),
        };
        let schedules = match members.remove("schedules") {
            None => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(vec![fault("/schedules", "a list is wanted")]),
        };
        if schedules.len() > 1 {
            return Err(vec![fault(
                "/schedules",
                "a job has one schedule at most; write a second job",
            )]);
        }
        let depends = |value: &Value| value.as_array().is_none_or(|list| !list.is_empty());
        if !schedules.is_empty() && members.get("dependencies").is_some_and(depends) {
            return Err(vec![fault("/", BOTH)]);
        }
        Ok(Self {
            id,
            job: Value::Object(members),
            schedules,
        })
    }

    /// The job and, where the body has a schedule, its cron. All faults are told.
    pub(super) fn objects(&self, name: &Name) -> Result<Vec<Object>, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut objects = Vec::new();
        match object_of(name, &self.job) {
            Ok(job) => objects.push(job),
            Err(told) => faults.extend(told),
        }
        for (index, value) in self.schedules.iter().enumerate() {
            match schedule::read(name, value, None) {
                Ok(written) => objects.push(written.object),
                Err(told) => faults.extend(told.into_iter().map(|mut fault| {
                    fault.path = format!("/schedules/{index}{}", fault.path);
                    fault
                })),
            }
        }
        if faults.is_empty() {
            Ok(objects)
        } else {
            Err(faults)
        }
    }
}

/// What Metronome says of jobs that would be started by a schedule and by others.
pub(super) const BOTH: &str = "Jobs may not have both dependencies and schedules specified";

fn fault(path: &str, message: &str) -> Fault {
    Fault {
        path: path.into(),
        message: message.into(),
    }
}

/// Makes a job of one that has been parted. All faults are told.
pub(super) fn object_of(name: &Name, job: &Value) -> Result<Object, Vec<Fault>> {
    let faults = Faults::default();
    let object = read(name, job, &faults);
    if !faults.is_empty() {
        return Err(faults.into_list());
    }
    let object = object.ok_or_else(Vec::new)?;
    let told = faults_of(&object);
    if told.is_empty() {
        return Ok(object);
    }
    Err(of_spec(&told, "/run"))
}

/// The objects that a job as Metronome writes it means, for files that are converted: without what the API keeps for
/// itself.
pub fn converted(body: Value) -> Result<Vec<Object>, Vec<Fault>> {
    let written = Written::new(body)?;
    let id = written.id.as_deref().unwrap_or_default();
    let name = ids::name_of(id).map_err(|message| vec![fault("/id", &message)])?;
    let mut objects = written.objects(&name)?;
    for object in &mut objects {
        match &mut object.spec {
            Spec::Job(job) => job.annotations.clear(),
            Spec::Cron(cron) => cron.annotations.clear(),
            _ => {}
        }
    }
    Ok(objects)
}

/// The members that Metronome drops, which are some of its schedules, for those who want to tell of them. Of a job that
/// cannot be read: none.
pub fn unknown_members(body: Value) -> Vec<Fault> {
    let Ok(written) = Written::new(body) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (index, schedule) in written.schedules.iter().enumerate() {
        for mut fault in schedule::unknown_members(schedule) {
            fault.path = format!("/schedules/{index}{}", fault.path);
            found.push(fault);
        }
    }
    found
}

fn read(name: &Name, job: &Value, faults: &Faults) -> Option<Object> {
    let members = Members::new(job, "", faults)?;
    let labels = members.pairs("labels").unwrap_or_default();
    members.text("description");
    let after = dependencies(&members);
    if members.value("run").is_none() {
        members.tell("run", "it is missing");
    }
    let run = members.object("run");
    members.finish();
    let run = run?;
    let spec = Job {
        start: Start::Manual,
        after,
        annotations: BTreeMap::from([(JOB.to_owned(), job.to_string())]),
        ..run_spec::read(&run)
    };
    Some(Object {
        name: name.clone(),
        labels,
        spec: Spec::Job(Box::new(spec)),
        generation: None,
    })
}

/// A job runs when all that it depends on have succeeded since its last run.
fn dependencies(members: &Members<'_>) -> Option<After> {
    let mut jobs = Vec::new();
    for one in members.objects("dependencies")? {
        match one.text("id").map(ids::name_of) {
            Some(Ok(name)) if jobs.contains(&name) => {
                members.tell("dependencies", "has double entries");
            }
            Some(Ok(name)) => jobs.push(name),
            Some(Err(error)) => one.tell("id", error),
            None => one.tell("id", "it is missing"),
        }
        one.finish();
    }
    (!jobs.is_empty()).then_some(After {
        jobs,
        overlap: Overlap::Queue,
    })
}

/// The job as it was given, when the spec is still what was made of it.
pub(super) fn given(name: &Name, job: &Job) -> Option<Map<String, Value>> {
    let written: Value = serde_json::from_str(job.annotations.get(JOB)?).ok()?;
    let again = object_of(name, &written).ok()?;
    let Spec::Job(mut again) = again.spec else {
        return None;
    };
    again.annotations.clone_from(&job.annotations);
    if *again != *job {
        return None;
    }
    match written {
        Value::Object(members) => Some(members),
        _ => None,
    }
}
