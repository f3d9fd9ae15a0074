//! The metrics under Mesos's names.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use mezz_agent_core::{AgentRecords, ExecutorState, RegistrationState};
use mezz_http::Response;
use mezz_proto::v1::TaskState;
use serde_json::{Value, json};

use super::{AgentHttp, shown};
use crate::garbage::max_age;
use crate::{clock, host};

/// All metrics by name.
pub(super) async fn all(agent: &AgentHttp) -> Result<BTreeMap<&'static str, f64>, Response> {
    let records = agent.view().await?;
    let mut metrics = BTreeMap::new();
    resources(&records, &mut metrics);
    tasks(&records, &mut metrics);
    daemon(agent, &records, &mut metrics);
    system(&mut metrics);
    // Parts of Mesos that have no counterpart; readers expect the names.
    for name in NEVER {
        metrics.insert(name, 0.0);
    }
    Ok(metrics)
}

/// `/metrics/snapshot`.
pub(super) async fn snapshot(agent: &AgentHttp) -> Result<Value, Response> {
    Ok(json!(all(agent).await?))
}

const NEVER: &[&str] = &[
    "containerizer/mesos/container_destroy_errors",
    "containerizer/mesos/provisioner/bind/remove_rootfs_errors",
    "containerizer/mesos/provisioner/remove_container_errors",
    "resource_provider_manager/events/disconnect",
    "resource_provider_manager/events/subscribe",
    "resource_provider_manager/subscribed",
    "slave/executors_preempted",
    "slave/recovery_errors",
];

macro_rules! resource_metrics {
    ($($name:literal),*) => {
        &[$((
            $name,
            concat!("slave/", $name, "_total"), concat!("slave/", $name, "_used"), concat!("slave/", $name, "_percent"),
            [concat!("slave/", $name, "_revocable_total"), concat!("slave/", $name, "_revocable_used"), concat!("slave/", $name, "_revocable_percent")],
        )),*]
    };
}

type ResourceNames = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    [&'static str; 3],
);

fn resources(records: &AgentRecords, metrics: &mut BTreeMap<&'static str, f64>) {
    const NAMES: &[ResourceNames] = resource_metrics!("cpus", "gpus", "mem", "disk");
    let total = shown::known(&records.agent.resources);
    let used = shown::used(records);
    for (name, total_name, used_name, percent_name, revocable) in NAMES {
        let (total, used) = (total.scalar(name).to_f64(), used.scalar(name).to_f64());
        metrics.insert(total_name, total);
        metrics.insert(used_name, used);
        metrics.insert(percent_name, if total > 0.0 { used / total } else { 0.0 });
        metrics.extend(revocable.iter().map(|name| (*name, 0.0)));
    }
}

fn tasks(records: &AgentRecords, metrics: &mut BTreeMap<&'static str, f64>) {
    let counters = &records.counters;
    let live = |state: TaskState| {
        let tasks = shown::executors(records)
            .flat_map(|(_, executor)| executor.queued.iter().chain(&executor.tasks));
        tasks.filter(|task| task.state == state).count() as f64
    };
    let executors = |state: ExecutorState| {
        shown::executors(records)
            .filter(|(_, executor)| executor.state == state)
            .count() as f64
    };
    metrics.extend([
        ("slave/tasks_staging", live(TaskState::TaskStaging)),
        ("slave/tasks_starting", live(TaskState::TaskStarting)),
        ("slave/tasks_running", live(TaskState::TaskRunning)),
        ("slave/tasks_killing", live(TaskState::TaskKilling)),
        ("slave/tasks_finished", counters.tasks_finished as f64),
        ("slave/tasks_failed", counters.tasks_failed as f64),
        ("slave/tasks_killed", counters.tasks_killed as f64),
        ("slave/tasks_lost", counters.tasks_lost as f64),
        ("slave/tasks_gone", counters.tasks_gone as f64),
        (
            "slave/valid_status_updates",
            counters.valid_status_updates as f64,
        ),
        (
            "slave/invalid_status_updates",
            counters.invalid_status_updates as f64,
        ),
        (
            "slave/valid_framework_messages",
            counters.valid_framework_messages as f64,
        ),
        (
            "slave/invalid_framework_messages",
            counters.invalid_framework_messages as f64,
        ),
        (
            "slave/container_launch_errors",
            counters.container_launch_errors as f64,
        ),
        (
            "slave/executors_registering",
            executors(ExecutorState::Registering),
        ),
        ("slave/executors_running", executors(ExecutorState::Running)),
        (
            "slave/executors_terminating",
            executors(ExecutorState::Terminating),
        ),
        (
            "slave/executors_terminated",
            counters.executors_terminated as f64,
        ),
        ("slave/frameworks_active", records.frameworks.len() as f64),
    ]);
}

fn daemon(agent: &AgentHttp, records: &AgentRecords, metrics: &mut BTreeMap<&'static str, f64>) {
    let registered = records.registration == RegistrationState::Registered;
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed) as f64;
    metrics.extend([
        (
            "containerizer/fetcher/task_fetches_succeeded",
            load(&agent.fetch.succeeded),
        ),
        (
            "containerizer/fetcher/task_fetches_failed",
            load(&agent.fetch.failed),
        ),
        (
            "containerizer/fetcher/cache_size_total_bytes",
            load(&agent.fetch.cache_total),
        ),
        (
            "containerizer/fetcher/cache_size_used_bytes",
            load(&agent.fetch.cache_used),
        ),
        ("gc/path_removals_pending", load(&agent.garbage.pending)),
        ("gc/path_removals_succeeded", load(&agent.garbage.succeeded)),
        ("gc/path_removals_failed", load(&agent.garbage.failed)),
        (
            "slave/executor_directory_max_allowed_age_secs",
            max_age(&agent.garbage_settings).as_secs_f64(),
        ),
        ("slave/registered", f64::from(u8::from(registered))),
        ("slave/recovery_time_secs", agent.recovery_seconds()),
        (
            "slave/uptime_secs",
            (clock::wall_seconds() - agent.start_time).max(0.0),
        ),
    ]);
}

fn system(metrics: &mut BTreeMap<&'static str, f64>) {
    let [one, five, fifteen] = host::load();
    metrics.extend([
        ("system/cpus_total", host::cpus()),
        ("system/load_1min", one),
        ("system/load_5min", five),
        ("system/load_15min", fifteen),
        ("system/mem_free_bytes", host::free_memory_bytes() as f64),
        ("system/mem_total_bytes", host::memory_bytes() as f64),
    ]);
}
