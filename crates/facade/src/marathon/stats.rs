//! Counts of an app's tasks, by how they came to be.

use std::sync::Arc;

use mezz_proto::v1::TaskState;
use mezz_state::time::{MILLISECOND_NS, Wall};
use mezz_workload::records::{InstanceRecord, ObjectRecord, Owner, Phase};
use serde_json::{Map, Value, json};

use super::info::configured_at;
use super::info::version_of;
use crate::world::World;

/// What the embed `taskStats` shows: sets without tasks are left out.
pub(super) fn of(
    world: &World<'_>,
    record: &ObjectRecord,
    instances: &[&Arc<InstanceRecord>],
) -> Value {
    let configured = configured_at(record);
    let version = |instance: &InstanceRecord| match instance.owner {
        Owner::Service { generation, .. } => version_of(record, generation),
        Owner::Run { .. } => record.changed_at,
    };
    let mut shown = Map::new();
    let mut add = |name: &str, belongs: &dyn Fn(&InstanceRecord) -> bool| {
        let all = instances.iter().map(|instance| &***instance);
        let set: Vec<&InstanceRecord> = all.filter(|instance| belongs(instance)).collect();
        if !set.is_empty() {
            shown.insert(name.into(), json!({ "stats": one(world.now, &set) }));
        }
    };
    add("startedAfterLastScaling", &|instance| {
        instance.created_at >= record.changed_at
    });
    add("withLatestConfig", &|instance| {
        version(instance) >= configured
    });
    add("withOutdatedConfig", &|instance| {
        version(instance) < configured
    });
    add("totalSummary", &|_| true);
    Value::Object(shown)
}

fn one(now: Wall, set: &[&InstanceRecord]) -> Value {
    let count = |passes: fn(&InstanceRecord) -> bool| {
        set.iter().filter(|instance| passes(instance)).count()
    };
    let mut stats = json!({ "counts": {
        "staged": count(|instance| instance.phase == Phase::Starting),
        "running": count(|instance| instance.state == TaskState::TaskRunning),
        "healthy": count(|instance| instance.healthy == Some(true)),
        "unhealthy": count(|instance| instance.healthy == Some(false)),
    } });
    let mut lives: Vec<u64> = set
        .iter()
        .filter_map(|instance| instance.started_at)
        .map(|at| now.0.saturating_sub(at.0) / MILLISECOND_NS)
        .collect();
    lives.sort_unstable();
    let total: u64 = lives.iter().sum();
    if let (Some(average), Some(median)) = (
        total.checked_div(lives.len() as u64),
        lives.get(lives.len() / 2),
    ) {
        stats["lifeTime"] = json!({
            "averageSeconds": seconds(average),
            "medianSeconds": seconds(*median),
        });
    }
    stats
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1_000.0
}
