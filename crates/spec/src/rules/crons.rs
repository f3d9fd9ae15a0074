//! Crons: times that come, zones that exist.

use super::Faults;
use super::templates::positive;
use crate::cron::{Cron, Target};
use crate::fault::below;
use crate::schedule::{Schedule, ScheduleError, is_zone, nearest_zone};

const MAX_SCHEDULES: usize = 100;

pub(super) fn check(cron: &Cron, out: &mut Faults) {
    super::check_target(&cron.run, "/spec/run", out);
    positive(cron.starting_deadline, "/spec/starting_deadline", out);
    if cron.jitter > cron.starting_deadline {
        let message = "a start could be delayed beyond its starting deadline";
        out.tell(
            "/spec/jitter",
            message,
            "lower jitter, or raise starting_deadline",
        );
    }
    if let Target::Job(job) = &cron.run
        && job.start != crate::job::Start::Once
    {
        let message = "a job in a cron starts when the cron says so";
        out.tell("/spec/run/job/start", message, "leave it out");
    }
    schedules(cron, out);
}

fn schedules(cron: &Cron, out: &mut Faults) {
    let path = "/spec/schedules";
    if !is_zone(&cron.time_zone) {
        let message = format!("'{}' is no time zone", cron.time_zone);
        let hint = match nearest_zone(&cron.time_zone) {
            Some(near) => format!("did you mean '{near}'?"),
            None => "write a name of the IANA data such as Europe/Berlin".into(),
        };
        out.tell("/spec/time_zone", message, hint);
    }
    if cron.schedules.is_empty() || cron.schedules.len() > MAX_SCHEDULES {
        let message = format!(
            "a cron has 1 to {MAX_SCHEDULES} schedules, not {}",
            cron.schedules.len()
        );
        out.tell(path, message, "write schedules: [\"0 3 * * *\"]");
    }
    for (index, text) in cron.schedules.iter().enumerate().take(MAX_SCHEDULES) {
        let path = below(path, index);
        if cron.schedules[..index].contains(text) {
            out.tell(path, "the schedule stands twice", "keep it once");
            continue;
        }
        match Schedule::parse(std::slice::from_ref(text), "UTC") {
            Ok(_) => {}
            Err(error @ ScheduleError::Never(_)) => {
                out.tell(path, error.to_string(), "write a day that some month has");
            }
            Err(error) => {
                let told = error.to_string();
                let (message, hint) = told.split_once("; ").unwrap_or((
                    &told,
                    "write minute hour day month weekday, as in 0 3 * * 1-5, or R/2026-01-01T00:00:00Z/PT1H",
                ));
                out.tell(path, message, hint);
            }
        }
    }
}
