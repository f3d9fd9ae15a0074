//! What readiness checks have found, which is told while a deployment goes on.

use mezz_spec::template::Check;
use mezz_workload::event::CheckFound;
use mezz_workload::records::{InstanceRecord, ObjectRecord};
use serde_json::{Value, json};

use super::app::check_names;
use crate::world::as_service;

/// The results of an app's readiness checks, one of each for each instance; none when it has no such check.
pub(super) fn results(
    record: &ObjectRecord,
    instances: &[&std::sync::Arc<InstanceRecord>],
) -> Value {
    let containers = as_service(record).map(|service| &service.template.containers);
    let checks: Vec<&Check> = containers
        .into_iter()
        .flatten()
        .flat_map(|container| container.checks.ready())
        .collect();
    if checks.is_empty() {
        return json!([]);
    }
    let mut names = check_names(record);
    names.resize(checks.len(), "readinessCheck".to_owned());
    let of_instance = |instance: &&std::sync::Arc<InstanceRecord>| {
        let checks = checks.iter().zip(&names).enumerate();
        let results = checks
            .map(|(index, (check, name))| result(name, check, instance.found(index), instance));
        results.collect::<Vec<Value>>()
    };
    instances.iter().flat_map(of_instance).collect()
}

fn result(
    name: &str,
    check: &Check,
    found: Option<CheckFound>,
    instance: &InstanceRecord,
) -> Value {
    let mut result = json!({
        "name": name,
        "taskId": &*instance.id,
        "ready": instance.ready || found.is_some_and(|found| found.passes(check)),
    });
    if let Some(CheckFound::Http(status)) = found {
        result["lastResponse"] = json!({ "status": status });
    }
    result
}
