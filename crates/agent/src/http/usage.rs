//! `POST /v1/usage`: what tasks of one framework have used so far, for a master that scales by it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::Method;
use mezz_agent_core::{AgentRecords, ExecutorRecord, FrameworkRecord, LaunchId};
use mezz_http::{Request, Response, respond};
use serde::Deserialize;
use serde_json::{Map, json};

use super::{AgentHttp, containers, shown};
use crate::clock;
use crate::connections::{self, Listener};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    framework_id: String,
    tasks: BTreeSet<String>,
    /// Of tasks whose connections are to be counted: the ports that they listen on.
    #[serde(default)]
    ports: BTreeMap<String, BTreeSet<u16>>,
}

/// Tasks that do not run are left out. `at_us` is of a clock that only this life of the agent has.
pub(super) async fn answer(agent: &AgentHttp, mut request: Request) -> Result<Response, Response> {
    request.expect_method(&[Method::POST])?;
    let body = request.read_body().await?;
    let asked: Asked = serde_json::from_slice(&body)
        .map_err(|error| respond::bad_request(format!("the body: {error}")))?;
    let records = agent.view().await?;
    let launches: BTreeMap<LaunchId, String> = wanted(&records, &asked)
        .map(|(_, executor)| (executor.launch_id, executor.id().to_owned()))
        .collect();
    let used = containers::used(agent, launches.keys().copied().collect()).await;
    let connections = connections(&records, &asked).await;
    let at_us = clock::now().mono_ns / 1_000;
    let tasks: Map<_, _> = used
        .into_iter()
        .filter_map(|(launch_id, used)| {
            let id = launches.get(&launch_id)?;
            let seconds = used.cpus_user_time_secs? + used.cpus_system_time_secs?;
            let used_time = Duration::try_from_secs_f64(seconds).ok()?;
            let mut entry = json!({
                "cpu_us": used_time.as_micros(),
                "rss_bytes": used.mem_rss_bytes?,
            });
            if let Some(count) = connections.get(id) {
                entry["connections"] = (*count).into();
            }
            Some((id.clone(), entry))
        })
        .collect();
    Ok(respond::json(
        json!({ "at_us": at_us, "tasks": tasks }).to_string(),
    ))
}

fn wanted<'a>(
    records: &'a AgentRecords,
    asked: &'a Asked,
) -> impl Iterator<Item = (&'a FrameworkRecord, &'a ExecutorRecord)> {
    shown::containers(records)
        .filter(|(framework, executor)| {
            shown::framework_id(framework) == asked.framework_id && executor.pid.is_some()
        })
        .filter(|(_, executor)| asked.tasks.contains(executor.id()))
}

async fn connections(records: &AgentRecords, asked: &Asked) -> BTreeMap<String, u64> {
    let listeners: BTreeMap<String, Listener> = wanted(records, asked)
        .filter_map(|(_, executor)| {
            let ports = asked.ports.get(executor.id())?.clone();
            let pid = executor.pid?;
            Some((executor.id().to_owned(), Listener { pid, ports }))
        })
        .collect();
    if listeners.is_empty() {
        return BTreeMap::new();
    }
    let counted = tokio::task::spawn_blocking(|| connections::count(listeners)).await;
    counted.unwrap_or_default()
}
