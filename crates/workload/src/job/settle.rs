//! A run looks at itself once after each batch of events that touched it: what has timed out, whether it is over, what it
//! wants of the ledger, when it looks again, and what has to be written.

use mezz_proto::v1::TaskState;
use mezz_spec::job::Job;
use mezz_spec::service::Wait;
use mezz_state::time::{SECOND_NS, Wall};

use super::block::{Borrowed, StoredBlock};
use super::{Stop, backoff, begin_stop, demand, ends, start};
use crate::dag;
use crate::effect::{Effect, Effects};
use crate::event::{Status, TimerKey};
use crate::key::RunKey;
use crate::records::{Ending, RunRecord, RunState};
use crate::runs::ids;
use crate::workloads::{Stage, Workloads};

/// So many indices that failed for good are named in a run's record.
const FAILED_NAMED: usize = 1_000;

impl Workloads {
    /// Lets every run that something happened to look at itself; what one tells another is seen to as well.
    pub(crate) fn settle_runs(&mut self, effects: &mut Effects) {
        loop {
            if let Some(key) = self.jobs.dirty.pop_first() {
                settle(self, key, effects);
            } else if !dag::settle_next(self, effects) {
                return;
            }
        }
    }
}

fn settle(w: &mut Workloads, key: RunKey, effects: &mut Effects) {
    let now = w.wall();
    let Some(active) = w.jobs.active.get_mut(&key) else {
        return;
    };
    active.indices.wake(now);
    look_for_obstacles(w, key);
    time_out(w, key, effects);
    give_up(w, key, effects);
    if let Some(stop) = verdict(w, key) {
        begin_stop(w, key, stop, effects);
        w.jobs.dirty.remove(&key);
    }
    let active = &w.jobs.active[&key];
    let over = active
        .stop
        .clone()
        .filter(|_| active.indices.counts().running == 0);
    if let Some(stop) = over {
        return finish(w, key, stop, effects);
    }
    demand::state(w, key, effects);
    arm(w, key, effects);
    write_blocks(w, key, effects);
    count(w, key, effects);
}

fn look_for_obstacles(w: &mut Workloads, key: RunKey) {
    let container = w.jobs.active[&key].plan.job().template.containers.first();
    let missing = container.and_then(|container| w.missing_material(container));
    let missing = missing.map(|error| format!("{error}; apply it"));
    let obstacle = missing.or_else(|| namesake(w, key)).map(Into::into);
    if let Some(active) = w.jobs.active.get_mut(&key) {
        active.obstacle = obstacle;
    }
}

/// Whether the next attempt would have the id of an instance that still has to end, such as one of a deleted job.
fn namesake(w: &Workloads, key: RunKey) -> Option<String> {
    let next = w.jobs.active[&key].indices.next()?;
    let (name, _, run) = w.owner_of(key)?;
    let id = ids::attempt_id(name, &run.id, next.index, next.past.attempt);
    let other = w.instance_named(&id)?;
    Some(format!(
        "an earlier instance with the id {} has to end first",
        w.instance(other)?.id
    ))
}

fn time_out(w: &mut Workloads, key: RunKey, effects: &mut Effects) {
    let now = w.wall();
    while let Some(active) = w.jobs.active.get_mut(&key) {
        let due = active
            .timeouts
            .first()
            .copied()
            .filter(|(at, ..)| *at <= now);
        let Some((_, index, attempt)) = due else {
            return;
        };
        active.timeouts.pop_first();
        let running = active.indices.running_of(index);
        let running = running.filter(|running| running.past.attempt == attempt);
        if let Some(instance) = running.map(|running| running.instance) {
            w.end_instance(instance, Ending::TimedOut, effects);
        }
    }
}

/// Attempts on agents that could not be reached for too long are taken for lost; should one come back, it is ended.
fn give_up(w: &mut Workloads, key: RunKey, effects: &mut Effects) {
    let now = w.wall();
    while w.stage == Stage::Live {
        let Some(active) = w.jobs.active.get_mut(&key) else {
            return;
        };
        let due = active
            .giving_up
            .first()
            .copied()
            .filter(|(at, _)| *at <= now);
        let Some((_, instance)) = due else {
            return;
        };
        active.giving_up.pop_first();
        let message = "its agent could not be reached for too long; it was given up";
        let Some(record) = w.remove_instance(instance, message, effects) else {
            continue;
        };
        let status = Status {
            state: TaskState::TaskLost,
            at: None,
            reason: None,
            message: message.into(),
            healthy: None,
            check: None,
            findings: None,
            exit_status: None,
            addresses: Vec::new(),
        };
        ends::close(w, key, &record, &status);
    }
}

/// How a run is to end now, if it is.
fn verdict(w: &Workloads, key: RunKey) -> Option<Stop> {
    let active = w.jobs.active.get(&key).filter(|one| one.stop.is_none())?;
    let run = w.run(key)?;
    let job = active.plan.job();
    let counts = active.indices.counts();
    let allowed = job.max_failed.of_rounded_down(active.indices.total());
    if counts.failed > allowed {
        return Some(Stop::failed(too_many_failures(counts.failed, allowed, run)));
    }
    if active.indices.is_over() {
        return Some(Stop {
            state: RunState::Succeeded,
            message: Box::default(),
        });
    }
    let now = w.wall();
    let (deadline, launch) = deadlines(job, run);
    if deadline.is_some_and(|at| at <= now) {
        return Some(Stop::failed("it took longer than its deadline"));
    }
    if launch.is_some_and(|at| at <= now) {
        return Some(Stop::failed(
            "nothing of it could be started within its launch_deadline",
        ));
    }
    None
}

