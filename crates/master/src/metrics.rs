//! `/metrics/snapshot`: every number under the name that Mesos's exporters read. Derived from the view.

mod absent;
mod frameworks;

use std::collections::BTreeMap;

use mezz_core::records::{AgentState, FrameworkState, TaskList};
use mezz_proto::v1::TaskState;
use mezz_resource::Resources;

use crate::shared::Shared;
use crate::unversioned::{holdings, system_numbers};
use crate::view::View;

type Numbers = BTreeMap<String, f64>;

/// All metrics by name.
pub(crate) fn snapshot(shared: &Shared, view: &View) -> Numbers {
    let mut numbers = Numbers::new();
    absent::zeros(&mut numbers);
    let mut insert = |name, value| {
        numbers.insert(name, value);
    };
    shared.timings.show(&mut insert);
    shared.registrar.show(&mut insert);
    for (name, value) in view.records.metrics.iter() {
        numbers.insert(name, value as f64);
    }
    master(&mut numbers, shared, view);
    agents(&mut numbers, view);
    let tasks = tasks(&mut numbers, view);
    frameworks::frameworks(&mut numbers, view, &tasks);
    roles(&mut numbers, view);
    filters(&mut numbers, view);
    system(&mut numbers);
    numbers
}

fn master(numbers: &mut Numbers, shared: &Shared, view: &View) {
    let master = &view.records.master;
    numbers.insert(
        "master/elected".into(),
        f64::from(u8::from(master.elected_at.is_some())),
    );
    let uptime = crate::clock::wall_now().seconds() - shared.started_at.seconds();
    numbers.insert("master/uptime_secs".into(), uptime.max(0.0));
    numbers.insert(
        "master/outstanding_offers".into(),
        view.records.offers.len() as f64,
    );
    numbers.insert(
        "master/operator_event_stream_subscribers".into(),
        shared.hub.len() as f64,
    );
}

fn agents(numbers: &mut Numbers, view: &View) {
    let mut counts: BTreeMap<&str, f64> = [
        "active",
        "inactive",
        "connected",
        "disconnected",
        "unreachable",
    ]
    .into_iter()
    .map(|name| (name, 0.0))
    .collect();
    let (mut total, mut used, mut offered) = (
        Resources::default(),
        Resources::default(),
        Resources::default(),
    );
    for (_, agent) in view.records.agents.iter() {
        let mut count = |name| *counts.entry(name).or_default() += 1.0;
        match agent.state {
            AgentState::Connected => count("connected"),
            AgentState::Disconnected => count("disconnected"),
            AgentState::Unreachable => count("unreachable"),
            AgentState::Recovered | AgentState::Gone | AgentState::Removed => {}
        }
        if matches!(
            agent.state,
            AgentState::Connected | AgentState::Disconnected
        ) {
            count(if agent.is_active() {
                "active"
            } else {
                "inactive"
            });
            for (sum, part) in [
                (&mut total, &*agent.total),
                (&mut used, &agent.used),
                (&mut offered, &agent.offered),
            ] {
                part.iter().for_each(|resource| sum.push(resource.clone()));
            }
        }
    }
    for (name, count) in counts {
        numbers.insert(format!("master/slaves_{name}"), count);
    }
    agent_resources(numbers, &total, &used, &offered);
}

fn agent_resources(
    numbers: &mut Numbers,
    total: &Resources,
    used: &Resources,
    offered: &Resources,
) {
    for name in ["cpus", "gpus", "mem", "disk"] {
        gauges(numbers, name, &total.non_revocable(), &used.non_revocable());
        gauges(
            numbers,
            &format!("{name}_revocable"),
            &total.revocable(),
            &used.revocable(),
        );
        let all = total.scalar(name).to_f64();
        if all > 0.0 {
            let held = used.scalar(name).to_f64() + offered.scalar(name).to_f64();
            numbers.insert(format!("allocator/mesos/resources/{name}/total"), all);
            numbers.insert(
                format!("allocator/mesos/resources/{name}/offered_or_allocated"),
                held,
            );
        }
    }
}

fn gauges(numbers: &mut Numbers, name: &str, total: &Resources, used: &Resources) {
    let plain = name.trim_end_matches("_revocable");
    let (all, taken) = (total.scalar(plain).to_f64(), used.scalar(plain).to_f64());
    numbers.insert(format!("master/{name}_total"), all);
    numbers.insert(format!("master/{name}_used"), taken);
    numbers.insert(
        format!("master/{name}_percent"),
        if all > 0.0 { taken / all } else { 0.0 },
    );
}

