//! Why a service, one of its rollouts or instances stands as it does, in words.

use mezz_spec::service::{Replicas, Wait};
use mezz_spec::template::Checks;
use mezz_state::time::Wall;

use crate::instances::checks;
use crate::job::why::moment;
use crate::key::ObjectKey;
use crate::records::{InstanceRecord, Pause, Phase, RolloutRecord, RolloutState};
use crate::service::revisions::as_service;
use crate::why::in_words;
use crate::workloads::Workloads;

pub(crate) fn why(w: &Workloads, key: ObjectKey, now: Wall) -> Vec<String> {
    let mut reasons = Vec::new();
    let Some(state) = w.service(key) else {
        return reasons;
    };
    let last = state.durable.ended_rollouts.last();
    let ended = last.and_then(|last| w.rollout(*last)).filter(|last| {
        !matches!(
            last.state,
            RolloutState::Succeeded | RolloutState::Superseded
        )
    });
    if let Some(rollout) = w.active_rollout(key).or(ended) {
        reasons.extend(why_rollout(w, rollout, now));
    }
    reasons.extend(why_not_started(w, key, now));
    reasons.extend(why_not_ready(w, key));
    reasons.extend(why_so_many(w, key));
    reasons
}

fn why_not_started(w: &Workloads, key: ObjectKey, now: Wall) -> Vec<String> {
    let mut reasons = Vec::new();
    let Some(state) = w.service(key) else {
        return reasons;
    };
    for revision in state.durable.revisions.values() {
        let failures = &revision.failures;
        if let Some(until) = failures.until.filter(|until| *until > now) {
            reasons.push(format!(
                "{} failures in a row of generation {}: the next start is in {}; reset the back-off to start now",
                failures.count,
                revision.generation,
                in_words(now, until)
            ));
        }
    }
    if let Some(failure) = w.last_failure(key) {
        reasons.push(format!(
            "the last failure, of {} on {}: {}",
            failure.instance, failure.agent.hostname, failure.message
        ));
    }
    reasons.extend(w.blocked(key));
    let waiting: u64 = state.stated.values().map(|stated| stated.count).sum();
    if waiting > 0 {
        reasons.push(format!(
            "{} for a place",
            instances(waiting, "waits", "wait")
        ));
    }
    reasons
}

fn why_not_ready(w: &Workloads, key: ObjectKey) -> Vec<String> {
    let mut reasons = Vec::new();
    let Some(state) = w.service(key) else {
        return reasons;
    };
    let (new, old) = state.sides();
    let all = new.plus(old);
    let counts = [
        (all.staged, "has not started yet", "have not started yet"),
        (
            all.running - all.ready.min(all.running),
            "runs and is not ready yet",
            "run and are not ready yet",
        ),
        (all.leaving, "is being ended", "are being ended"),
        (
            u32::try_from(state.away.len()).unwrap_or(u32::MAX),
            "is on an agent that cannot be reached",
            "are on agents that cannot be reached",
        ),
    ];
    for (count, one, many) in counts {
        if count > 0 {
            reasons.push(instances(u64::from(count), one, many));
        }
    }
    reasons
}

fn why_so_many(w: &Workloads, key: ObjectKey) -> Option<String> {
    let spec = w.service_spec(key)?;
    let Replicas::Autoscale(bounds) = &as_service(&spec).replicas else {
        return None;
    };
    let scaling = &w.service(key)?.durable.scaling;
    let measured: Vec<String> = bounds
        .metrics
        .iter()
        .zip(&scaling.averages)
        .map(|(metric, average)| match average {
            Some(average) => format!(
                "{} of {}",
                *average as f64 / 1_000.0,
                metric.target.0 as f64 / 1_000.0
            ),
            None => "unknown".into(),
        })
        .collect();
    Some(format!(
        "automatic scaling between {} and {} holds {}; measured last: {}",
        bounds.min,
        bounds.max,
        w.wanted(key),
        if measured.is_empty() {
            "nothing yet".into()
        } else {
            measured.join(", ")
        }
    ))
}

fn instances(count: u64, one: &str, many: &str) -> String {
    if count == 1 {
        format!("1 instance {one}")
    } else {
        format!("{count} instances {many}")
    }
}

pub(crate) fn why_rollout(w: &Workloads, rollout: &RolloutRecord, now: Wall) -> Vec<String> {
    let to = rollout.to;
    let message = &rollout.message;
    let mut reasons = vec![match rollout.state {
        RolloutState::Waiting if message.is_empty() => {
            format!("the rollout to generation {to} is about to begin")
        }
        RolloutState::Waiting => {
            format!("the rollout to generation {to} has not begun: {message}")
        }
        RolloutState::Rolling => format!("generation {to} is being rolled out"),
        RolloutState::Paused => why_paused(rollout, now),
        RolloutState::RollingBack => {
            format!("the rollout to generation {to} failed and goes back: {message}")
        }
        RolloutState::Succeeded => format!("the rollout to generation {to} succeeded"),
        RolloutState::RolledBack => {
            format!("the rollout to generation {to} failed and was taken back: {message}")
        }
        RolloutState::Failed => {
            format!("the rollout to generation {to} failed: {message}")
        }
        RolloutState::Superseded => {
            format!("the rollout to generation {to} was given up: {message}")
        }
        RolloutState::Aborted => {
            format!("the rollout to generation {to} was ended where it was: {message}")
        }
    }];
    if rollout.state.is_active() && rollout.state != RolloutState::Waiting {
        reasons.push(format!(
            "{} of {} instances are new and ready; {} old ones are left",
            rollout.new_ready, rollout.wanted, rollout.old_left
        ));
    }
    if let Some(due) = w
        .deadline(rollout.object)
        .filter(|_| rollout.state.is_active())
    {
        reasons.push(format!(
            "without progress it fails in {}",
            in_words(now, due)
        ));
    }
    reasons
}