fn too_many_failures(failed: u32, allowed: u32, run: &RunRecord) -> String {
    let last = run
        .ends
        .iter()
        .rev()
        .find(|end| !matches!(end.state, TaskState::TaskFinished) && !end.message.is_empty());
    let indices = if failed == 1 {
        "1 index has".to_owned()
    } else {
        format!("{failed} indices have")
    };
    let text = format!("{indices} failed for good, and max_failed is {allowed}");
    match last {
        Some(end) => format!("{text}; index {} ended last: {}", end.index, end.message),
        None => text,
    }
}

/// When a run has to be over, and when something of it has to have started.
fn deadlines(job: &Job, run: &RunRecord) -> (Option<Wall>, Option<Wall>) {
    let Some(begun) = run.begun_at else {
        return (None, None);
    };
    let deadline = job.deadline.map(|span| backoff::after(begun, span));
    let launch = job.launch_deadline.filter(|_| run.started_at.is_none());
    (deadline, launch.map(|span| backoff::after(begun, span)))
}

fn arm(w: &mut Workloads, key: RunKey, effects: &mut Effects) {
    let is_live = w.stage == Stage::Live;
    let (Some(active), Some(run)) = (w.jobs.active.get(&key), w.run(key)) else {
        return;
    };
    let (deadline, launch) = deadlines(active.plan.job(), run);
    let goes_on = active.stop.is_none();
    // What stands in the way may go without anybody telling this run.
    let in_a_second = Wall(w.wall().0.saturating_add(SECOND_NS));
    let soon = |at: &Wall| *at > w.wall() && *at < in_a_second;
    let look_again = active.timer.filter(soon).or(Some(in_a_second));
    let is_blocked = active.obstacle.is_some() && goes_on;
    let moments = [
        active.indices.next_wake().filter(|_| goes_on),
        deadline.filter(|_| goes_on),
        launch.filter(|_| goes_on),
        active.timeouts.first().map(|(at, ..)| *at),
        active
            .giving_up
            .first()
            .map(|(at, _)| *at)
            .filter(|_| is_live),
        look_again.filter(|_| is_blocked),
    ];
    let next = moments.into_iter().flatten().min();
    if active.timer == next {
        return;
    }
    effects.push(match next {
        Some(at) => Effect::SetTimer {
            key: TimerKey::Run(key),
            at,
        },
        None => Effect::CancelTimer(TimerKey::Run(key)),
    });
    w.jobs.active.get_mut(&key).expect("just seen").timer = next;
}

fn write_blocks(w: &mut Workloads, key: RunKey, effects: &mut Effects) {
    let Some(active) = w.jobs.active.get_mut(&key) else {
        return;
    };
    let changed = active.indices.take_changed();
    let active = &w.jobs.active[&key];
    for number in changed {
        let stored = StoredBlock::of(&active.indices, number, |index, running| {
            let instance = w.instance(running.instance)?;
            Some(Borrowed {
                agent: &instance.agent.id,
                hostname: &instance.agent.hostname,
                resources: active.taken.get(&index)?,
                ports: &instance.ports,
                started_at: instance.created_at,
            })
        });
        if let Some(place) = w.block_key(key, number) {
            effects.put(place, &stored);
        }
    }
}

/// What the blocks cannot tell is written with them: how often was retried, and how attempts have failed. The rest of the
/// counts follows from the blocks, and may wait.
fn count(w: &mut Workloads, key: RunKey, effects: &mut Effects) {
    let Some(active) = w.jobs.active.get_mut(&key) else {
        return;
    };
    let counts = active.indices.counts();
    let has_ends = std::mem::take(&mut active.has_ends);
    let Some(before) = w.run(key).map(|run| run.counts) else {
        return;
    };
    if before != counts {
        w.run_mut(key).expect("just seen").counts = counts;
    }
    if has_ends || before.retried != counts.retried {
        w.write_run(key, effects);
    } else if before != counts {
        w.note_run(key);
    }
}

fn finish(w: &mut Workloads, key: RunKey, stop: Stop, effects: &mut Effects) {
    count(w, key, effects);
    let Some(active) = w.jobs.active.remove(&key) else {
        return;
    };
    if active.stated > 0 {
        effects.push(Effect::Withdraw(start::demand_key(key)));
    }
    if active.timer.is_some() {
        effects.push(Effect::CancelTimer(TimerKey::Run(key)));
    }
    for number in 0..active.indices.blocks_written() {
        if let Some(place) = w.block_key(key, number) {
            effects.delete(place);
        }
    }
    if let Some(place) = w.plan_key(key) {
        effects.delete(place);
    }
    if let Some(run) = w.run_mut(key) {
        run.failed_indices = active.indices.failed().take(FAILED_NAMED).collect();
    }
    w.end_run(key, stop.state, &stop.message, effects);
}

/// How long an attempt on an agent that cannot be reached is waited for, in words.
pub(super) fn patience(job: &Job) -> String {
    match job.lost_after {
        Wait::Never(_) => "it is waited for until its agent comes back or is declared gone".into(),
        Wait::Span(span) => format!("it is given up after {}", span.text()),
    }
}