/// Live and unreachable tasks of each framework by state.
type TaskCounts = BTreeMap<(mezz_core::key::FrameworkKey, i32), f64>;

fn tasks(numbers: &mut Numbers, view: &View) -> TaskCounts {
    let mut by_state: BTreeMap<&str, f64> =
        ["staging", "starting", "running", "killing", "unreachable"]
            .into_iter()
            .map(|name| (name, 0.0))
            .collect();
    let mut by_framework = TaskCounts::new();
    for (_, task) in view.records.tasks.iter() {
        let state = match task.list {
            TaskList::Live => task.state,
            TaskList::Unreachable => TaskState::TaskUnreachable,
            TaskList::Completed => continue,
        };
        *by_framework
            .entry((task.framework, state as i32))
            .or_default() += 1.0;
        let name = match state {
            TaskState::TaskStaging => "staging",
            TaskState::TaskStarting => "starting",
            TaskState::TaskRunning => "running",
            TaskState::TaskKilling => "killing",
            TaskState::TaskUnreachable => "unreachable",
            _ => continue,
        };
        *by_state.entry(name).or_default() += 1.0;
    }
    for (name, count) in by_state {
        numbers.insert(format!("master/tasks_{name}"), count);
    }
    by_framework
}

fn roles(numbers: &mut Numbers, view: &View) {
    let mut total = Resources::default();
    for (_, agent) in view.records.agents.iter() {
        if matches!(
            agent.state,
            AgentState::Connected | AgentState::Disconnected
        ) {
            agent
                .total
                .iter()
                .for_each(|resource| total.push(resource.clone()));
        }
    }
    let held = holdings(view);
    let mut everywhere: BTreeMap<String, f64> = BTreeMap::new();
    for (role, record) in view.records.roles.iter() {
        let Some(held) = held.get(role) else {
            numbers.insert(format!("allocator/mesos/roles/{role}/shares/dominant"), 0.0);
            continue;
        };
        let share = dominant_share(held, &total) / record.weight.unwrap_or(1.0);
        numbers.insert(
            format!("allocator/mesos/roles/{role}/shares/dominant"),
            share,
        );
        for (name, scalar) in held.allocated.quantities().iter() {
            *everywhere.entry(name.as_str().to_owned()).or_default() += scalar.to_f64();
            numbers.insert(
                format!(
                    "allocator/mesos/quota/roles/{role}/resources/{}/consumed",
                    name.as_str()
                ),
                scalar.to_f64(),
            );
        }
    }
    // Mesos calls the root of the role tree by the empty name.
    for (name, consumed) in everywhere {
        let name = format!("allocator/mesos/quota/roles//resources/{name}/consumed");
        numbers.insert(name, consumed);
    }
}

/// The refusals that stand in each role that some framework is subscribed to.
fn filters(numbers: &mut Numbers, view: &View) {
    for (_, framework) in view.records.frameworks.iter() {
        if framework.state == FrameworkState::Completed {
            continue;
        }
        for role in framework.roles() {
            let name = format!("allocator/mesos/offer_filters/roles/{role}/active");
            numbers
                .entry(name)
                .or_insert_with(|| view.filters.of(&role) as f64);
        }
    }
}

/// The largest part of any resource that a role holds or was offered.
pub(crate) fn dominant_share(held: &crate::unversioned::RoleHoldings, total: &Resources) -> f64 {
    total
        .quantities()
        .iter()
        .map(|(name, all)| {
            let mine = held.allocated.scalar(name.as_str()).to_f64()
                + held.offered.scalar(name.as_str()).to_f64();
            if all.to_f64() > 0.0 {
                mine / all.to_f64()
            } else {
                0.0
            }
        })
        .fold(0.0, f64::max)
}

fn system(numbers: &mut Numbers) {
    let system = system_numbers();
    numbers.insert("system/cpus_total".into(), system.cpus as f64);
    for (name, load) in ["1min", "5min", "15min"].iter().zip(system.loads) {
        numbers.insert(format!("system/load_{name}"), load);
    }
    numbers.insert(
        "system/mem_total_bytes".into(),
        system.mem_total_bytes as f64,
    );
    numbers.insert("system/mem_free_bytes".into(), system.mem_free_bytes as f64);
}
