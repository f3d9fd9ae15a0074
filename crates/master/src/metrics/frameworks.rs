//! The metrics of each framework: calls, events, operations, offers, tasks, roles.

use mezz_core::metrics::FrameworkMetrics;
use mezz_core::records::{FrameworkRecord, FrameworkState};
use mezz_proto::v1::TaskState;
use mezz_proto::v1::{offer, scheduler};

use super::{Numbers, TaskCounts};
use crate::view::View;

const ACTIVE_STATES: &[TaskState] = &[
    TaskState::TaskKilling,
    TaskState::TaskRunning,
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskUnknown,
    TaskState::TaskUnreachable,
];
const TERMINAL_STATES: &[TaskState] = &[
    TaskState::TaskDropped,
    TaskState::TaskError,
    TaskState::TaskFailed,
    TaskState::TaskFinished,
    TaskState::TaskGone,
    TaskState::TaskGoneByOperator,
    TaskState::TaskKilled,
    TaskState::TaskLost,
];

/// Adds those of every framework that is not completed, and how many there are.
pub(super) fn frameworks(numbers: &mut Numbers, view: &View, tasks: &TaskCounts) {
    let (mut active, mut inactive) = (0.0, 0.0);
    for (_, framework) in view.records.frameworks.iter() {
        match framework.state {
            FrameworkState::Active => active += 1.0,
            FrameworkState::Disconnected | FrameworkState::Recovered => inactive += 1.0,
            FrameworkState::Completed => continue,
        }
        per_framework(numbers, framework, tasks);
    }
    numbers.insert("master/frameworks_active".into(), active);
    numbers.insert("master/frameworks_connected".into(), active);
    numbers.insert("master/frameworks_inactive".into(), inactive);
    numbers.insert("master/frameworks_disconnected".into(), inactive);
}

fn per_framework(numbers: &mut Numbers, framework: &FrameworkRecord, tasks: &TaskCounts) {
    let name = encoded_name(&framework.info.name);
    let prefix = format!("master/frameworks/{name}/{}", framework.id);
    let mut entries = Entries { numbers, prefix };
    let subscribed = framework.state == FrameworkState::Active;
    entries.put("subscribed", f64::from(u8::from(subscribed)));
    messages(&mut entries, &framework.metrics);
    for state in ACTIVE_STATES {
        let count = tasks
            .get(&(framework.key, *state as i32))
            .copied()
            .unwrap_or_default();
        entries.put(
            &format!("tasks/active/{}", state.as_str_name().to_lowercase()),
            count,
        );
    }
    for state in TERMINAL_STATES {
        let index = usize::try_from(*state as i32).ok();
        let count = index
            .and_then(|index| framework.metrics.terminal_tasks.get(index))
            .copied();
        let name = format!("tasks/terminal/{}", state.as_str_name().to_lowercase());
        entries.put(&name, f64::from(count.unwrap_or_default()));
    }
    for role in framework.roles() {
        let suppressed = framework.suppressed_roles.contains(&role);
        entries.put(
            &format!("roles/{role}/suppressed"),
            f64::from(u8::from(suppressed)),
        );
    }
}

fn messages(entries: &mut Entries<'_>, metrics: &FrameworkMetrics) {
    use offer::operation::Type as Operation;
    use scheduler::call::Type as Call;
    use scheduler::event::Type as Event;
    entries.family("calls", &metrics.calls, |number| {
        Some(Call::try_from(number).ok()?.as_str_name())
    });
    entries.family("events", &metrics.events, |number| {
        Some(Event::try_from(number).ok()?.as_str_name())
    });
    entries.family("operations", &metrics.operations, |number| {
        Some(Operation::try_from(number).ok()?.as_str_name())
    });
    entries.put("offers/sent", f64::from(metrics.offers_sent));
    entries.put("offers/accepted", f64::from(metrics.offers_accepted));
    entries.put("offers/declined", f64::from(metrics.offers_declined));
    entries.put("offers/rescinded", f64::from(metrics.offers_rescinded));
}

/// The metrics of one framework, under its prefix.
struct Entries<'a> {
    numbers: &'a mut Numbers,
    prefix: String,
}

impl Entries<'_> {
    fn put(&mut self, name: &str, value: f64) {
        self.numbers
            .insert(format!("{}/{name}", self.prefix), value);
    }

    /// A sum, and one entry for each type but UNKNOWN, which is number 0.
    fn family(&mut self, name: &str, counts: &[u32], text: impl Fn(i32) -> Option<&'static str>) {
        self.put(name, counts.iter().map(|count| f64::from(*count)).sum());
        for (number, count) in (0i32..).zip(counts).skip(1) {
            if let Some(text) = text(number) {
                self.put(
                    &format!("{name}/{}", text.to_lowercase()),
                    f64::from(*count),
                );
            }
        }
    }
}

/// A framework's name as a component of a metric's name.
fn encoded_name(name: &str) -> String {
    mezz_http::query::percent_encode(name).replace('/', "%2F")
}
