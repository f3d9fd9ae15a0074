//! Jobs and their runs: which indices are to be started, what their ends mean, and when a run is over.

mod after;
pub(crate) mod arguments;
pub(crate) mod backoff;
mod block;
mod demand;
mod ends;
pub(crate) mod indices;
mod restore;
mod settle;
mod start;
pub(crate) mod stop;
pub(crate) mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use mezz_resource::Resources;
use mezz_sched::Rules;
use mezz_spec::job::{Job, MAX_COMPLETIONS, Start};
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_state::time::Wall;
use serde::{Deserialize, Serialize};

use crate::call::{Change, Refusal, Reply};
use crate::effect::Effects;
use crate::instances::kills::{KillTerms, terms_of};
use crate::instances::request;
use crate::key::{InstanceKey, ObjectKey, RunKey};
use crate::objects::apply::invalid;
use crate::objects::staged::Staged;
use crate::records::{Cause, Owner, RunState};
use crate::runs::parameters::Extra;
use crate::runs::{Begins, NewRun, ids, parameters};
use crate::workloads::Workloads;
use crate::{cron, dag};
use indices::Indices;

pub(crate) use after::on_run_ended;
pub(crate) use ends::on_status;
pub(crate) use restore::{on_agent, on_reconciled, restore};
pub(crate) use start::on_placed;
pub(crate) use stop::{Stop, begin_stop, mark_run, stop_run};
pub(crate) use why::{why, why_run};

/// The state that only this controller knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Jobs {
    /// Runs that go on.
    active: BTreeMap<RunKey, ActiveRun>,
    /// Those that have to look at themselves after this event.
    dirty: BTreeSet<RunKey>,
}

/// What a run runs, as it was when it was made; stored as long as it goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    spec: Arc<Spec>,
    role: Arc<str>,
    priority: i32,
    labels: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
}

impl Plan {
    /// Of an object as it is now.
    pub(crate) fn of(w: &Workloads, object: ObjectKey, spec: Arc<Spec>) -> Self {
        let record = w.object_at(object).expect("its object is there");
        let (role, priority) = match &*spec {
            Spec::Job(job) => (job.role.as_deref(), job.priority),
            _ => (None, 0),
        };
        let inherited = w.inherited(&record.name);
        Self {
            role: inherited.role_of(role, &record.name),
            priority: inherited.priority_of(priority),
            labels: inherited.labels_with(&record.labels),
            env: inherited.env,
            spec,
        }
    }

    /// What it was made from.
    pub(crate) fn spec(&self) -> &Arc<Spec> {
        &self.spec
    }

    pub(crate) fn job(&self) -> &Job {
        match &*self.spec {
            Spec::Job(job) => job,
            _ => unreachable!("a plan is made of a job"),
        }
    }
}

/// A run that goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ActiveRun {
    plan: Plan,
    indices: Indices,
    /// What attempts that run have taken: tasks with nothing but resources, encoded, by index.
    taken: BTreeMap<u32, Bytes>,
    /// What each instance needs, and where it may go, as the ledger is told.
    request: Arc<Resources>,
    rules: Arc<Rules>,
    /// How many the ledger still looks for.
    stated: u64,
    /// When it looks at itself again.
    timer: Option<Wall>,
    /// Ends of attempts' time, with index and attempt.
    timeouts: BTreeSet<(Wall, u32, u32)>,
    /// When attempts on agents that cannot be reached are given up.
    giving_up: BTreeSet<(Wall, InstanceKey)>,
    /// It is being ended, and this is how.
    stop: Option<Stop>,
    /// Why nothing can be started for now, such as a secret that is not there.
    obstacle: Option<Box<str>>,
    /// An attempt has ended otherwise than well, and its run has not been written since.
    has_ends: bool,
}

impl ActiveRun {
    fn new(w: &Workloads, plan: Plan) -> Self {
        let job = plan.job();
        let needs = job.template.containers.first().map(request);
        Self {
            indices: Indices::new(job.completions.max(1)),
            taken: BTreeMap::new(),
            request: Arc::new(needs.unwrap_or_default()),
            rules: Arc::new(w.rules(&job.placement)),
            stated: 0,
            timer: None,
            timeouts: BTreeSet::new(),
            giving_up: BTreeSet::new(),
            stop: None,
            obstacle: None,
            has_ends: false,
            plan,
        }
    }
}

