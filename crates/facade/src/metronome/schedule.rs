//! A schedule of Metronome as a cron of ours, and back.

use std::collections::BTreeMap;

use mezz_spec::cron::{Cron, Overlap, Reference, Target};
use mezz_spec::quantity::Span;
use mezz_spec::schedule::{Schedule, is_zone, nearest_zone};
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_state::time::Wall;
use mezz_workload::records::ObjectRecord;
use serde_json::{Value, json};

use crate::instant::with_offset;
use crate::reading::{Fault, Faults, Members, faults_of, of_spec};
use crate::world::{World, as_cron};

/// Where the schedule as it was given is kept.
const SCHEDULE: &str = "metronome/schedule";
/// The id of a schedule that was written by other means.
const UNNAMED: &str = "default";
const LEAST_DEADLINE: u64 = 60;
const DEADLINE: u64 = 900;

/// A schedule that somebody wrote.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) id: String,
    pub(super) object: Object,
}

/// Reads the schedule of the job with this name. With an id, the schedule's own does not matter.
pub(super) fn read(job: &Name, value: &Value, id: Option<&str>) -> Result<Written, Vec<Fault>> {
    let faults = Faults::dropping();
    let read = members(job, value, id, &faults);
    match read {
        Some(read) if faults.is_empty() => {
            let told = faults_of(&read.object);
            if told.is_empty() {
                return Ok(read);
            }
            Err(of_spec(&told, ""))
        }
        _ => Err(faults.into_list()),
    }
}

/// The members of a schedule that Metronome drops.
pub(super) fn unknown_members(value: &Value) -> Vec<Fault> {
    let faults = Faults::default();
    let name = Name::new("/job").expect("it is a name");
    members(&name, value, None, &faults);
    faults.into_unknown()
}

fn members(job: &Name, value: &Value, id: Option<&str>, faults: &Faults) -> Option<Written> {
    let members = Members::new(value, "", faults)?;
    members.pass(&["nextRunAt"]);
    let own = members.text("id");
    let id = match (id, own) {
        (Some(id), _) => id.to_owned(),
        (None, Some(own)) => own.to_owned(),
        (None, None) => {
            members.tell("id", "it is missing");
            String::new()
        }
    };
    if let Err(message) = super::ids::name_of(&id) {
        members.tell("id", message);
    }
    let deadline = members.whole("startingDeadlineSeconds", 1_000_000_000);
    if deadline.is_some_and(|seconds| seconds < LEAST_DEADLINE) {
        members.tell(
            "startingDeadlineSeconds",
            format!("it is at least {LEAST_DEADLINE}"),
        );
    }
    let zone = members.text("timezone").unwrap_or("UTC");
    if !is_zone(zone) {
        let near = nearest_zone(zone).map(|near| format!("; did you mean '{near}'?"));
        members.tell(
            "timezone",
            format!(
                "No time zone found with this id: {zone}{}",
                near.unwrap_or_default()
            ),
        );
    }
    let policies = [("ALLOW", Overlap::Allow), ("FORBID", Overlap::Forbid)];
    let overlap = members.word("concurrencyPolicy", &policies);
    let enabled = members.flag("enabled").unwrap_or(true);
    let schedule = fields(&members);
    members.finish();
    let mut kept = value.clone();
    if let Some(kept) = kept.as_object_mut() {
        kept.insert("id".into(), id.as_str().into());
        kept.retain(|key, value| !value.is_null() && key != "nextRunAt");
    }
    let target = Target::JobRef(Reference {
        name: job.clone(),
        parameters: BTreeMap::new(),
    });
    let cron = Cron {
        time_zone: zone.to_owned(),
        enabled,
        starting_deadline: Span::seconds(deadline.unwrap_or(DEADLINE)),
        overlap: overlap.unwrap_or_default(),
        annotations: BTreeMap::from([(SCHEDULE.to_owned(), kept.to_string())]),
        ..Cron::of(schedule?, target)
    };
    Some(Written {
        id,
        object: Object {
            name: job.clone(),
            labels: BTreeMap::new(),
            spec: Spec::Cron(Box::new(cron)),
            generation: None,
        },
    })
}

/// A cron expression of five fields; of a sixth, the year, only `*` is taken.
fn fields(members: &Members<'_>) -> Option<String> {
    let Some(text) = members.text("cron") else {
        if members.value("cron").is_none() {
            members.tell("cron", "it is missing");
        }
        return None;
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let five = match words.as_slice() {
        [five @ .., "*" | "?"] if five.len() == 5 => five,
        [_, _, _, _, _, year] => {
            let message = format!("schedules of certain years are not built yet: '{year}'");
            members.tell("cron", message);
            return None;
        }
        five if five.len() == 5 => five,
        _ => {
            let message = format!(
                "a cron expression has five fields, or six with the year, not {}",
                words.len()
            );
            members.tell("cron", message);
            return None;
        }
    };
    let expression = five.join(" ");
    if let Err(error) = Schedule::parse(&[&expression], "UTC") {
        members.tell("cron", error.to_string());
        return None;
    }
    Some(expression)
}

/// The cron that is the schedule of a job.
pub(super) fn of_job<'w>(world: &World<'w>, job: &Name) -> Option<&'w ObjectRecord> {
    let record = world.object(Kind::Cron, job)?;
    match &as_cron(record)?.run {
        Target::JobRef(reference) if reference.name == *job => Some(record),
        _ => None,
    }
}

/// The schedule of a cron as it is answered.
pub(super) fn shown(record: &ObjectRecord, now: Wall) -> Option<Value> {
    let cron = as_cron(record)?;
    let given = given(record, cron);
    let mut shown = json!({
        "id": UNNAMED,
        "cron": cron.schedules.first(),
        "timezone": cron.time_zone,
        "startingDeadlineSeconds": cron.starting_deadline.0 / 1_000,
        "concurrencyPolicy": if cron.overlap == Overlap::Forbid { "FORBID" } else { "ALLOW" },
        "enabled": cron.enabled,
    });
    for key in ["id", "cron"] {
        if let Some(value) = given.as_ref().and_then(|given| given.get(key)) {
            shown[key] = value.clone();
        }
    }
    let schedule = Schedule::of(cron, record.created_at.0).ok()?;
    if let Some(next) = schedule.next_after(now.0) {
        shown["nextRunAt"] = with_offset(Wall(next)).into();
    }
    Some(shown)
}

/// The schedule as it was given, when the cron is still what was made of it.
fn given(record: &ObjectRecord, cron: &Cron) -> Option<Value> {
    let given: Value = serde_json::from_str(cron.annotations.get(SCHEDULE)?).ok()?;
    let again = read(&record.name, &given, None).ok()?;
    match again.object.spec {
        Spec::Cron(again) if *again == *cron => Some(given),
        _ => None,
    }
}
