//! A job of Chronos as it is answered.

use std::collections::BTreeMap;

use mezz_spec::cron::{Cron, Target};
use mezz_spec::schedule::Schedule;
use mezz_spec::template::Command;
use mezz_spec::{Kind, Name};
use mezz_state::time::Wall;
use mezz_workload::key::ObjectKey;
use mezz_workload::records::{JobStatus, ObjectRecord, RunState, Status};
use serde_json::{Map, Value, json};

use super::kept::Kept;
use super::schedule::Parts;
use super::{errors, names};
use crate::answer::Answer;
use crate::instant::zulu;
use crate::reading::decimal;
use crate::world::{World, as_cron, job_status};

/// All jobs of Chronos, by their names here.
pub(super) fn all<'w>(world: &World<'w>) -> Vec<Kept<'w>> {
    world.of_kind(Kind::Job).filter_map(Kept::of).collect()
}

/// The job of Chronos with this name.
pub(super) fn find<'w>(world: &World<'w>, name: &str) -> Result<Kept<'w>, Answer> {
    world
        .object(Kind::Job, &names::name_of(name))
        .and_then(Kept::of)
        .filter(|kept| kept.name == name)
        .ok_or_else(|| errors::no_job(name))
}

/// The cron beside a job.
pub(super) fn cron_of<'w>(world: &World<'w>, name: &Name) -> Option<&'w ObjectRecord> {
    let record = world.object(Kind::Cron, name)?;
    match &as_cron(record)?.run {
        Target::JobRef(reference) if reference.name == *name => Some(record),
        _ => None,
    }
}

/// How many runs of each job wait and run.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity(BTreeMap<ObjectKey, (u32, u32)>);

impl Activity {
    pub(super) fn of(world: &World<'_>) -> Self {
        let mut all: BTreeMap<ObjectKey, (u32, u32)> = BTreeMap::new();
        for (_, run) in world.work.runs.iter() {
            match run.state {
                RunState::Pending => all.entry(run.object).or_default().0 += 1,
                RunState::Running => all.entry(run.object).or_default().1 += 1,
                _ => {}
            }
        }
        Self(all)
    }

    fn count(&self, key: ObjectKey) -> (u32, u32) {
        self.0.get(&key).copied().unwrap_or_default()
    }

    /// `idle`, `queued`, or how many run.
    pub(super) fn state(&self, key: ObjectKey) -> String {
        match self.count(key) {
            (0, 0) => "idle".into(),
            (_, 0) => "queued".into(),
            (_, running) => format!("{running} running"),
        }
    }

    /// Whether anything goes on.
    pub(super) fn is_active(&self, key: ObjectKey) -> bool {
        self.count(key) != (0, 0)
    }
}

/// How the last run ended.
pub(super) fn last_state(status: &JobStatus) -> &'static str {
    match (status.last_success_at, status.last_failure_at) {
        (None, None) => "fresh",
        (Some(_), None) => "success",
        (Some(success), Some(failure)) if success > failure => "success",
        _ => "failure",
    }
}

/// When a job is to run by itself, and whether it is.
pub(super) struct Standing {
    pub(super) schedule: Option<String>,
    pub(super) is_disabled: bool,
}

pub(super) fn standing(world: &World<'_>, kept: &Kept<'_>, activity: &Activity) -> Standing {
    let given = kept.text("schedule");
    if given.is_empty() {
        return Standing {
            schedule: None,
            is_disabled: kept.job.after.is_none() && !kept.parents.is_empty()
                || kept.flag("disabled"),
        };
    }
    let cron =
        cron_of(world, &kept.record.name).and_then(|record| Some((as_cron(record)?, record)));
    let Some((cron, record)) = cron else {
        return Standing {
            schedule: Some(given.to_owned()),
            is_disabled: true,
        };
    };
    let is_paused = match &record.status {
        Status::Cron(status) => status.paused.is_some(),
        _ => false,
    };
    let (schedule, is_over) = coming(kept, cron, record, world.now);
    Standing {
        schedule: Some(schedule),
        is_disabled: !cron.enabled || is_paused || is_over && !activity.is_active(kept.record.key),
    }
}