/// What a run relies upon.
pub(crate) fn check(object: &Object, staged: &Staged<'_>) -> Result<(), Refusal> {
    let Spec::Job(job) = &object.spec else {
        return Ok(());
    };
    check_job(object, "/spec", job)?;
    after::check(object, staged, job)
}

/// What a run relies upon, of a job at a path of an object.
pub(crate) fn check_job(object: &Object, path: &str, job: &Job) -> Result<(), Refusal> {
    let count = job.template.containers.len();
    if count != 1 {
        return Err(invalid(
            object,
            &format!("{path}/template/containers"),
            format!(
                "it has {count} containers; one is needed, as several to an instance are not built yet"
            ),
        ));
    }
    for (field, value) in [
        ("completions", job.completions),
        ("parallelism", job.parallelism),
    ] {
        if !(1..=MAX_COMPLETIONS).contains(&value) {
            return Err(invalid(
                object,
                &format!("{path}/{field}"),
                format!("{value} is not between 1 and {MAX_COMPLETIONS}"),
            ));
        }
    }
    Ok(())
}

pub(crate) fn on_apply(w: &mut Workloads, key: ObjectKey, change: Change, effects: &mut Effects) {
    let Some(object) = w.object_at(key) else {
        return;
    };
    let Spec::Job(job) = &*object.spec else {
        return;
    };
    let spec = Arc::clone(&object.spec);
    if change == Change::Created && job.start == Start::Once {
        // What has a parameter without a default cannot start by itself; `why` says so.
        let values = parameters::complete(&job.parameters, &BTreeMap::new(), Extra::Refused);
        if let Ok(parameters) = values {
            let order = Order {
                object: key,
                spec,
                id: None,
                parameters,
                cause: Cause::Applied,
                begins: Begins::Now,
            };
            start_run(w, order, effects);
        }
    }
    after::on_apply(w, key, effects);
    w.prune(key, effects);
}

pub(crate) fn on_delete(w: &mut Workloads, key: ObjectKey, effects: &mut Effects) {
    for run in w.active_runs(key) {
        begin_stop(w, run, Stop::deleted(), effects);
    }
    w.forget_if_done(key, effects);
}

/// A run that somebody asked for.
pub(crate) struct Order {
    pub(crate) object: ObjectKey,
    /// A job.
    pub(crate) spec: Arc<Spec>,
    pub(crate) id: Option<String>,
    /// Complete.
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) cause: Cause,
    pub(crate) begins: Begins,
}

/// Makes a run of a job and writes it, before anything of it starts.
pub(crate) fn start_run(w: &mut Workloads, order: Order, effects: &mut Effects) -> RunKey {
    let Spec::Job(job) = &*order.spec else {
        unreachable!("an order names a job");
    };
    let total = job.completions.max(1);
    if !matches!(order.cause, Cause::Node { .. }) {
        after::on_start(w, order.object, effects);
    }
    let plan = Plan::of(w, order.object, order.spec);
    let new = NewRun {
        object: order.object,
        id: order.id,
        parameters: order.parameters,
        cause: order.cause,
        total,
        nodes: BTreeMap::new(),
        begins: order.begins,
    };
    let key = w.create_run(new, effects);
    if let Some(place) = w.plan_key(key) {
        effects.put(place, &plan);
    }
    let active = ActiveRun::new(w, plan);
    w.jobs.active.insert(key, active);
    w.jobs.dirty.insert(key);
    key
}

/// Lets a run go on that was held for those before it.
pub(crate) fn begin_held(w: &mut Workloads, key: RunKey, effects: &mut Effects) {
    let now = w.wall();
    if let Some(run) = w.run_mut(key) {
        run.begun_at = Some(now);
        w.write_run(key, effects);
        w.jobs.dirty.insert(key);
        dag::wake(w, key);
    }
}

/// What a user's call says of a run.
pub(crate) struct Asked {
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) id: Option<String>,
    /// Added to the command.
    pub(crate) arguments: Option<String>,
}

