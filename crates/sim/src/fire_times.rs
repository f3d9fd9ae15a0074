//! The checker of Chronos, told anew for crons: each fire-time has exactly one run or was missed for a stated reason, and
//! each run began within its window.

use std::collections::BTreeSet;

use mezz_spec::Kind;
use mezz_state::time::Wall;
use mezz_workload::records::{Cause, CronStatus, RunRecord, RunState, Status};
use serde_json::json;

use crate::master_node::WALL_ZERO_NS;
use crate::network::SECOND;
use crate::user_specs::job;
use crate::users::name;
use crate::world::World;

/// A cron of the checker.
struct Checked {
    name: &'static str,
    every_s: u64,
    overlap: &'static str,
    catch_up: &'static str,
    deadline_s: u64,
}

const CRONS: [Checked; 5] = [
    // Nothing may be missed, however long there is no master.
    Checked {
        name: "/cron/all",
        every_s: 30,
        overlap: "allow",
        catch_up: "all",
        deadline_s: 36_000,
    },
    Checked {
        name: "/cron/patient",
        every_s: 60,
        overlap: "allow",
        catch_up: "all",
        deadline_s: 36_000,
    },
    Checked {
        name: "/cron/queue",
        every_s: 20,
        overlap: "queue",
        catch_up: "all",
        deadline_s: 36_000,
    },
    Checked {
        name: "/cron/last",
        every_s: 20,
        overlap: "allow",
        catch_up: "last",
        deadline_s: 30,
    },
    Checked {
        name: "/cron/strict",
        every_s: 15,
        overlap: "allow",
        catch_up: "none",
        deadline_s: 12,
    },
];

/// A fire-time that is decided upon within this is on time; what writes and elections take comes on top.
const ON_TIME_S: u64 = 10;

/// Spans in which a master led, as far as its own clock tells.
#[derive(Debug, Default)]
pub(crate) struct Reigns {
    spans: Vec<(u64, Option<u64>)>,
}

impl Reigns {
    pub(crate) fn begin(&mut self, now_ns: u64) {
        self.end(now_ns);
        self.spans.push((now_ns, None));
    }

    pub(crate) fn end(&mut self, now_ns: u64) {
        if let Some((_, end @ None)) = self.spans.last_mut() {
            *end = Some(now_ns);
        }
    }

    /// Whether a master that led at some moment of the span went on leading for long enough to write what it did.
    fn led_within(&self, from_ns: u64, until_ns: u64) -> bool {
        const TO_WRITE_NS: u64 = 4 * SECOND;
        self.spans.iter().any(|(begin, end)| {
            let first = from_ns.max(*begin);
            first <= until_ns && end.is_none_or(|end| end >= first + TO_WRITE_NS)
        })
    }
}

impl World {
    /// Applied when they are not there, so that a lost write of the first apply is made up for.
    pub(crate) fn cron_turn(&mut self) {
        let Some(core) = &self.master.core else {
            return;
        };
        let index = &core.records().work.index;
        let missing = CRONS
            .iter()
            .find(|one| !index.contains_key(&(Kind::Cron, name(one.name))));
        let Some(cron) = missing else { return };
        let mut target = job(cron.name, &mut self.rng);
        if let Some(fields) = target.as_object_mut() {
            fields.remove("deadline");
        }
        target["history"] = json!({ "succeeded": 10_000, "failed": 10_000 });
        let spec = json!({
            "schedules": [schedule(cron.every_s)],
            "run": { "job": target },
            "overlap": cron.overlap,
            "catch_up": cron.catch_up,
            "starting_deadline": cron.deadline_s,
        });
        self.user_applies(Kind::Cron, cron.name, spec);
    }

    /// After all has come to rest.
    pub(crate) fn check_fire_times(&self) -> Result<(), String> {
        CRONS.iter().try_for_each(|cron| self.check_cron(cron))
    }

    fn check_cron(&self, cron: &Checked) -> Result<(), String> {
        let broken = |what: String| Err(format!("cron {}: {what}", cron.name));
        let core = self.master.core.as_ref().ok_or("the master is down")?;
        let work = &core.records().work;
        let Some(key) = work.index.get(&(Kind::Cron, name(cron.name))) else {
            return Ok(());
        };
        let object = work.objects.get(key.index()).ok_or("no record")?;
        let Status::Cron(status) = &object.status else {
            return broken("it has no status".into());
        };
        let mut fired = BTreeSet::new();
        for (_, run) in work.runs.iter().filter(|(_, run)| run.object == *key) {
            let Cause::Cron { fire_at, .. } = run.cause else {
                return broken(format!("run {} has another cause", run.id));
            };
            if !fired.insert(fire_at.0) {
                return broken(format!("two runs for {}", fire_at.0));
            }
            check_run(cron, run, fire_at).or_else(broken)?;
        }
        let period = cron.every_s * SECOND;
        let first = object.created_at.0 / period + 1;
        let wanted: BTreeSet<u64> = (first..=status.decided_until.0 / period)
            .map(|count| count * period)
            .collect();
        if let Some(odd) = fired.difference(&wanted).next() {
            return broken(format!("it fired at {odd}, which is none of its times"));
        }
        let missed: Vec<u64> = wanted.difference(&fired).copied().collect();
        self.check_missed(cron, status, &missed).or_else(broken)
    }

    fn check_missed(
        &self,
        cron: &Checked,
        status: &CronStatus,
        missed: &[u64],
    ) -> Result<(), String> {
        if status.missed != missed.len() as u64 {
            return Err(format!(
                "{} fire-times have no run, and {} are counted as missed",
                missed.len(),
                status.missed
            ));
        }
        for at in missed {
            let from = at.saturating_sub(WALL_ZERO_NS);
            // Of those that nobody decided upon in time `last` makes up for the last one only.
            let window = cron.deadline_s.min(ON_TIME_S) * SECOND;
            if cron.catch_up == "all" || self.reigns.led_within(from, from + window) {
                return Err(format!(
                    "nothing was started for {at}, although a master led"
                ));
            }
        }
        Ok(())
    }
}

fn schedule(every_s: u64) -> String {
    match every_s {
        60 => "* * * * *".into(),
        seconds => format!("*/{seconds} * * * * *"),
    }
}

fn check_run(cron: &Checked, run: &RunRecord, fire_at: Wall) -> Result<(), String> {
    let window = cron.deadline_s * SECOND;
    let late = |at: Wall| at < fire_at || at.0 - fire_at.0 > window;
    if late(run.created_at) {
        return Err(format!("run {} was made at {:?}", run.id, run.created_at));
    }
    if cron.overlap == "allow" && run.begun_at.is_none_or(late) {
        return Err(format!("run {} began at {:?}", run.id, run.begun_at));
    }
    if !matches!(run.state, RunState::Succeeded | RunState::Failed) {
        return Err(format!("run {} is {:?}", run.id, run.state));
    }
    if run.started_at.is_none() {
        return Err(format!("run {} ended and was never started", run.id));
    }
    Ok(())
}
