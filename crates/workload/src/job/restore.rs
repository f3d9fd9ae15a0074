//! Runs taken over from the store. An attempt that was assigned is held to be alive until its agent says otherwise, does
//! not know it, or is gone: only then is its index started again.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mezz_proto::v1;
use mezz_spec::Spec;
use prost::Message;

use super::block::{Assignment, StoredBlock};
use super::indices::{Indices, Past};
use super::{ActiveRun, Plan, backoff, begin_stop};
use crate::dag;
use crate::effect::{Effect, Effects};
use crate::event::AgentInfo;
use crate::instances::task::host_name;
use crate::instances::{rules, wire_labels};
use crate::key::{InstanceKey, ObjectKey, RunKey};
use crate::records::{InstanceRecord, Owner, Phase};
use crate::restore::{Sections, slots};
use crate::runs::ids;
use crate::workloads::Workloads;

pub(crate) fn restore(
    w: &mut Workloads,
    sections: &Sections,
    by_uid: &BTreeMap<String, ObjectKey>,
    effects: &mut Effects,
) {
    // Instances of services keep their slots; those of runs get others.
    w.free_instances = slots(&w.records.instances);
    w.restore_runs(sections);
    for (place, plan) in w.read::<Plan>(sections, "plan") {
        let Some((key, _)) = find(w, by_uid, &place) else {
            continue;
        };
        let goes_on = w.run(key).is_some_and(|run| !run.state.is_over());
        if goes_on && matches!(**plan.spec(), Spec::Dag(_)) {
            dag::adopt(w, key, Arc::clone(plan.spec()));
        } else if goes_on {
            let active = ActiveRun::new(w, plan);
            w.jobs.active.insert(key, active);
        }
    }
    for (place, block) in w.read::<StoredBlock>(sections, "block") {
        let found = find(w, by_uid, &place);
        let number = found.and_then(|(key, rest)| Some((key, rest.parse().ok()?)));
        if let Some((key, number)) = number {
            restore_block(w, key, number, block, effects);
        }
    }
    finish_restore(w, effects);
}

/// The run of a place in the store, and what follows it there.
fn find<'a>(
    w: &Workloads,
    by_uid: &BTreeMap<String, ObjectKey>,
    place: &'a str,
) -> Option<(RunKey, &'a str)> {
    let (uid, rest) = place.split_once('/')?;
    let (id, rest) = rest.split_once('/').unwrap_or((rest, ""));
    Some((w.run_named(*by_uid.get(uid)?, id)?, rest))
}

fn restore_block(
    w: &mut Workloads,
    key: RunKey,
    number: u32,
    block: StoredBlock,
    effects: &mut Effects,
) {
    let now = w.wall();
    let Some(active) = w.jobs.active.get_mut(&key) else {
        return;
    };
    let mut indices = std::mem::replace(&mut active.indices, Indices::new(0));
    block.restore(number, &mut indices, now, |index, past, assignment| {
        restore_attempt(w, key, index, past, assignment, effects)
    });
    w.jobs.active.get_mut(&key).expect("just seen").indices = indices;
}

fn restore_attempt(
    w: &mut Workloads,
    key: RunKey,
    index: u32,
    past: Past,
    assignment: Assignment,
    effects: &mut Effects,
) -> InstanceKey {
    let instance = InstanceKey(w.free_instances.take());
    let record = instance_record(w, instance, key, index, past, &assignment);
    let active = w
        .jobs
        .active
        .get_mut(&key)
        .expect("its run is being restored");
    active.taken.insert(index, assignment.resources);
    if let Some(span) = active.plan.job().attempt_timeout {
        let at = backoff::after(assignment.started_at, span);
        active.timeouts.insert((at, index, past.attempt));
    }
    if let Ok(task) = v1::TaskInfo::decode(record.expected.clone()) {
        effects.push(Effect::Expect {
            task: Box::new(task),
            group: rules::group(record.object),
        });
    }
    w.insert_instance(record, effects);
    instance
}

fn instance_record(
    w: &Workloads,
    key: InstanceKey,
    run: RunKey,
    index: u32,
    past: Past,
    assignment: &Assignment,
) -> InstanceRecord {
    let (name, _, record) = w.owner_of(run).expect("its run is being restored");
    let id = ids::attempt_id(name, &record.id, index, past.attempt);
    let plan = &w.jobs.active[&run].plan;
    let taken = v1::TaskInfo::decode(assignment.resources.clone()).unwrap_or_default();
    let task = v1::TaskInfo {
        name: host_name(name),
        task_id: v1::TaskId { value: id.clone() },
        agent_id: v1::AgentId {
            value: assignment.agent.to_string(),
        },
        resources: taken.resources,
        labels: wire_labels(&plan.labels),
        ..v1::TaskInfo::default()
    };
    InstanceRecord {
        key,
        id: id.into(),
        object: record.object,
        owner: Owner::Run {
            run,
            index,
            attempt: past.attempt,
        },
        agent: agent_info(assignment),
        phase: Phase::Starting,
        state: v1::TaskState::TaskStaging,
        healthy: None,
        ready: false,
        ports: assignment.ports.clone(),
        addresses: Vec::new(),
        created_at: assignment.started_at,
        started_at: None,
        message: Box::default(),
        health_changed_at: None,
        passing_since: None,
        unreachable_since: None,
        check: None,
        findings: None,
        parked: false,
        ending: None,
        confirmed: false,
        revision: 0,
        expected: Bytes::from(task.encode_to_vec()),
    }
}

/// What was written of an agent; the rest comes when it registers.
fn agent_info(assignment: &Assignment) -> AgentInfo {
    AgentInfo {
        id: (*assignment.agent).into(),
        hostname: (*assignment.hostname).into(),
        ip: Arc::from(""),
        region: None,
        zone: None,
    }
}

fn finish_restore(w: &mut Workloads, effects: &mut Effects) {
    let now = w.wall();
    for (key, active) in &mut w.jobs.active {
        let run = w.records.runs.get(key.index());
        let retried = run.map_or(0, |run| run.counts.retried);
        active.indices.restore_retried(retried);
        active.indices.restore_gaps(now);
        w.jobs.dirty.insert(*key);
    }
    for key in w.jobs.active.keys().copied().collect::<Vec<_>>() {
        if let Some(stop) = w.noted_stop(key) {
            begin_stop(w, key, stop, effects);
        }
    }
}

/// From now on attempts may be given up.
pub(crate) fn on_reconciled(w: &mut Workloads, _: &mut Effects) {
    w.jobs.dirty.extend(w.jobs.active.keys().copied());
}

/// An agent has said who it is: what was restored of its attempts is completed.
pub(crate) fn on_agent(w: &mut Workloads, info: &AgentInfo) {
    let keys = w.instances_by_agent.get(&info.id).cloned();
    for key in keys.unwrap_or_default() {
        let is_bare = w
            .instance(key)
            .is_some_and(|one| one.agent.ip.is_empty() && matches!(one.owner, Owner::Run { .. }));
        if is_bare && let Some(instance) = w.instance_mut(key) {
            instance.agent = info.clone();
        }
    }
}
