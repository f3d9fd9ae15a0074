//! What containers use: `/monitor/statistics`, `/containers`, GET_CONTAINERS.

use std::sync::Arc;

use mezz_agent_core::{ContainerRecord, ExecutorRecord, FrameworkRecord, LaunchId};
use mezz_http::Response;
use mezz_http::query::Query;
use mezz_proto::to_value;
use mezz_proto::v1::agent::response::get_containers::Container;
use mezz_proto::v1::{ContainerId, ContainerStatus, ResourceStatistics};
use mezz_resource::Resources;
use mezz_warden::Usage;
use serde_json::{Value, json};

use super::{AgentHttp, shown};
use crate::clock;
use crate::isolators::Round;

/// One container as GET_CONTAINERS shows it, with what the unversioned endpoints show beside.
struct Shown {
    container: Container,
    source: String,
}

/// Which containers are shown besides those of executors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Others {
    pub(super) nested: bool,
    pub(super) standalone: bool,
}

impl Others {
    fn show(self, container: &ContainerRecord) -> bool {
        if container.path.depth() > 0 {
            self.nested
        } else {
            self.standalone
        }
    }
}

/// All containers that have been started, with their use.
pub(super) async fn list(agent: &AgentHttp, others: Others) -> Result<Vec<Container>, Response> {
    Ok(gather(agent, others)
        .await?
        .into_iter()
        .map(|shown| shown.container)
        .collect())
}

async fn gather(agent: &AgentHttp, others: Others) -> Result<Vec<Shown>, Response> {
    let records = agent.view().await?;
    let launches = shown::containers(&records)
        .filter(|(_, executor)| executor.pid.is_some())
        .map(|(_, executor)| executor.launch_id);
    let other = || {
        let running = |container: &&ContainerRecord| container.pid.is_some();
        let shown = |container: &&ContainerRecord| others.show(container);
        records.containers.iter().filter(running).filter(shown)
    };
    let launches = launches
        .chain(other().map(|container| container.launch_id))
        .collect();
    let used = used(agent, launches).await;
    let timestamp = clock::wall_seconds();
    let list = shown::executors(&records).filter_map(|(framework, executor)| {
        let mut running = executor.containers().filter(|one| one.pid.is_some());
        running.next()?;
        let of_each = executor.containers().map(|one| used.get(&one.launch_id));
        let all = of_each.flatten().cloned().reduce(together);
        Some(show(framework, executor, all.as_ref(), timestamp))
    });
    let others = other().map(|container| {
        let used = used.get(&container.launch_id);
        show_other(container, used, timestamp)
    });
    Ok(list.chain(others).collect())
}

/// Mesos shows neither framework nor executor of these.
fn show_other(
    record: &ContainerRecord,
    used: Option<&ResourceStatistics>,
    timestamp: f64,
) -> Shown {
    let id = record.path.to_id();
    let container = Container {
        container_id: id.clone(),
        container_status: Some(ContainerStatus {
            container_id: Some(id),
            executor_pid: record.pid,
            ..ContainerStatus::default()
        }),
        resource_statistics: Some(statistics(
            &shown::known(&record.wanted.resources),
            used,
            timestamp,
        )),
        ..Container::default()
    };
    Shown {
        container,
        source: String::new(),
    }
}

/// What the containers of a pod use, as far as it can be added up.
fn together(one: ResourceStatistics, other: ResourceStatistics) -> ResourceStatistics {
    let seconds = |one: Option<f64>, other: Option<f64>| Some(one? + other?);
    ResourceStatistics {
        timestamp: one.timestamp,
        cpus_user_time_secs: seconds(one.cpus_user_time_secs, other.cpus_user_time_secs),
        cpus_system_time_secs: seconds(one.cpus_system_time_secs, other.cpus_system_time_secs),
        mem_total_bytes: one
            .mem_total_bytes
            .zip(other.mem_total_bytes)
            .map(|(one, other)| one + other),
        mem_rss_bytes: one
            .mem_rss_bytes
            .zip(other.mem_rss_bytes)
            .map(|(one, other)| one + other),
        processes: one
            .processes
            .zip(other.processes)
            .map(|(one, other)| one + other),
        ..ResourceStatistics::default()
    }
}

fn show(
    framework: &FrameworkRecord,
    executor: &ExecutorRecord,
    used: Option<&ResourceStatistics>,
    timestamp: f64,
) -> Shown {
    let id = ContainerId {
        value: executor.container_id.to_string(),
        parent: None,
    };
    let info = executor.info();
    let container = Container {
        framework_id: framework.info.id.clone(),
        executor_id: Some(info.executor_id.clone()),
        executor_name: Some(info.name().to_owned()),
        container_id: id.clone(),
        container_status: Some(ContainerStatus {
            container_id: Some(id),
            executor_pid: executor.pid,
            ..ContainerStatus::default()
        }),
        resource_statistics: Some(statistics_of(executor, used, timestamp)),
    };
    Shown {
        container,
        source: info.source().to_owned(),
    }
}

