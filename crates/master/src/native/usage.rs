//! `GET /v1/usage`: what tasks have used so far, asked of all agents that run some.
//!
//! Figures only grow: who wants a rate asks twice and divides by the difference of `at_us`, which is of a clock of the
//! agent's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use mezz_core::key::AgentKey;
use mezz_core::records::TaskList;
use mezz_http::{Response, respond};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::tasks::framework_id;
use super::values::scalars;
use crate::shared::Shared;

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer of an agent.
const MOST_BYTES: usize = 64 << 20;

/// What is to be asked of one agent: tasks by framework.
type Asked = BTreeMap<String, BTreeSet<String>>;

pub(super) async fn usage(shared: &Arc<Shared>) -> Response {
    let (agents, mut rows) = asked(shared);
    let mut questions = JoinSet::new();
    for (authority, frameworks) in agents {
        for (framework, tasks) in frameworks {
            let (client, authority) = (shared.client.clone(), authority.clone());
            questions.spawn(async move {
                let body = json!({ "framework_id": framework, "tasks": tasks });
                let answer =
                    tokio::time::timeout(PATIENCE, ask(&client, &authority, body.to_string()));
                let answer = answer.await.ok().flatten();
                (framework, answer)
            });
        }
    }
    while let Some(answered) = questions.join_next().await {
        let Ok((framework, Some(answer))) = answered else {
            continue;
        };
        let none = serde_json::Map::new();
        for (task, used) in answer["tasks"].as_object().unwrap_or(&none) {
            if let Some(row) = rows.get_mut(&(framework.clone(), task.clone())) {
                row["cpu_us"] = used["cpu_us"].clone();
                row["rss_bytes"] = used["rss_bytes"].clone();
                row["at_us"] = answer["at_us"].clone();
            }
        }
    }
    let rows = rows.into_values().collect::<Vec<Value>>();
    respond::json(Value::from(rows).to_string())
}

async fn ask(client: &mezz_http::client::Client, authority: &str, body: String) -> Option<Value> {
    let headers = [("Content-Type", "application/json")];
    let answer = client
        .send(authority, Method::POST, "/v1/usage", &headers, body.into())
        .await
        .ok()?;
    if answer.status != StatusCode::OK {
        return None;
    }
    let body = answer.read(MOST_BYTES).await.ok()?;
    serde_json::from_slice(&body).ok()
}

/// Whom to ask, and a row for each task that runs, its figures unknown.
fn asked(shared: &Shared) -> (BTreeMap<String, Asked>, BTreeMap<(String, String), Value>) {
    let view = shared.view();
    let (mut agents, mut rows) = (BTreeMap::<String, Asked>::new(), BTreeMap::new());
    for (_, task) in view.records.tasks.iter() {
        if task.list == TaskList::Completed
            || task.finished_at.is_some()
            || task.agent == AgentKey::NONE
        {
            continue;
        }
        let Some(agent) = view.records.agents.get(task.agent.index()) else {
            continue;
        };
        let framework = framework_id(&view, task).to_owned();
        let authority = format!("{}:{}", agent.ip, agent.info.port.unwrap_or(5051));
        let tasks = agents.entry(authority).or_default();
        tasks
            .entry(framework.clone())
            .or_default()
            .insert(task.id.to_string());
        let row = json!({
            "id": &*task.id,
            "framework_id": framework,
            "agent_id": agent.id.to_string(),
            "hostname": &agent.info.hostname,
            "resources": scalars(&task.resources),
            "cpu_us": null,
            "rss_bytes": null,
            "at_us": null,
        });
        rows.insert((framework, task.id.to_string()), row);
    }
    (agents, rows)
}
