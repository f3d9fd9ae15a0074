//! Metrics of Mesos for what does not exist here: exporters expect the names, the values are 0.

use super::Numbers;

/// Gauges of Mesos for things that do not exist here (actor queues, the replicated log, operations): always 0.
const ALWAYS_ZERO: &[&str] = &[
    "allocator/event_queue_dispatches",
    "allocator/mesos/allocation_run_latency_ms",
    "allocator/mesos/allocation_run_ms",
    "allocator/mesos/event_queue_dispatches",
    "master/event_queue_dispatches",
    "master/event_queue_http_requests",
    "master/event_queue_messages",
    "master/http_cache_hits",
    "master/invalid_operation_status_update_acknowledgements",
    "master/invalid_operation_status_updates",
    "master/messages_authenticate",
    "master/messages_deactivate_framework",
    "master/messages_operation_status_update",
    "master/messages_operation_status_update_acknowledgement",
    "master/messages_reconcile_operations",
    "master/messages_update_slave",
    "master/slave_shutdowns_canceled",
    "master/slave_shutdowns_completed",
    "master/slave_shutdowns_scheduled",
    "master/valid_operation_status_update_acknowledgements",
    "master/valid_operation_status_updates",
    "registrar/state_fetch_ms",
    "registrar/state_store_ms",
];

/// Timers of Mesos that come with a distribution.
const DISTRIBUTIONS: &[&str] = &[
    "allocator/mesos/allocation_run_latency_ms",
    "allocator/mesos/allocation_run_ms",
    "registrar/state_store_ms",
];
const QUANTILES: &[&str] = &[
    "count", "max", "min", "p50", "p90", "p95", "p99", "p999", "p9999",
];

const OPERATIONS: &[&str] = &[
    "create",
    "create_disk",
    "destroy",
    "destroy_disk",
    "grow_volume",
    "reserve",
    "shrink_volume",
    "unreserve",
];
const OPERATION_STATES: &[&str] = &[
    "dropped",
    "error",
    "failed",
    "finished",
    "gone_by_operator",
    "pending",
    "recovering",
    "total",
    "unreachable",
];

/// Adds them all.
pub(super) fn zeros(numbers: &mut Numbers) {
    let mut zero = |name: String| {
        numbers.insert(name, 0.0);
    };
    for name in ALWAYS_ZERO {
        zero((*name).to_owned());
    }
    for name in DISTRIBUTIONS {
        for quantile in QUANTILES {
            zero(format!("{name}/{quantile}"));
        }
    }
    for state in OPERATION_STATES {
        zero(format!("master/operations/{state}"));
        for operation in OPERATIONS {
            zero(format!("master/operations/{operation}/{state}"));
        }
    }
}
