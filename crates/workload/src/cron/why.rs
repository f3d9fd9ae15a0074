//! Why a cron stands where it does, in words.

use super::fire;
use crate::job::why::{last_end, moment, why_run};
use crate::key::ObjectKey;
use crate::workloads::Workloads;

/// Why a cron stands where it does.
pub(crate) fn why(w: &Workloads, key: ObjectKey) -> Vec<String> {
    let Some((cron, status)) = fire::parts(w, key) else {
        return Vec::new();
    };
    let mut reasons = Vec::new();
    if !cron.enabled {
        reasons.push("it does not fire: its spec says enabled: false".to_owned());
    }
    if let Some(paused) = status.paused {
        let end = paused.end_in_words("resume");
        reasons.push(format!("it does not fire: somebody paused it {end}"));
    }
    match status.next_at {
        Some(at) => reasons.push(format!("it fires next at {}", moment(at))),
        None if reasons.is_empty() && !w.records.is_frozen() => {
            reasons.push("it does not fire any more: its schedules have no later time".into());
        }
        None => {}
    }
    if status.decided_until > w.wall() {
        reasons.push(format!(
            "the clock went back: all up to {} was decided before; pausing and resuming it begins anew",
            moment(status.decided_until)
        ));
    }
    if let Some((at, reason)) = status.last_missed {
        reasons.push(format!(
            "{} fire-times were not honoured, the last at {}: {}",
            status.missed,
            moment(at),
            reason.words()
        ));
    }
    for run in fire::active(w, key) {
        reasons.extend(why_run(w, run));
    }
    reasons.extend(last_end(w, key));
    reasons
}