/// A user's call for a run of a job.
pub(crate) fn run(
    w: &mut Workloads,
    name: &Name,
    asked: Asked,
    effects: &mut Effects,
) -> Result<Reply, Refusal> {
    let Asked {
        parameters: given,
        id,
        arguments,
    } = asked;
    if w.key_of(Kind::Job, name).is_none() && w.key_of(Kind::Cron, name).is_some() {
        arguments::refuse(Kind::Cron, name, arguments.as_deref())?;
        return cron::run_now(w, name, &given, id, effects);
    }
    let object = w.key_or_refusal(Kind::Job, name)?;
    if let Some(reply) = known_run(w, object, name, id.as_deref())? {
        return Ok(reply);
    }
    let spec = Arc::clone(&w.object_at(object).expect("it was just found").spec);
    let Spec::Job(job) = &*spec else {
        unreachable!("it was found among the jobs");
    };
    let parameters = parameters::complete(&job.parameters, &given, Extra::Refused)
        .map_err(|fault| refused_parameter(Kind::Job, name, &fault))?;
    let spec = arguments::added(name, &spec, arguments.as_deref())?;
    let order = Order {
        object,
        spec,
        id,
        parameters,
        cause: Cause::User,
        begins: Begins::Now,
    };
    let run = start_run(w, order, effects);
    Ok(started(w, run))
}

pub(crate) fn started(w: &Workloads, run: RunKey) -> Reply {
    Reply::Started {
        run: w
            .run(run)
            .map_or_else(String::new, |run| run.id.to_string()),
        is_new: true,
    }
}

/// The answer when a run with the client's id is there already.
pub(crate) fn known_run(
    w: &Workloads,
    object: ObjectKey,
    name: &Name,
    id: Option<&str>,
) -> Result<Option<Reply>, Refusal> {
    let Some(id) = id else {
        return Ok(None);
    };
    let kind = w.object_at(object).map(|object| object.spec.kind());
    ids::check_given(id).map_err(|message| Refusal::Invalid {
        kind: kind.unwrap_or(Kind::Job),
        name: name.to_string(),
        path: "/id".into(),
        message,
    })?;
    Ok(w.run_named(object, id).map(|_| Reply::Started {
        run: id.to_owned(),
        is_new: false,
    }))
}

pub(crate) fn refused_parameter(kind: Kind, name: &Name, fault: &parameters::Fault) -> Refusal {
    Refusal::Invalid {
        kind,
        name: name.to_string(),
        path: format!("/parameters/{}", fault.parameter),
        message: fault.message.clone(),
    }
}

/// Forgets the back-off of what failed.
pub(crate) fn reset_backoff(
    w: &mut Workloads,
    name: &Name,
    _: &mut Effects,
) -> Result<Reply, Refusal> {
    let object = w.key_or_refusal(Kind::Job, name)?;
    for run in w.active_runs(object) {
        if let Some(active) = w.jobs.active.get_mut(&run) {
            active.indices.forget_backoffs();
            w.jobs.dirty.insert(run);
        }
    }
    Ok(Reply::Done)
}

pub(crate) fn on_timer(w: &mut Workloads, run: RunKey, effects: &mut Effects) {
    if let Some(active) = w.jobs.active.get_mut(&run) {
        active.timer = None;
        w.jobs.dirty.insert(run);
    } else if !dag::on_timer(w, run) {
        w.on_expiry(run, effects);
    }
}

/// Nothing is started any more, or again.
pub(crate) fn on_freeze(w: &mut Workloads, effects: &mut Effects) {
    w.jobs.dirty.extend(w.jobs.active.keys().copied());
    dag::wake_all(w);
    cron::wake_all(w, effects);
    after::wake_all(w, effects);
}

pub(crate) fn on_thaw(w: &mut Workloads, effects: &mut Effects) {
    on_freeze(w, effects);
}

/// Configs or secrets have changed: what waits for them looks again.
pub(crate) fn on_material(w: &mut Workloads) {
    let waiting = w.jobs.active.iter();
    let waiting = waiting.filter(|(_, active)| active.obstacle.is_some());
    w.jobs.dirty.extend(waiting.map(|(run, _)| *run));
}

pub(crate) fn kill_terms(w: &Workloads, key: InstanceKey) -> KillTerms {
    let owner = w.instance(key).map(|instance| instance.owner);
    let Some(Owner::Run { run, .. }) = owner else {
        return KillTerms::default();
    };
    let active = w.jobs.active.get(&run);
    active.map_or_else(KillTerms::default, |active| {
        terms_of(&active.plan.job().template)
    })
}

/// Whether a run of a job or dag is being ended.
pub(crate) fn is_stopping(w: &Workloads, run: RunKey) -> bool {
    match w.jobs.active.get(&run) {
        Some(active) => active.stop.is_some(),
        None => dag::is_stopping(w, run),
    }
}

/// How a run stands, while it goes on.
pub(crate) fn state_of(w: &Workloads, run: RunKey) -> Option<RunState> {
    w.run(run).map(|run| run.state)
}
