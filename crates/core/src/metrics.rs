//! Counters that the core keeps; gauges are derived from records by readers.

use std::collections::BTreeMap;
use std::sync::Arc;

macro_rules! counters {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// A counter of the master, by the name that Mesos's exporters read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter { $($name),* }

        /// All counters with their Mesos names.
        pub const COUNTERS: &[(Counter, &str)] = &[$((Counter::$name, $text)),*];
    };
}

counters! {
    SlaveRegistrations = "master/slave_registrations",
    SlaveReregistrations = "master/slave_reregistrations",
    SlaveRemovals = "master/slave_removals",
    SlaveRemovalsUnhealthy = "master/slave_removals/reason_unhealthy",
    SlaveRemovalsUnregistered = "master/slave_removals/reason_unregistered",
    SlaveRemovalsRegistered = "master/slave_removals/reason_registered",
    SlaveUnreachableScheduled = "master/slave_unreachable_scheduled",
    SlaveUnreachableCompleted = "master/slave_unreachable_completed",
    SlaveUnreachableCanceled = "master/slave_unreachable_canceled",
    RecoverySlaveRemovals = "master/recovery_slave_removals",
    DroppedMessages = "master/dropped_messages",
    MessagesRegisterFramework = "master/messages_register_framework",
    MessagesReregisterFramework = "master/messages_reregister_framework",
    MessagesUnregisterFramework = "master/messages_unregister_framework",
    MessagesLaunchTasks = "master/messages_launch_tasks",
    MessagesDeclineOffers = "master/messages_decline_offers",
    MessagesReviveOffers = "master/messages_revive_offers",
    MessagesSuppressOffers = "master/messages_suppress_offers",
    MessagesKillTask = "master/messages_kill_task",
    MessagesReconcileTasks = "master/messages_reconcile_tasks",
    MessagesResourceRequest = "master/messages_resource_request",
    MessagesFrameworkToExecutor = "master/messages_framework_to_executor",
    MessagesExecutorToFramework = "master/messages_executor_to_framework",
    MessagesExitedExecutor = "master/messages_exited_executor",
    MessagesRegisterSlave = "master/messages_register_slave",
    MessagesReregisterSlave = "master/messages_reregister_slave",
    MessagesUnregisterSlave = "master/messages_unregister_slave",
    MessagesStatusUpdate = "master/messages_status_update",
    MessagesStatusUpdateAcknowledgement = "master/messages_status_update_acknowledgement",
    ValidStatusUpdates = "master/valid_status_updates",
    InvalidStatusUpdates = "master/invalid_status_updates",
    ValidStatusUpdateAcknowledgements = "master/valid_status_update_acknowledgements",
    InvalidStatusUpdateAcknowledgements = "master/invalid_status_update_acknowledgements",
    ValidFrameworkToExecutorMessages = "master/valid_framework_to_executor_messages",
    InvalidFrameworkToExecutorMessages = "master/invalid_framework_to_executor_messages",
    ValidExecutorToFrameworkMessages = "master/valid_executor_to_framework_messages",
    InvalidExecutorToFrameworkMessages = "master/invalid_executor_to_framework_messages",
    TasksFinished = "master/tasks_finished",
    TasksFailed = "master/tasks_failed",
    TasksKilled = "master/tasks_killed",
    TasksError = "master/tasks_error",
    TasksLost = "master/tasks_lost",
    TasksDropped = "master/tasks_dropped",
    TasksGone = "master/tasks_gone",
    TasksGoneByOperator = "master/tasks_gone_by_operator",
    AllocationRuns = "allocator/mesos/allocation_runs",
}

/// The counters of the master.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Metrics {
    #[serde(with = "mezz_state::serde_forms::array")]
    values: [u64; COUNTERS.len()],
    /// `task_<state>/source_<source>/reason_<reason>` of terminal updates.
    reasons: Arc<BTreeMap<String, u64>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            values: [0; COUNTERS.len()],
            reasons: Arc::default(),
        }
    }
}

impl Metrics {
    /// Adds one.
    pub fn count(&mut self, counter: Counter) {
        self.values[counter as usize] += 1;
    }

    /// Adds one to a terminal state's reason, such as `task_failed/source_executor/reason_…`.
    pub fn count_reason(&mut self, name: String) {
        *Arc::make_mut(&mut self.reasons).entry(name).or_default() += 1;
    }

    /// All values with their full names.
    pub fn iter(&self) -> impl Iterator<Item = (String, u64)> {
        COUNTERS
            .iter()
            .map(|(counter, name)| ((*name).to_owned(), self.values[*counter as usize]))
            .chain(
                self.reasons
                    .iter()
                    .map(|(name, value)| (format!("master/{name}"), *value)),
            )
    }
}

/// Counters of one framework: calls and events by their Mesos type number, offers, operations, terminal states.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FrameworkMetrics {
    /// Index: `Call.Type` number.
    pub calls: [u32; 18],
    /// Index: `Event.Type` number.
    pub events: [u32; 12],
    pub offers_sent: u32,
    pub offers_accepted: u32,
    pub offers_declined: u32,
    pub offers_rescinded: u32,
    /// Index: `Offer.Operation.Type` number.
    pub operations: [u32; 16],
    /// Index: `TaskState` number, terminal ones only.
    pub terminal_tasks: [u32; 14],
}
