//! What readiness checks have found, which is told while a deployment goes on.

use mezz_workload::event::CheckFound;
use mezz_workload::records::{InstanceRecord, ObjectRecord};
use serde_json::{Value, json};

use super::app::check_name;
use crate::world::as_service;

/// The results of an app's readiness check, one for each instance; none when it has no such check.
pub(super) fn results(
    record: &ObjectRecord,
    instances: &[&std::sync::Arc<InstanceRecord>],
) -> Value {
    let containers = as_service(record).map(|service| &service.template.containers);
    let checked = containers
        .into_iter()
        .flatten()
        .any(|container| container.checks.ready.is_some());
    if !checked {
        return json!([]);
    }
    let name = check_name(record);
    instances
        .iter()
        .map(|instance| result(&name, instance))
        .collect()
}

fn result(name: &str, instance: &InstanceRecord) -> Value {
    let mut result = json!({
        "name": name,
        "taskId": &*instance.id,
        "ready": instance.ready,
    });
    if let Some(CheckFound::Http(status)) = instance.check {
        result["lastResponse"] = json!({ "status": status });
    }
    result
}