fn why_paused(rollout: &RolloutRecord, now: Wall) -> String {
    let to = rollout.to;
    match rollout.pause {
        Some(Pause::Step { until: Some(until) }) => format!(
            "the rollout to generation {to} rests after step {} and goes on in {}",
            rollout.step + 1,
            in_words(now, until)
        ),
        Some(Pause::Step { until: None }) => format!(
            "the rollout to generation {to} rests after step {} until somebody resumes it",
            rollout.step + 1
        ),
        Some(Pause::Move) => format!(
            "all instances of generation {to} are ready beside the old ones; resume the rollout to move the traffic"
        ),
        Some(Pause::Asked {
            until: Some(until), ..
        }) => format!(
            "the rollout to generation {to} was paused by somebody until {}, which is in {}; resume it to go on sooner",
            moment(until),
            in_words(now, until)
        ),
        Some(Pause::Asked { until: None, .. }) | None => {
            format!("the rollout to generation {to} was paused by somebody; resume it to go on")
        }
    }
}

pub(crate) fn why_instance(w: &Workloads, record: &InstanceRecord, now: Wall) -> Vec<String> {
    let mut reasons = Vec::new();
    match record.phase {
        Phase::Starting => reasons.push("its agent has not told yet that it runs".into()),
        Phase::Unreachable => reasons.push(why_away(w, record, now)),
        Phase::Running if !record.ready => reasons.push(why_unready(w, record, now)),
        Phase::Running | Phase::Draining | Phase::Stopping => {}
    }
    if record.parked {
        reasons.push("it gets no traffic: it is of the colour that does not serve now".into());
    }
    if !record.confirmed {
        reasons.push("its agent has not reported since this master took over".into());
    }
    if !record.message.is_empty() {
        reasons.push(format!("its agent says: {}", record.message));
    }
    reasons
}

fn why_away(w: &Workloads, record: &InstanceRecord, now: Wall) -> String {
    let text = "its agent cannot be reached";
    let Some(since) = record.unreachable_since else {
        return text.into();
    };
    let Some(spec) = w.service_spec(record.object) else {
        return text.into();
    };
    match as_service(&spec).unreachable.replace_after {
        Wait::Never(_) => format!("{text}; it is never replaced because of that"),
        Wait::Span(span) => {
            let due = Wall(since.0.saturating_add(span.nanoseconds()));
            if due <= now {
                format!("{text}; another may take its place")
            } else {
                format!("{text}; it is replaced in {}", in_words(now, due))
            }
        }
    }
}

fn why_unready(w: &Workloads, record: &InstanceRecord, now: Wall) -> String {
    let revision = w.revision(record.object, record.revision);
    if let (Some(since), Some(revision)) = (record.passing_since, revision) {
        let span = revision.service().update.ready_for.nanoseconds();
        let due = Wall(since.0.saturating_add(span));
        return format!(
            "it passes its checks, and is ready when it has done so for {} more",
            in_words(now, due)
        );
    }
    let container = revision.and_then(|revision| revision.container());
    match container.map(|container| &container.checks) {
        Some(own) => match (own.ready(), own.health()) {
            ([_, ..], _) => why_not_passing(own, record),
            ([], [_, ..]) => why_unhealthy(own, record),
            ([], []) => "it is not ready yet".into(),
        },
        None => "it is not ready yet".into(),
    }
}

/// A check by its place, where there are several.
fn which(word: &str, index: usize, all: usize) -> String {
    match all {
        1 => format!("its {word} check"),
        _ => format!("its {word} check {} of {all}", index + 1),
    }
}

fn why_not_passing(own: &Checks, record: &InstanceRecord) -> String {
    let all = own.ready().len();
    match checks::failing(own, record).next() {
        Some((index, Some(found))) => {
            let check = which("ready", index, all);
            format!("{check} does not pass: {found:?}")
        }
        Some((index, None)) => format!("{} has not spoken yet", which("ready", index, all)),
        None => "it is not ready yet".into(),
    }
}

fn why_unhealthy(own: &Checks, record: &InstanceRecord) -> String {
    let all = own.health().len();
    if all == 1 {
        let check = which("health", 0, all);
        return match record.healthy {
            Some(false) => format!("{check} fails"),
            _ => format!("{check} has not spoken yet"),
        };
    }
    let known = |index: usize| record.findings.as_deref()?.health.get(index).copied()?;
    let mut silent = None;
    for index in 0..all {
        match known(index) {
            Some(verdict) if !verdict.alive => {
                return format!("{} fails", which("health", index, all));
            }
            Some(_) => {}
            None => silent = silent.or(Some(index)),
        }
    }
    format!(
        "{} has not spoken yet",
        which("health", silent.unwrap_or(0), all)
    )
}
