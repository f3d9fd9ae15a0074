//! Jobs: indices, retries, times, parameters.

use std::collections::BTreeMap;

use super::templates::{Readiness, positive};
use super::{Faults, placements, services, templates, texts};
use crate::fault::below;
use crate::job::{Job, MAX_COMPLETIONS, Parameter, Start};
use crate::quantity::{Share, Span};
use crate::service::Backoff;

/// What starts a job, and so gives it its parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Started {
    /// As its `start` says.
    ByItself,
    /// By a cron or a dag that it is written in.
    ByAnother,
}

pub(super) fn check(job: &Job, path: &str, started: Started, out: &mut Faults) {
    templates::check(
        &job.template,
        &below(path, "template"),
        Readiness::Meaningless,
        out,
    );
    placements::check(&job.placement, &below(path, "placement"), out);
    texts::role(job.role.as_deref(), &below(path, "role"), out);
    backoff(&job.backoff, &below(path, "backoff"), out);
    indices(job, path, out);
    for (index, status) in job.retry_on.exit_statuses.iter().enumerate() {
        let at = format!("{path}/retry_on/exit_statuses/{index}");
        if *status == 0 {
            out.tell(at, "0 is a success, which is not retried", "remove it");
        } else if job.retry_on.exit_statuses[..index].contains(status) {
            out.tell(at, format!("{status} stands twice"), "keep it once");
        }
    }
    let spans = [
        ("attempt_timeout", job.attempt_timeout),
        ("deadline", job.deadline),
        ("launch_deadline", job.launch_deadline),
    ];
    for (word, span) in spans {
        if let Some(span) = span {
            positive(span, &below(path, word), out);
            if word != "deadline" && job.deadline.is_some_and(|deadline| deadline < span) {
                let message = format!("{word} is longer than the deadline of the whole run");
                out.tell(below(path, word), message, "shorten it, or raise deadline");
            }
        }
    }
    positive_if_any(job.retry_for, &below(path, "retry_for"), out);
    after(job, path, started, out);
    parameters(&job.parameters, &below(path, "parameters"), out);
    for (name, parameter) in &job.parameters {
        let is_open = parameter.default.is_none();
        if is_open && (started == Started::ByAnother || job.start == Start::Once) {
            let path = format!("{path}/parameters/{}", crate::fault::escaped(name));
            let hint = match started {
                Started::ByItself => "give it a default, or write start: manual",
                Started::ByAnother => "give it a default, or write the job as an object of its own",
            };
            out.tell(path, format!("nobody gives '{name}' a value"), hint);
        }
    }
}

fn positive_if_any(span: Option<Span>, path: &str, out: &mut Faults) {
    if let Some(span) = span {
        positive(span, path, out);
    }
}

fn after(job: &Job, path: &str, started: Started, out: &mut Faults) {
    let Some(after) = &job.after else {
        return;
    };
    let path = &below(path, "after");
    if started == Started::ByAnother {
        let message = "what the job is written in says when it starts";
        out.tell(
            path,
            message,
            "leave it out, or write the job as an object of its own",
        );
    } else if job.start == Start::Once {
        let message = "a job that comes after others would also start at once";
        out.tell(path, message, "write start: manual beside it");
    }
    if after.jobs.is_empty() {
        let path = below(path, "jobs");
        out.tell(
            path,
            "it comes after nothing",
            "name a job, or leave after out",
        );
    }
    for (index, name) in after.jobs.iter().enumerate() {
        if after.jobs[..index].contains(name) {
            let path = format!("{path}/jobs/{index}");
            out.tell(path, format!("{name} stands twice"), "keep it once");
        }
    }
}

/// Only a service is restarted for ever; the attempts of an index end with its retries.
fn backoff(backoff: &Backoff, path: &str, out: &mut Faults) {
    services::backoff(backoff, path, out);
    let usual = Backoff::default();
    if backoff.crash_loop != usual.crash_loop {
        out.tell(
            below(path, "crash_loop"),
            "a job is not shown as crash-looping: it ends when its retries are used up",
            "leave it out, and say by retries how often an index is tried again",
        );
    }
    if backoff.reset_after != usual.reset_after {
        out.tell(
            below(path, "reset_after"),
            "the failures of an index are never forgotten",
            "leave it out, and say by retries how often an index is tried again",
        );
    }
}

fn indices(job: &Job, path: &str, out: &mut Faults) {
    for (word, number) in [
        ("completions", job.completions),
        ("parallelism", job.parallelism),
    ] {
        if !(1..=MAX_COMPLETIONS).contains(&number) {
            let message = format!("{word} is from 1 to {MAX_COMPLETIONS}, not {number}");
            out.tell(below(path, word), message, "split the job");
        }
    }
    if job.parallelism > job.completions {
        let message = format!(
            "{} at the same time of {} in all",
            job.parallelism, job.completions
        );
        out.tell(
            below(path, "parallelism"),
            message,
            "raise completions, or lower parallelism",
        );
    }
    let at = below(path, "max_failed");
    services::at_most_all(job.max_failed, &at, out);
    if let Share::Count(count) = job.max_failed
        && count > job.completions
    {
        let message = format!("{count} of {} cannot fail", job.completions);
        out.tell(at, message, "lower it, or write a share such as 1%");
    }
}

pub(super) fn parameters(parameters: &BTreeMap<String, Parameter>, path: &str, out: &mut Faults) {
    let mut variables = BTreeMap::new();
    for (name, parameter) in parameters {
        let path = below(path, name);
        texts::parameter_name(name, &path, out);
        if let Some(other) = variables.insert(name.to_uppercase(), name) {
            let message = format!("'{name}' and '{other}' would be one variable");
            out.tell(&path, message, "choose another name");
        }
        if let Some(default) = &parameter.default
            && !parameter.one_of.is_empty()
            && !parameter.one_of.contains(default)
        {
            let message = format!("'{default}' is not in one_of");
            out.tell(
                below(&path, "default"),
                message,
                "add it there, or choose one from there",
            );
        }
    }
}
