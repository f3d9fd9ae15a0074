//! Dags and their runs: nodes are started when what they wait for has ended as they want. Each node's run is a run of its
//! own that says whose part it is.

mod check;
mod nodes;
mod progress;
mod resume;
mod settle;
mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mezz_spec::dag::Dag;
use mezz_spec::{Kind, Name, Spec};
use mezz_state::time::Wall;
use serde::{Deserialize, Serialize};

use crate::call::{Change, Refusal, Reply};
use crate::effect::Effects;
use crate::job::{self, Order, Plan, Stop, begin_stop as stop_any};
use crate::key::{ObjectKey, RunKey};
use crate::records::{Cause, NodeState};
use crate::restore::Sections;
use crate::runs::parameters::{self, Extra};
use crate::runs::{Begins, NewRun};
use crate::workloads::Workloads;

pub(crate) use check::check;
pub(crate) use nodes::on_node_ended;
pub(crate) use resume::{mark_succeeded, resume_run};
pub(crate) use settle::settle_next;
pub(crate) use why::{why, why_run};

/// The state that only this controller knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dags {
    /// Runs that go on.
    active: BTreeMap<RunKey, ActiveDag>,
    /// Those that have to look at themselves after this event.
    dirty: BTreeSet<RunKey>,
}

/// A run that goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ActiveDag {
    spec: Arc<Spec>,
    /// How often each node was run again after a failure.
    retried: BTreeMap<String, u32>,
    /// It is being ended, and this is how.
    stop: Option<Stop>,
    timer: Option<Wall>,
}

impl ActiveDag {
    fn new(spec: Arc<Spec>) -> Self {
        Self {
            spec,
            retried: BTreeMap::new(),
            stop: None,
            timer: None,
        }
    }
}

/// The dag that a spec is.
fn dag_of(spec: &Spec) -> &Dag {
    match spec {
        Spec::Dag(dag) => dag,
        _ => unreachable!("only dags are kept here"),
    }
}

/// The object was created or changed. Runs keep what they were made from.
pub(crate) fn on_apply(w: &mut Workloads, key: ObjectKey, _: Change, effects: &mut Effects) {
    w.prune(key, effects);
}

/// The object left the index: its runs are ended.
pub(crate) fn on_delete(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) {
    for run in w.active_runs(key) {
        stop_any(w, run, Stop::deleted(), effects);
    }
    w.forget_if_done(key, effects);
}

/// Starts a run.
pub(crate) fn run(
    w: &mut Workloads,
    name: &Name,
    given: BTreeMap<String, String>,
    id: Option<String>,
    effects: &mut Effects,
) -> Result<Reply, Refusal> {
    let object = w.key_or_refusal(Kind::Dag, name)?;
    if let Some(reply) = job::known_run(w, object, name, id.as_deref())? {
        return Ok(reply);
    }
    let spec = Arc::clone(&w.object_at(object).expect("it was just found").spec);
    let declared = &dag_of(&spec).parameters;
    let parameters = parameters::complete(declared, &given, Extra::Refused)
        .map_err(|fault| job::refused_parameter(Kind::Dag, name, &fault))?;
    let order = Order {
        object,
        spec,
        id,
        parameters,
        cause: Cause::User,
        begins: Begins::Now,
    };
    let run = start_run(w, order, effects);
    Ok(job::started(w, run))
}

/// Makes a run of a dag and writes it, before any of its nodes starts.
pub(crate) fn start_run(w: &mut Workloads, order: Order, effects: &mut Effects) -> RunKey {
    let plan = Plan::of(w, order.object, Arc::clone(&order.spec));
    let new = NewRun {
        object: order.object,
        id: order.id,
        parameters: order.parameters,
        cause: order.cause,
        total: 0,
        nodes: progress::begin(dag_of(&order.spec)),
        begins: order.begins,
    };
    let key = w.create_run(new, effects);
    if let Some(place) = w.plan_key(key) {
        effects.put(place, &plan);
    }
    w.dags.active.insert(key, ActiveDag::new(order.spec));
    w.dags.dirty.insert(key);
    key
}

/// Begins to end a run: its nodes' runs are ended first.
pub(crate) fn begin_stop(w: &mut Workloads, run: RunKey, stop: Stop, effects: &mut Effects) {
    let Some(active) = w.dags.active.get_mut(&run) else {
        return;
    };
    if active.stop.is_some() {
        return;
    }
    active.stop = Some(stop.clone());
    w.dags.dirty.insert(run);
    let parts: Vec<RunKey> = w
        .run(run)
        .into_iter()
        .flat_map(|record| record.nodes.values())
        .filter_map(|state| match state {
            NodeState::Running { run, .. } => Some(*run),
            _ => None,
        })
        .collect();
    w.note_stop(run, &stop, effects);
    for part in parts {
        stop_any(
            w,
            part,
            Stop::stopped("the run of its dag is being ended"),
            effects,
        );
    }
}

/// A run looks at itself again; says whether it is one of a dag that goes on.
pub(crate) fn on_timer(w: &mut Workloads, run: RunKey) -> bool {
    let Some(active) = w.dags.active.get_mut(&run) else {
        return false;
    };
    active.timer = None;
    w.dags.dirty.insert(run);
    true
}

/// A run that was held begins.
pub(crate) fn wake(w: &mut Workloads, run: RunKey) {
    if w.dags.active.contains_key(&run) {
        w.dags.dirty.insert(run);
    }
}

/// All look at themselves.
pub(crate) fn wake_all(w: &mut Workloads) {
    w.dags.dirty.extend(w.dags.active.keys().copied());
}

/// Whether a run is being ended.
pub(crate) fn is_stopping(w: &Workloads, run: RunKey) -> bool {
    let active = w.dags.active.get(&run);
    active.is_some_and(|active| active.stop.is_some())
}

/// A plan that was stored for a run of a dag.
pub(crate) fn adopt(w: &mut Workloads, run: RunKey, spec: Arc<Spec>) {
    w.dags.active.insert(run, ActiveDag::new(spec));
}

/// What the store held of this controller; the runs of nodes are there already.
pub(crate) fn restore(
    w: &mut Workloads,
    _: &Sections,
    _by_uid: &BTreeMap<String, ObjectKey>,
    effects: &mut Effects,
) {
    let dags: Vec<ObjectKey> = w.of_kind(Kind::Dag).map(|(_, key)| key).collect();
    for key in dags {
        let spec = w.object_at(key).map(|object| Arc::clone(&object.spec));
        for run in w.active_runs(key) {
            let is_dag = w.run(run).is_some_and(|record| !record.nodes.is_empty());
            if let (true, Some(spec), None) = (is_dag, &spec, w.dags.active.get(&run)) {
                w.dags.active.insert(run, ActiveDag::new(Arc::clone(spec)));
            }
        }
    }
    for run in w.dags.active.keys().copied().collect::<Vec<_>>() {
        nodes::adopt_parts(w, run);
        if let Some(stop) = w.noted_stop(run) {
            begin_stop(w, run, stop, effects);
        }
        w.dags.dirty.insert(run);
    }
}

/// Every agent has reported or was given up.
pub(crate) fn on_reconciled(_: &mut Workloads, _: &mut Effects) {}
