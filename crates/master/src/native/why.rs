//! `GET /v1/why/{id}`: why something got nothing yet.

use mezz_core::effect::Reply;
use mezz_core::event::Event;
use mezz_http::Response;
use serde_json::{Value, json};

use super::problems::refused;
use super::tasks::{Found, find};
use crate::shared::Shared;
use crate::view::View;

/// The reasons, from the most to the least important one.
pub(super) async fn document(shared: &Shared, view: &View, id: &str) -> Result<Value, Response> {
    let asked = id.to_owned();
    let reasons = match shared
        .call(|request| Event::Explain { request, id: asked })
        .await
    {
        Reply::Explained(reasons) => reasons,
        Reply::NotFound(message) => match kind(view, id) {
            Some("agent" | "offer") => Vec::new(),
            Some(_) => task_reasons(view, id),
            None => return Err(refused(Reply::NotFound(message))),
        },
        other => return Err(refused(other)),
    };
    Ok(json!({ "id": id, "kind": kind(view, id).unwrap_or("role"), "reasons": reasons }))
}

fn kind(view: &View, id: &str) -> Option<&'static str> {
    let records = &view.records;
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
        return Some("task");
    }
    records.roles.contains_key(id).then_some("role")
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
        Ok(Found::Pending(pending)) => pending.why.to_vec(),
        Ok(Found::Task(task)) => vec![format!("it is {}", task.state.as_str_name())],
        Err(_) => Vec::new(),
    }
}
