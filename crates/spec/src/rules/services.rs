//! Services: how many, how they are replaced, what happens when something fails.

use super::templates::{Readiness, positive};
use super::{Faults, placements, scaling, templates, texts};
use crate::fault::below;
use crate::object::Object;
use crate::quantity::Share;
use crate::service::{
    Autoscale, Backoff, Canary, Replicas, Rolling, Service, Strategy, Unreachable, Wait,
};

/// The most instances of one service.
pub(super) const MAX_REPLICAS: u32 = 100_000;

pub(super) fn check(object: &Object, service: &Service, out: &mut Faults) {
    templates::check(&service.template, "/spec/template", Readiness::Asked, out);
    placements::check(&service.placement, "/spec/placement", out);
    texts::role(service.role.as_deref(), "/spec/role", out);
    super::check_after(object, &service.after, out);
    replicas(service, out);
    positive(service.update.deadline, "/spec/update/deadline", out);
    strategy(&service.update.strategy, "/spec/update/strategy", out);
    backoff(&service.restart, "/spec/restart", out);
    unreachable(&service.unreachable, out);
    if let Some(disruption) = &service.disruption {
        let path = "/spec/disruption/min_available";
        at_most_all(disruption.min_available, path, out);
        if let (Share::Count(least), Replicas::Count(all)) =
            (disruption.min_available, &service.replicas)
            && least > *all
        {
            let message = format!("{least} can never be available of {all} replicas");
            out.tell(path, message, "lower it, or write a share such as 50%");
        }
    }
}

fn replicas(service: &Service, out: &mut Faults) {
    let path = "/spec/replicas";
    match &service.replicas {
        Replicas::Count(count) if *count > MAX_REPLICAS => {
            let message = format!("{count} replicas; {MAX_REPLICAS} are allowed");
            out.tell(path, message, "split the service");
        }
        Replicas::Count(_) | Replicas::PerNode(_) => {}
        Replicas::Autoscale(scale) => {
            bounds(scale, path, out);
            for (index, metric) in scale.metrics.iter().enumerate() {
                let path = format!("{path}/metrics/{index}");
                scaling::metric(metric, &service.template, &path, out);
            }
        }
    }
}

fn bounds(scale: &Autoscale, path: &str, out: &mut Faults) {
    if scale.min > scale.max {
        let message = format!("min {} is more than max {}", scale.min, scale.max);
        out.tell(below(path, "min"), message, "lower min, or raise max");
    }
    if scale.max == 0 || scale.max > MAX_REPLICAS {
        let message = format!("max is from 1 to {MAX_REPLICAS}, not {}", scale.max);
        out.tell(
            below(path, "max"),
            message,
            "write how many instances are the most",
        );
    }
    if scale.min == 0 {
        let message = "with no instance left there is nothing to measure";
        out.tell(below(path, "min"), message, "write 1 or more");
    }
    if scale.metrics.is_empty() {
        out.tell(
            below(path, "metrics"),
            "there is nothing to scale by",
            "write metrics: [{of: cpu, target: 70}]",
        );
    }
}

/// A share of all is at most all.
pub(super) fn at_most_all(share: Share, path: &str, out: &mut Faults) {
    if let Share::Percent(percent) = share
        && percent > 100
    {
        out.tell(
            path,
            format!("{percent}% is more than all"),
            "write 100% or less",
        );
    }
}

fn strategy(strategy: &Strategy, path: &str, out: &mut Faults) {
    match strategy {
        Strategy::Rolling(rolling) => self::rolling(rolling, &below(path, "rolling"), out),
        Strategy::Canary(canary) => self::canary(canary, &below(path, "canary"), out),
        Strategy::Recreate | Strategy::BlueGreen(_) => {}
    }
}

fn rolling(rolling: &Rolling, path: &str, out: &mut Faults) {
    let is_none = |share| matches!(share, Share::Count(0) | Share::Percent(0));
    at_most_all(
        rolling.max_unavailable,
        &below(path, "max_unavailable"),
        out,
    );
    if let Share::Percent(percent) = rolling.max_surge
        && percent > 1_000
    {
        out.tell(
            below(path, "max_surge"),
            format!("{percent}% is too much"),
            "write 1000% or less",
        );
    }
    if is_none(rolling.max_unavailable) && is_none(rolling.max_surge) {
        let message =
            "nothing may be missing and nothing added: no instance could ever be replaced";
        out.tell(path, message, "let max_surge or max_unavailable be 1");
    }
}

fn canary(canary: &Canary, path: &str, out: &mut Faults) {
    if canary.steps.is_empty() {
        out.tell(
            below(path, "steps"),
            "a canary needs a step",
            "write steps: [{new: 1}]",
        );
    }
    for (index, step) in canary.steps.iter().enumerate() {
        let at = format!("{path}/steps/{index}/new");
        at_most_all(step.new, &at, out);
        if matches!(step.new, Share::Count(0) | Share::Percent(0)) {
            out.tell(
                at,
                "a step has at least one new instance",
                "write 1 or more",
            );
        } else if index > 0 && !grows(canary.steps[index - 1].new, step.new) {
            out.tell(
                at,
                "a step has more new instances than the one before",
                "raise it, or drop the step",
            );
        }
    }
    rolling(&canary.rolling, &below(path, "rolling"), out);
}

/// Counts and shares cannot be compared before it is known of how many.
fn grows(before: Share, after: Share) -> bool {
    match (before, after) {
        (Share::Count(before), Share::Count(after))
        | (Share::Percent(before), Share::Percent(after)) => before < after,
        _ => true,
    }
}

pub(super) fn backoff(backoff: &Backoff, path: &str, out: &mut Faults) {
    positive(backoff.initial, &below(path, "initial"), out);
    if backoff.factor.0 < 1_000 {
        out.tell(
            below(path, "factor"),
            "the delay would shrink",
            "write 1 or more",
        );
    } else if backoff.factor.0 > 1_000_000 {
        out.tell(
            below(path, "factor"),
            "the delay would grow beyond reason",
            "write 1000 or less",
        );
    }
    if backoff.max < backoff.initial {
        out.tell(
            below(path, "max"),
            "the longest delay is shorter than the first",
            "raise max, or lower initial",
        );
    }
    if backoff.crash_loop == 0 {
        out.tell(
            below(path, "crash_loop"),
            "0 failures are no crash loop",
            "write 1 or more",
        );
    }
}

fn unreachable(unreachable: &Unreachable, out: &mut Faults) {
    let path = "/spec/unreachable/expunge_after";
    match (unreachable.replace_after, unreachable.expunge_after) {
        (Wait::Span(replace), Wait::Span(expunge)) if expunge < replace => {
            let message = "an instance would be forgotten before its replacement starts";
            out.tell(path, message, "let expunge_after be at least replace_after");
        }
        (Wait::Never(_), Wait::Span(_)) => {
            let message = "an instance that is never replaced would be forgotten";
            out.tell(path, message, "write never here, too");
        }
        _ => {}
    }
}
