//! What a run asks of the ledger: one demand for as many as may start now, however many wait.

use std::sync::Arc;

use mezz_sched::{Demand, Preemption};
use mezz_spec::template::Container;

use super::ActiveRun;
use crate::demand_key::Demander;
use crate::effect::{Effect, Effects};
use crate::instances::{ports, rules};
use crate::key::RunKey;
use crate::workloads::{Stage, Workloads};

/// States anew what a run wants, if the ledger believes otherwise.
pub(super) fn state(w: &mut Workloads, key: RunKey, effects: &mut Effects) {
    let wanted = wanted(w, key);
    let Some(active) = w.jobs.active.get(&key) else {
        return;
    };
    if active.stated == wanted {
        return;
    }
    let demander = Demander::Run { run: key, part: 0 }.key();
    if wanted == 0 {
        effects.push(Effect::Withdraw(demander));
    } else if let Some(demand) = demand(w, key, active, wanted) {
        effects.push(Effect::Demand {
            key: demander,
            demand: Box::new(demand),
        });
    }
    if let Some(active) = w.jobs.active.get_mut(&key) {
        active.stated = wanted;
    }
}

/// How many may start now.
fn wanted(w: &Workloads, key: RunKey) -> u64 {
    let Some(active) = w.jobs.active.get(&key) else {
        return 0;
    };
    let has_begun = w.run(key).is_some_and(|run| run.begun_at.is_some());
    let is_held_up = active.stop.is_some() || active.obstacle.is_some();
    if !has_begun || is_held_up || w.records.is_frozen() || w.stage == Stage::Loading {
        return 0;
    }
    let running = active.indices.counts().running;
    let room = active.plan.job().parallelism.max(1).saturating_sub(running);
    u64::from(room.min(active.indices.startable()))
}

fn demand(w: &Workloads, key: RunKey, active: &ActiveRun, count: u64) -> Option<Demand> {
    let job = active.plan.job();
    let container: &Container = job.template.containers.first()?;
    let placement = &job.placement;
    let follows_others = !placement.near.is_empty() || !placement.away.is_empty();
    let rules = if follows_others {
        Arc::new(w.rules(placement))
    } else {
        Arc::clone(&active.rules)
    };
    Some(Demand {
        role: Arc::clone(&active.plan.role),
        priority: active.plan.priority,
        count,
        gang: job.gang,
        request: Arc::clone(&active.request),
        ports: ports::wanted(container),
        group: rules::group(w.run(key)?.object),
        rules,
        preempts: if active.plan.priority > 0 {
            Preemption::LowerPriority
        } else {
            Preemption::Nothing
        },
        preemptible: job.preemptible,
    })
}

/// The priority of a run that goes on, and whether it may be ended for the sake of others.
pub(crate) fn standing(w: &Workloads, run: RunKey) -> Option<(i32, bool)> {
    let plan = &w.jobs.active.get(&run)?.plan;
    Some((plan.priority, plan.job().preemptible))
}