/// The schedule as it stands now, and whether there is nothing to come.
fn coming(kept: &Kept<'_>, cron: &Cron, record: &ObjectRecord, now: Wall) -> (String, bool) {
    let given = kept.text("schedule");
    let parts = Parts::parse(given, kept.text("scheduleTimeZone"));
    let (Ok(parts), Ok(schedule)) = (parts, Schedule::of(cron, record.created_at.0)) else {
        return (given.to_owned(), false);
    };
    let decided = match &record.status {
        Status::Cron(status) => status.decided_until.max(Wall(now.0.saturating_sub(1))),
        _ => now,
    };
    if parts.is_ahead(decided) {
        return (given.to_owned(), false);
    }
    match schedule.next_after(decided.0) {
        Some(next) => (
            parts.shown(schedule.left_after(decided.0), Wall(next)),
            false,
        ),
        None => (parts.shown(Some(0), decided), true),
    }
}

/// A job.
pub(super) fn job(world: &World<'_>, kept: &Kept<'_>, activity: &Activity) -> Value {
    let status = job_status(kept.record);
    let standing = standing(world, kept, activity);
    let mut all = defaults(kept);
    let body = kept
        .body
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()));
    all.extend(body.filter(|(key, _)| key != "jobType" && key != "async"));
    all.extend(present(kept));
    for (key, value) in [
        ("successCount", status.succeeded),
        ("errorCount", status.failed),
        ("errorsSinceLastSuccess", status.failures),
    ] {
        all.insert(key.into(), value.into());
    }
    for (key, at) in [
        ("lastSuccess", status.last_success_at),
        ("lastError", status.last_failure_at),
    ] {
        all.insert(key.into(), at.map(zulu).unwrap_or_default().into());
    }
    all.insert("disabled".into(), standing.is_disabled.into());
    match standing.schedule {
        Some(schedule) => {
            all.insert("schedule".into(), schedule.into());
            all.entry("scheduleTimeZone").or_insert_with(|| "".into());
        }
        None => {
            all.insert("parents".into(), kept.parents.clone().into());
        }
    }
    copy_fetch(&mut all);
    Value::Object(all)
}

fn defaults(kept: &Kept<'_>) -> Map<String, Value> {
    let defaults = json!({
        "name": kept.name,
        "shell": true,
        "executor": "",
        "executorFlags": "",
        "taskInfoData": "",
        "owner": "",
        "ownerName": "",
        "description": "",
        "softError": false,
        "dataProcessingJobType": false,
        "fetch": [],
        "uris": [],
        "environmentVariables": [],
        "arguments": [],
        "highPriority": false,
        "runAsUser": "",
        "concurrent": false,
        "maxCompletionTime": 0,
        "constraints": [],
    });
    match defaults {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// What the job is now, whoever has changed it.
fn present(kept: &Kept<'_>) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("retries".into(), kept.job.retries.into());
    let Some(container) = kept.job.template.containers.first() else {
        return members;
    };
    let (command, arguments) = match &container.command {
        Some(Command::Shell(text)) => (text.clone(), None),
        Some(Command::Words(words)) => (
            words.first().cloned().unwrap_or_default(),
            Some(words.iter().skip(1).cloned().collect::<Vec<_>>()),
        ),
        None => (String::new(), None),
    };
    members.insert("command".into(), command.into());
    if let Some(arguments) = arguments {
        members.insert("arguments".into(), arguments.into());
    }
    let resources = &container.resources;
    members.insert("cpus".into(), decimal(resources.cpus.0));
    members.insert("mem".into(), decimal(resources.mem.mebibytes_thousandths()));
    members.insert(
        "disk".into(),
        decimal(resources.disk.mebibytes_thousandths()),
    );
    members
}

/// What is under `uris` is answered under `fetch`, too, and the other way round.
fn copy_fetch(all: &mut Map<String, Value>) {
    let list = |key: &str| all.get(key).and_then(Value::as_array).cloned();
    let (fetch, uris) = (
        list("fetch").unwrap_or_default(),
        list("uris").unwrap_or_default(),
    );
    if fetch.is_empty() {
        let fetch: Vec<Value> = uris
            .iter()
            .map(|uri| json!({ "uri": uri, "executable": false, "cache": false, "extract": true }))
            .collect();
        all.insert("fetch".into(), fetch.into());
    } else if uris.is_empty() {
        let uris: Vec<Value> = fetch.iter().map(|one| one["uri"].clone()).collect();
        all.insert("uris".into(), uris.into());
    }
}
