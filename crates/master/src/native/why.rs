//! `GET /v1/why/{id}`: why something got nothing yet, or why it is in the state it is in. The core and its ledger give
//! the reasons; what a view tells about waiting tasks is joined to them here.

use std::time::Duration;

use http::StatusCode;
use mezz_core::effect::Reply;
use mezz_core::event::Event;
use mezz_core::records::{AgentState, PendingRecord};
use mezz_http::Response;
use mezz_resource::{Resources, Scalar, Value as ResourceValue, format_duration};
use serde_json::{Value, json};

use super::problems::refused;
use super::tasks::{Found, find};
use crate::shared::Shared;
use crate::view::View;

/// Waiting tasks that are named one by one.
const NAMED: usize = 5;

/// The reasons, from the most to the least important one.
pub(super) async fn document(shared: &Shared, view: &View, id: &str) -> Result<Value, Response> {
    let asked = id.to_owned();
    let kind = kind(view, id);
    if kind.is_none()
        && let Err(several) = super::work::run_of(view, id)
        && several.status() == StatusCode::CONFLICT
    {
        return Err(several);
    }
    let mut reasons = match shared
        .call(|request| Event::Explain { request, id: asked })
        .await
    {
        Reply::Explained(reasons) => reasons,
        Reply::NotFound(message) => match kind {
            Some("agent" | "offer") => Vec::new(),
            Some(_) => task_reasons(view, id),
            None => return Err(refused(Reply::NotFound(message))),
        },
        other => return Err(refused(other)),
    };
    match kind {
        Some("task") => {
            if let Ok(Found::Pending(pending)) = find_task(view, id) {
                reasons = of_pending(view, pending, reasons);
            }
        }
        // The built-in framework has the id of its cluster and this name.
        Some("framework") if id.ends_with("-mezz") => reasons.extend(waiting(view, |_| true)),
        Some("role") => reasons.extend(waiting(view, |pending| pending.task.role == id)),
        _ => {}
    }
    Ok(json!({ "id": id, "kind": kind.unwrap_or("role"), "reasons": reasons }))
}

fn kind(view: &View, id: &str) -> Option<&'static str> {
    let records = &view.records;
    let work = super::work::kind_of(view, id);
    if id.contains('/') && work.is_some() {
        return work;
    }
    if records
        .frameworks
        .iter()
        .any(|(_, framework)| *framework.id == *id)
    {
        return Some("framework");
    }
    if records.agents.iter().any(|(_, agent)| *agent.id == *id) {
        return Some("agent");
    }
    if records.offers.iter().any(|(_, offer)| *offer.id == *id) {
        return Some("offer");
    }
    if find_task(view, id).is_ok() {
        return Some(match work {
            Some("instance") => "instance",
            _ => "task",
        });
    }
    work.or_else(|| records.roles.contains_key(id).then_some("role"))
}

fn find_task<'a>(view: &'a View, id: &str) -> Result<Found<'a>, Response> {
    match id.split_once('/') {
        Some((framework, task)) => find(view, Some(framework), task),
        None => find(view, None, id),
    }
}

/// What the last update of a placed task says.
fn task_reasons(view: &View, id: &str) -> Vec<String> {
    match find_task(view, id) {
        Ok(Found::Task(task)) => vec![format!("it is {}", task.state.as_str_name())],
        Ok(Found::Pending(_)) | Err(_) => Vec::new(),
    }
}

/// How many native tasks wait for a place.
fn waiting(view: &View, wanted: impl Fn(&PendingRecord) -> bool) -> Option<String> {
    let pending = view.records.pending.iter();
    let ids: Vec<&str> = pending
        .filter(|(_, pending)| wanted(pending))
        .map(|(_, pending)| &*pending.id)
        .collect();
    let named = ids[..ids.len().min(NAMED)].join(", ");
    let more = ids.len().saturating_sub(NAMED);
    match ids.len() {
        0 => None,
        1 => Some(format!("1 task waits for a place: {named}")),
        count if more == 0 => Some(format!("{count} tasks wait for a place: {named}")),
        count => Some(format!(
            "{count} tasks wait for a place: {named} and {more} more"
        )),
    }
}

/// A waiting task: what it wants and since when, what stands in its way, and how much there would be.
fn of_pending(view: &View, pending: &PendingRecord, reasons: Vec<String>) -> Vec<String> {
    let span = crate::clock::wall_now()
        .0
        .saturating_sub(pending.created_at.0);
    let span = format_duration(Duration::from_secs(span / 1_000_000_000));
    let mut wants = pending.resources.to_string();
    if pending.task.port_count > 0 {
        wants = format!("{wants}; ports:{}", pending.task.port_count);
    }
    let first = format!("it has waited for a place for {span}; it wants {wants}");
    let sizes = sizes(view, pending);
    std::iter::once(first).chain(reasons).chain(sizes).collect()
}

/// Of each quantity that no agent has free: what the best agent has.
fn sizes(view: &View, pending: &PendingRecord) -> Vec<String> {
    let agents = view.records.agents.iter().map(|(_, agent)| agent);
    let usable: Vec<_> = agents
        .filter(|agent| agent.state == AgentState::Connected && agent.is_active())
        .collect();
    if usable.is_empty() {
        return Vec::new();
    }
    let ports = Scalar::whole(i64::from(pending.task.port_count));
    let mut wanted: Vec<(String, Scalar)> = pending
        .resources
        .iter()
        .map(|resource| resource.name().as_str().to_owned())
        .filter(|name| name != "ports")
        .map(|name| (name.clone(), pending.resources.scalar(&name)))
        .collect();
    wanted.push(("ports".to_owned(), ports));
    let mut lines = Vec::new();
    for (name, wanted) in wanted {
        let most = |of: &dyn Fn(&mezz_core::records::AgentRecord) -> Scalar| {
            usable
                .iter()
                .map(|agent| of(agent))
                .max()
                .unwrap_or(Scalar::ZERO)
        };
        let whole = most(&|agent| quantity(&agent.total, &name));
        let free = most(&|agent| {
            let taken = quantity(&agent.used, &name).0 + quantity(&agent.offered, &name).0;
            Scalar(quantity(&agent.total, &name).0 - taken)
        });
        if wanted > whole && whole == Scalar::ZERO {
            lines.push(format!("no agent has {name}, so waiting does not help"));
        } else if wanted > whole {
            lines.push(format!(
                "no agent is that large: {name} is {whole} at most, so waiting does not help"
            ));
        } else if wanted > free {
            lines.push(format!(
                "at most {name}:{free} is free on one agent now, of {name}:{whole}"
            ));
        }
    }
    lines
}

fn quantity(resources: &Resources, name: &str) -> Scalar {
    if name != "ports" {
        return resources.scalar(name);
    }
    let ranges = resources.iter().filter_map(|one| match one.value() {
        ResourceValue::Ranges(ranges) if one.name().as_str() == "ports" => Some(ranges.count()),
        _ => None,
    });
    Scalar::whole(i64::try_from(ranges.sum::<u64>()).unwrap_or(i64::MAX / 1_000))
}
