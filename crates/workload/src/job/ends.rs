//! What statuses of attempts mean for their indices.

use mezz_proto::v1::TaskState;
use mezz_proto::v1::task_status::Reason;
use mezz_spec::job::Job;
use mezz_spec::service::Wait;

use super::indices::{End, Retry};
use super::{ActiveRun, backoff};
use crate::effect::Effects;
use crate::event::Status;
use crate::instances::statuses::{is_infrastructure, is_terminal};
use crate::key::{InstanceKey, RunKey};
use crate::records::{AttemptEnd, Ending, InstanceRecord, Owner};
use crate::workloads::Workloads;

/// So many ends of attempts are kept with a run.
const ENDS_KEPT: usize = 20;

/// Reasons of failures that are not the program's.
const BLAMELESS: [Reason; 12] = [
    Reason::ContainerPreempted,
    Reason::MasterDisconnected,
    Reason::AgentDisconnected,
    Reason::AgentDraining,
    Reason::AgentRemoved,
    Reason::AgentRemovedByOperator,
    Reason::AgentRestarted,
    Reason::AgentUnknown,
    Reason::ResourcesUnknown,
    Reason::TaskKilledDuringLaunch,
    Reason::ExecutorRegistrationTimeout,
    Reason::ExecutorReregistrationTimeout,
];

/// Takes the newest status of an attempt.
pub(crate) fn on_status(
    w: &mut Workloads,
    run: RunKey,
    key: InstanceKey,
    status: &Status,
    effects: &mut Effects,
) {
    if !is_terminal(status.state) {
        w.take_status(key, status, effects);
        w.tell_change(key, effects);
        return watch_reach(w, run, key);
    }
    let Some(record) = w.remove_instance(key, &status.message, effects) else {
        return;
    };
    close(w, run, &record, status);
}

/// Notes until when an attempt on an agent that cannot be reached is waited for.
fn watch_reach(w: &mut Workloads, run: RunKey, key: InstanceKey) {
    let since = w.instance(key).and_then(|one| one.unreachable_since);
    let is_ours = is_current(w, run, key);
    let Some(active) = w.jobs.active.get_mut(&run).filter(|_| is_ours) else {
        return;
    };
    let before = active.giving_up.len();
    active.giving_up.retain(|(_, other)| *other != key);
    if let (Some(since), Wait::Span(span)) = (since, active.plan.job().lost_after) {
        active.giving_up.insert((backoff::after(since, span), key));
    }
    if before != active.giving_up.len() || since.is_some() {
        w.jobs.dirty.insert(run);
    }
}

/// Whether an instance is the present attempt of its index.
pub(super) fn is_current(w: &Workloads, run: RunKey, key: InstanceKey) -> bool {
    let Some(Owner::Run { index, .. }) = w.instance(key).map(|one| one.owner) else {
        return false;
    };
    let active = w.jobs.active.get(&run);
    active
        .and_then(|active| active.indices.running_of(index))
        .is_some_and(|running| running.instance == key)
}

/// Closes the books of an attempt that is over; its instance is out of the records already.
pub(super) fn close(w: &mut Workloads, run: RunKey, record: &InstanceRecord, status: &Status) {
    let now = w.wall();
    let Owner::Run { index, attempt, .. } = record.owner else {
        return;
    };
    let begun_at = w.run(run).and_then(|run| run.begun_at);
    let Some(active) = w.jobs.active.get_mut(&run) else {
        return;
    };
    let is_current = active
        .indices
        .running_of(index)
        .is_some_and(|running| running.instance == record.key);
    if !is_current {
        return;
    }
    let ActiveRun { plan, indices, .. } = active;
    let job = plan.job();
    let end = end_of(job, record.ending, status);
    let is_late = match (job.retry_for, begun_at) {
        (Some(span), Some(begun_at)) => now > backoff::after(begun_at, span),
        _ => false,
    };
    let retry = Retry {
        retries: if is_late { 0 } else { job.retries },
        backoff: &job.backoff,
    };
    indices.ended(now, index, attempt, end, retry);
    active.forget_attempt(record, index, attempt);
    // Successes are in the blocks. Which of them came last is only shown, and may be written a second later.
    active.has_ends |= status.state != TaskState::TaskFinished;
    w.jobs.dirty.insert(run);
    note_end(w, run, record, index, attempt, status);
}

impl ActiveRun {
    fn forget_attempt(&mut self, record: &InstanceRecord, index: u32, attempt: u32) {
        self.taken.remove(&index);
        let job = self.plan.job();
        if let Some(span) = job.attempt_timeout {
            let at = backoff::after(record.created_at, span);
            self.timeouts.remove(&(at, index, attempt));
        }
        if let (Some(since), Wait::Span(span)) = (record.unreachable_since, job.lost_after) {
            self.giving_up
                .remove(&(backoff::after(since, span), record.key));
        }
    }
}

fn note_end(
    w: &mut Workloads,
    run: RunKey,
    record: &InstanceRecord,
    index: u32,
    attempt: u32,
    status: &Status,
) {
    let at = w.wall();
    let Some(run) = w.run_mut(run) else {
        return;
    };
    if run.ends.len() >= ENDS_KEPT {
        run.ends.remove(0);
    }
    run.ends.push(AttemptEnd {
        instance: (*record.id).into(),
        index,
        attempt,
        state: status.state,
        exit_status: status.exit_status,
        message: message(record.ending, status),
        agent: std::sync::Arc::clone(&record.agent.id),
        started_at: record.started_at,
        at,
    });
}

fn message(ending: Option<Ending>, status: &Status) -> Box<str> {
    match ending {
        Some(ending) if status.message.is_empty() => ending.words().into(),
        Some(ending) => format!("{}; {}", ending.words(), status.message).into(),
        None => status.message.clone(),
    }
}

/// What an end means.
fn end_of(job: &Job, ending: Option<Ending>, status: &Status) -> End {
    let is_blameless = status
        .reason
        .is_some_and(|reason| BLAMELESS.iter().any(|one| *one as i32 == reason));
    match status.state {
        TaskState::TaskFinished => End::Success,
        _ if ending == Some(Ending::TimedOut) => End::Failure,
        _ if ending == Some(Ending::Preempted) => End::Infrastructure,
        TaskState::TaskError => End::Hopeless,
        // Ended by somebody, or for the sake of others: not by its own doing, unless its health check failed.
        TaskState::TaskKilled if status.healthy != Some(false) => End::Infrastructure,
        state if is_infrastructure(state) || is_blameless => End::Infrastructure,
        _ => failure(job, status),
    }
}

fn failure(job: &Job, status: &Status) -> End {
    let retried = &job.retry_on.exit_statuses;
    let Some(exit) = status.exit_status else {
        return End::Failure;
    };
    let is_retried = |code: &u8| i32::from(*code) == exit;
    if retried.is_empty() || retried.iter().any(is_retried) {
        End::Failure
    } else {
        End::Hopeless
    }
}
