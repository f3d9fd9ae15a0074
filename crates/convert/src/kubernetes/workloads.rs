//! Deployment, StatefulSet, DaemonSet, Job and CronJob.

use mezz_spec::{Kind, Object};
use serde_json::{Value, json};

use super::{Context, Meta, pod};
use crate::fields::{Fields, text_of};

fn seconds(number: u64) -> Value {
    format!("{number}s").into()
}

pub(super) fn service(
    kind: &str,
    meta: &Meta,
    fields: &mut Fields<'_>,
    context: &mut Context<'_>,
) -> Option<Object> {
    let mut theirs = fields.inner("spec")?;
    let mut spec = json!({ "template": {} });
    spec["replicas"] = match kind {
        "DaemonSet" => "per_node".into(),
        _ => theirs.number("replicas").unwrap_or(1).into(),
    };
    theirs.ignore(&["selector", "serviceName", "revisionHistoryLimit"]);
    let key = if kind == "Deployment" {
        "strategy"
    } else {
        "updateStrategy"
    };
    let strategy = strategy(kind, theirs.inner(key), context);
    let mut update = json!({ "strategy": strategy });
    if let Some(number) = theirs.number("progressDeadlineSeconds") {
        update["deadline"] = seconds(number);
    }
    if let Some(number) = theirs.number("minReadySeconds") {
        update["ready_for"] = seconds(number);
    }
    spec["update"] = update;
    theirs.refuse(
        &["volumeClaimTemplates"],
        "volumes are not built yet",
        &mut context.notes,
    );
    theirs.refuse(
        &["paused"],
        "a service is paused by a call: mezz pause",
        &mut context.notes,
    );
    let why = "instances are started and ended as the update strategy says";
    theirs.refuse(&["podManagementPolicy"], why, &mut context.notes);
    let labels = theirs
        .inner("template")
        .map(|template| pod::read(template, &mut spec, meta, context));
    theirs.finish(&mut context.notes);
    let mut all = labels.unwrap_or_default();
    all.extend(meta.labels.clone());
    context
        .notes
        .object(Kind::Service, meta.name.clone(), all, spec)
}

fn strategy(kind: &str, strategy: Option<Fields<'_>>, context: &mut Context<'_>) -> Value {
    let is_deployment = kind == "Deployment";
    let (mut surge, mut missing) = if is_deployment {
        (json!("25%"), json!("25%"))
    } else {
        (json!(0), json!(1))
    };
    if let Some(mut strategy) = strategy {
        match strategy.text("type").as_deref() {
            Some("Recreate") => {
                strategy.finish(&mut context.notes);
                return "recreate".into();
            }
            Some("OnDelete") => {
                let why = "a new version is rolled out at once: pause the rollout to do it by hand";
                context.notes.drop(strategy.path("type"), why);
            }
            _ => {}
        }
        if let Some(mut rolling) = strategy.inner("rollingUpdate") {
            let most = rolling.take("maxSurge").cloned();
            let least = rolling.take("maxUnavailable").cloned();
            // What is written alone is meant alone.
            surge = most.unwrap_or(surge);
            missing = least.unwrap_or(missing);
            rolling.finish(&mut context.notes);
        }
        strategy.finish(&mut context.notes);
    }
    json!({ "rolling": { "max_surge": surge, "max_unavailable": missing } })
}

pub(super) fn job(
    meta: &Meta,
    fields: &mut Fields<'_>,
    context: &mut Context<'_>,
) -> Option<Object> {
    let mut theirs = fields.inner("spec")?;
    let (spec, mut labels) = job_spec(&mut theirs, meta, context);
    theirs.refuse(
        &["suspend"],
        "write start: manual for a job that waits for somebody",
        &mut context.notes,
    );
    theirs.finish(&mut context.notes);
    labels.extend(meta.labels.clone());
    context
        .notes
        .object(Kind::Job, meta.name.clone(), labels, spec)
}

fn job_spec(
    theirs: &mut Fields<'_>,
    meta: &Meta,
    context: &mut Context<'_>,
) -> (Value, serde_json::Map<String, Value>) {
    let parallelism = theirs.number("parallelism").unwrap_or(1);
    let completions = match theirs.number("completions") {
        Some(completions) => completions,
        None if parallelism > 1 => {
            let why = "each of so many indices has to succeed: work queues without a number have no meaning here";
            context.notes.drop(theirs.path("completions"), why);
            parallelism
        }
        None => 1,
    };
    let mut spec = json!({
        "template": {},
        "completions": completions,
        "parallelism": parallelism.min(completions),
    });
    let total = theirs.number("backoffLimit");
    let each = theirs.number("backoffLimitPerIndex");
    if total.is_some() && each.is_none() && completions > 1 {
        context.notes.drop(
            theirs.path("backoffLimit"),
            "retries are counted for each index, not for all together",
        );
    }
    spec["retries"] = each.or(total).unwrap_or(6).into();
    if let Some(number) = theirs.number("activeDeadlineSeconds") {
        spec["deadline"] = seconds(number);
    }
    if let Some(number) = theirs.number("ttlSecondsAfterFinished") {
        spec["history"] = json!({ "age": seconds(number) });
    }
    if let Some(number) = theirs.number("maxFailedIndexes") {
        spec["max_failed"] = number.into();
    }
    theirs.ignore(&["completionMode", "selector", "manualSelector"]);
    let labels = theirs
        .inner("template")
        .map(|template| pod::read(template, &mut spec, meta, context));
    (spec, labels.unwrap_or_default())
}

pub(super) fn cron(
    meta: &Meta,
    fields: &mut Fields<'_>,
    context: &mut Context<'_>,
) -> Option<Object> {
    let mut theirs = fields.inner("spec")?;
    let mut spec = json!({ "schedules": [theirs.text("schedule").unwrap_or_default()] });
    if let Some(zone) = theirs.text("timeZone") {
        spec["time_zone"] = zone.into();
    }
    spec["overlap"] = match theirs.text("concurrencyPolicy").as_deref() {
        Some("Forbid") => "forbid".into(),
        Some("Replace") => "replace".into(),
        _ => "allow".into(),
    };
    if let Some(number) = theirs.number("startingDeadlineSeconds") {
        spec["starting_deadline"] = seconds(number);
    }
    if let Some(value) = theirs.take("suspend") {
        spec["enabled"] = (text_of(value) != "true").into();
    }
    let succeeded = theirs.number("successfulJobsHistoryLimit").unwrap_or(3);
    let failed = theirs.number("failedJobsHistoryLimit").unwrap_or(1);
    let mut labels = serde_json::Map::new();
    if let Some(mut template) = theirs.inner("jobTemplate") {
        template.ignore(&["metadata"]);
        if let Some(mut job) = template.inner("spec") {
            let (mut inner, found) = job_spec(&mut job, meta, context);
            inner["history"]["succeeded"] = succeeded.into();
            inner["history"]["failed"] = failed.into();
            labels = found;
            spec["run"] = json!({ "job": inner });
            job.finish(&mut context.notes);
        }
        template.finish(&mut context.notes);
    }
    theirs.finish(&mut context.notes);
    labels.extend(meta.labels.clone());
    context
        .notes
        .object(Kind::Cron, meta.name.clone(), labels, spec)
}
