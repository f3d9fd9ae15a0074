//! An app with what has become of it, as `GET /v2/apps` answers it.

use mezz_proto::v1::TaskState;
use mezz_workload::records::{Failure, ObjectRecord, Phase, ServiceStatus, Status};
use serde_json::{Value, json};

use super::standing::Standing;
use super::{app, defaults, readiness, stats, tasks};
use crate::instant::zulu;
use crate::request::Request;
use crate::world::World;

/// What is to be shown beyond the app itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Embed(u8);

const TASKS: u8 = 1;
const FAILURE: u8 = 2;
const STATS: u8 = 4;
const READINESS: u8 = 8;
const GROUP_APPS: u8 = 16;
const GROUPS: u8 = 32;
const GROUP_PODS: u8 = 64;

impl Embed {
    /// The names come with several prefixes; unknown ones mean nothing.
    pub(super) fn new(request: &Request) -> Self {
        let mut parts = 0;
        let mut is_given = false;
        for name in request.parameters("embed") {
            is_given = true;
            parts |= match name {
                "group.groups" => GROUPS,
                "group.pods" => GROUP_PODS,
                name if name.starts_with("group.apps") => GROUP_APPS,
                _ => 0,
            };
            let name = ["group.apps.", "apps.", "app."]
                .iter()
                .find_map(|prefix| name.strip_prefix(prefix))
                .unwrap_or(name);
            parts |= match name {
                "tasks" => TASKS,
                "lastTaskFailure" => FAILURE,
                "failures" => TASKS | FAILURE,
                "taskStats" => STATS,
                "readiness" => READINESS,
                _ => 0,
            };
        }
        if !is_given {
            parts |= GROUP_APPS | GROUPS | GROUP_PODS;
        }
        Self(parts)
    }

    /// What a single app always shows.
    pub(super) fn single(self) -> Self {
        Self(self.0 | TASKS | FAILURE)
    }

    const fn has(self, part: u8) -> bool {
        self.0 & part != 0
    }

    /// Whether a group shows its apps.
    pub(super) const fn group_apps(self) -> bool {
        self.has(GROUP_APPS)
    }

    /// Whether a group shows the groups in it.
    pub(super) const fn groups(self) -> bool {
        self.has(GROUPS)
    }

    /// Whether a group shows its pods.
    pub(super) const fn group_pods(self) -> bool {
        self.has(GROUP_PODS)
    }
}

/// An app with its defaults, without what it has become.
pub(super) fn plain(record: &ObjectRecord) -> Option<Value> {
    let mut app = with_defaults(app::shown(&record.name, &record.spec)?, record);
    app["version"] = zulu(record.changed_at).into();
    Some(app)
}

/// Members that Marathon always answers. What strict clients do not know is shown only when it says something.
pub(super) fn with_defaults(app: Value, record: &ObjectRecord) -> Value {
    let Value::Object(mut map) = app else {
        return app;
    };
    let plain = [
        ("backoffFactor", json!(1.15)),
        ("backoffSeconds", json!(1)),
        ("cpus", json!(1)),
        ("disk", json!(0)),
        ("env", json!({})),
        ("executor", json!("")),
        ("gpus", json!(0)),
        ("instances", json!(1)),
        ("killSelection", json!("YOUNGEST_FIRST")),
        ("labels", json!({})),
        ("maxLaunchDelaySeconds", json!(300)),
        ("mem", json!(128)),
        ("networks", json!([{ "mode": "host" }])),
        ("requirePorts", json!(false)),
        (
            "unreachableStrategy",
            json!({ "inactiveAfterSeconds": 0, "expungeAfterSeconds": 0 }),
        ),
        (
            "upgradeStrategy",
            json!({ "minimumHealthCapacity": 1, "maximumOverCapacity": 1 }),
        ),
    ];
    for (key, value) in plain {
        map.entry(key).or_insert(value);
    }
    defaults::complete(&mut map);
    map.insert("id".into(), record.name.as_str().into());
    if !record.labels.is_empty() {
        map.insert("labels".into(), json!(record.labels));
    }
    Value::Object(map)
}

/// An app with what has become of it.
pub(super) fn full(
    world: &World<'_>,
    standing: &Standing<'_>,
    record: &ObjectRecord,
    embed: Embed,
) -> Option<Value> {
    let mut app = plain(record)?;
    let status = match &record.status {
        Status::Service(status) => status.clone(),
        _ => ServiceStatus::default(),
    };
    let instances = standing.instances(record.key);
    let staged = instances
        .iter()
        .filter(|instance| instance.phase == Phase::Starting)
        .count();
    let running = instances
        .iter()
        .filter(|instance| instance.state == TaskState::TaskRunning)
        .count();
    app["versionInfo"] = json!({
        "lastScalingAt": zulu(record.changed_at),
        "lastConfigChangeAt": zulu(configured_at(record)),
    });
    app["tasksStaged"] = staged.into();
    app["tasksRunning"] = running.into();
    app["tasksHealthy"] = status.healthy.into();
    app["tasksUnhealthy"] = status.unhealthy.into();
    app["deployments"] = standing
        .deployment(record.key)
        .map(|id| json!({ "id": id }))
        .into_iter()
        .collect();
    if embed.has(TASKS) {
        app["tasks"] = instances
            .iter()
            .map(|instance| tasks::task(world, record, instance))
            .collect();
    }
    if embed.has(READINESS) {
        app["readinessCheckResults"] = readiness::results(record, instances);
    }
    if embed.has(FAILURE)
        && let Some(failure) = &status.last_failure
    {
        app["lastTaskFailure"] = last_failure(record, failure);
    }
    if embed.has(STATS) {
        app["tasksStats"] = stats::of(world, record, instances);
    }
    Some(app)
}

/// When anything but the number of instances last changed.
pub(super) fn configured_at(record: &ObjectRecord) -> mezz_state::time::Wall {
    let without_count = |spec: &mezz_spec::Spec| {
        let mut shown = app::shown(&record.name, spec).unwrap_or_default();
        if let Some(map) = shown.as_object_mut() {
            map.remove("instances");
        }
        shown
    };
    let mut at = record.changed_at;
    if record.former.is_empty() {
        return at;
    }
    let present = without_count(&record.spec);
    for former in record.former.iter().rev() {
        if without_count(&former.spec) != present {
            break;
        }
        at = former.changed_at;
    }
    at
}

fn last_failure(record: &ObjectRecord, failure: &Failure) -> Value {
    json!({
        "appId": record.name.as_str(),
        "host": &*failure.agent.hostname,
        "message": failure.message,
        "state": failure.state.as_str_name(),
        "taskId": failure.instance,
        "timestamp": zulu(failure.at),
        "version": zulu(version_of(record, failure.generation)),
        "slaveId": &*failure.agent.id,
    })
}

/// When a generation came to be.
pub(super) fn version_of(record: &ObjectRecord, generation: u64) -> mezz_state::time::Wall {
    record.changed_at_generation(generation)
}