fn statistics_of(
    executor: &ExecutorRecord,
    used: Option<&ResourceStatistics>,
    timestamp: f64,
) -> ResourceStatistics {
    statistics(&shown::executor_resources(executor), used, timestamp)
}

fn statistics(
    held: &Resources,
    used: Option<&ResourceStatistics>,
    timestamp: f64,
) -> ResourceStatistics {
    let used = used.cloned().unwrap_or_default();
    if used.mem_soft_limit_bytes.is_some() {
        return ResourceStatistics { timestamp, ..used };
    }
    // MiB are whole numbers with three decimals: no precision is lost.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "quantities are positive and far below 2^53"
    )]
    let memory = (held.scalar("mem").to_f64() * 1_048_576.0) as u64;
    ResourceStatistics {
        timestamp,
        cpus_soft_limit: Some(held.scalar("cpus").to_f64()),
        mem_limit_bytes: Some(memory),
        mem_soft_limit_bytes: Some(memory),
        ..used
    }
}

/// What containers use, by their groups where those count it, else by their processes. Unknown ones are left out.
pub(super) async fn used(agent: &AgentHttp, launches: Vec<LaunchId>) -> Round {
    let counted = match &agent.statistics {
        Some(statistics) => statistics.round().await,
        None => Arc::default(),
    };
    let mut used = Round::new();
    let mut open = Vec::new();
    for launch_id in launches {
        let statistics = counted.get(&launch_id);
        let lacks = |statistics: &ResourceStatistics| {
            statistics.cpus_user_time_secs.is_none() || statistics.mem_rss_bytes.is_none()
        };
        if statistics.is_none_or(lacks) {
            open.push(launch_id);
        }
        used.extend(statistics.map(|statistics| (launch_id, statistics.clone())));
    }
    for (launch_id, usage) in agent.inbox.usage(open).await {
        add_processes(used.entry(launch_id).or_default(), &usage);
    }
    used
}

/// What the warden has counted, where nothing better is known.
fn add_processes(statistics: &mut ResourceStatistics, usage: &Usage) {
    let seconds = |microseconds: u64| microseconds as f64 / 1e6;
    if statistics.cpus_user_time_secs.is_none() {
        statistics.cpus_user_time_secs = Some(seconds(usage.user_us));
        statistics.cpus_system_time_secs = Some(seconds(usage.system_us));
    }
    statistics.mem_rss_bytes.get_or_insert(usage.rss_bytes);
    statistics.processes.get_or_insert(usage.processes);
}

/// `/monitor/statistics`.
pub(super) async fn monitor(agent: &AgentHttp) -> Result<Value, Response> {
    Ok(gather(agent, Others::default())
        .await?
        .iter()
        .map(|shown| entry(shown, &[]))
        .collect())
}

/// `/containers`.
pub(super) async fn containers(agent: &AgentHttp, query: &Query) -> Result<Value, Response> {
    let wanted = |shown: &Shown| {
        let matches =
            |key: &str, id: Option<&str>| query.get(key).is_none_or(|wanted| Some(wanted) == id);
        matches(
            "framework_id",
            shown
                .container
                .framework_id
                .as_ref()
                .map(|id| id.value.as_str()),
        ) && matches(
            "executor_id",
            shown
                .container
                .executor_id
                .as_ref()
                .map(|id| id.value.as_str()),
        ) && matches(
            "container_id",
            Some(shown.container.container_id.value.as_str()),
        )
    };
    let flag = |name: &str| query.flag(name).map_err(mezz_http::respond::bad_request);
    let others = Others {
        nested: flag("show_nested")?,
        standalone: flag("show_standalone")?,
    };
    let gathered = gather(agent, others).await?;
    let list = gathered.iter().filter(|shown| wanted(shown)).map(|shown| {
        let status = shown
            .container
            .container_status
            .as_ref()
            .map(to_value)
            .unwrap_or_default();
        entry(
            shown,
            &[
                (
                    "container_id",
                    Value::from(shown.container.container_id.value.as_str()),
                ),
                ("status", status),
            ],
        )
    });
    Ok(list.collect())
}

fn entry(shown: &Shown, more: &[(&str, Value)]) -> Value {
    let container = &shown.container;
    let mut entry = json!({
        "statistics": container.resource_statistics.as_ref().map(to_value),
    });
    if let Some(executor_id) = &container.executor_id {
        let framework_id = container.framework_id.as_ref();
        entry["executor_id"] = executor_id.value.as_str().into();
        entry["executor_name"] = container.executor_name().into();
        entry["framework_id"] = framework_id.map_or("", |id| id.value.as_str()).into();
        entry["source"] = shown.source.as_str().into();
    }
    for (key, value) in more {
        entry[*key] = value.clone();
    }
    entry
}
