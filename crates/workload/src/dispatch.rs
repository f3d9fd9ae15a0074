//! Which controller an event is for.

use mezz_spec::{Kind, Name};

use crate::call::{Call, Refusal, Reply};
use crate::demand_key::Demander;
use crate::effect::{Effect, Effects};
use crate::event::{Event, Placed, Status, TimerKey};
use crate::job::Asked;
use crate::key::{InstanceKey, ObjectKey};
use crate::records::{Ending, Owner};
use crate::workloads::{Stage, Workloads};
use crate::{cron, dag, job, service};

impl Workloads {
    pub(crate) fn dispatch(&mut self, event: Event, effects: &mut Effects) {
        match event {
            Event::Call { request, call, by } => {
                self.caller = by;
                let reply = self.on_call(*call, effects);
                self.caller = None;
                effects.push(Effect::Reply { request, reply });
            }
            Event::Placed(placed) => self.on_placed(&placed, effects),
            Event::Status { instance, status } => match self.instance_named(&instance) {
                Some(key) => self.on_status(key, &status, effects),
                None => self.on_unknown(&instance, status.state, effects),
            },
            Event::Preempted { instance } => {
                if let Some(key) = self.instance_named(&instance) {
                    self.end_instance(key, Ending::Preempted, effects);
                }
            }
            Event::Agent(news) => self.on_agent(news, effects),
            Event::Timer(key) => self.on_timer(key, effects),
            Event::Metrics { object, averages } => {
                service::on_metrics(self, object, averages, effects);
            }
            Event::Restored(pairs) => self.restore(pairs, effects),
            Event::Reconciled => self.on_reconciled(effects),
        }
    }

    fn on_call(&mut self, call: Call, effects: &mut Effects) -> Reply {
        if self.stage == Stage::Loading {
            return Reply::Refused(Refusal::Conflict {
                message: "this master is still loading what it has to run; try again".into(),
                rollouts: Vec::new(),
            });
        }
        self.take_call(call, effects).unwrap_or_else(Reply::Refused)
    }

    fn take_call(&mut self, call: Call, effects: &mut Effects) -> Result<Reply, Refusal> {
        match call {
            Call::Apply {
                objects,
                mode,
                conflict,
            } => self.apply(objects, mode, conflict, effects),
            Call::Delete {
                kind,
                name,
                generation,
                conflict,
            } => self.delete(kind, &name, generation, conflict, effects),
            Call::Scale {
                name,
                replicas,
                conflict,
            } => self.scale(&name, replicas, conflict, effects),
            Call::Rollback { name, to, conflict } => self.rollback(&name, to, conflict, effects),
            Call::Restart { name, conflict } => service::restart(self, &name, conflict, effects),
            Call::Pause { name, lasts } => match self.service_or_cron(&name)? {
                (Kind::Cron, key) => cron::pause(self, key, lasts, effects),
                (_, key) => service::pause(self, key, lasts, effects),
            },
            Call::Resume { name } => match self.service_or_cron(&name)? {
                (Kind::Cron, key) => cron::resume(self, key, effects),
                (_, key) => service::resume(self, key, effects),
            },
            Call::Abort { name } => service::abort(self, &name, effects),
            Call::Run {
                name,
                parameters,
                id,
                arguments,
            } => {
                if self.key_of(Kind::Dag, &name).is_some()
                    && self.key_of(Kind::Job, &name).is_none()
                {
                    job::arguments::refuse(Kind::Dag, &name, arguments.as_deref())?;
                    dag::run(self, &name, parameters, id, effects)
                } else {
                    let asked = Asked {
                        parameters,
                        id,
                        arguments,
                    };
                    job::run(self, &name, asked, effects)
                }
            }
            Call::StopRun { name, run } => job::stop_run(self, &name, &run, effects),
            Call::ResumeRun { name, run, from } => {
                dag::resume_run(self, &name, &run, from.as_deref(), effects)
            }
            Call::MarkSucceeded { name, run, node } => {
                dag::mark_succeeded(self, &name, &run, node.as_deref(), effects)
            }
            Call::KillInstances { ids, scale_down } => {
                self.kill_instances(&ids, scale_down, effects)
            }
            Call::ResetBackoff { name } => match self.key_of(Kind::Service, &name) {
                Some(key) => Ok(service::reset_backoff(self, key, effects)),
                None => job::reset_backoff(self, &name, effects),
            },
            Call::Freeze { lasts } => self.freeze(lasts, effects),
            Call::Thaw => Ok(self.thaw(effects)),
            Call::Replace {
                objects,
                ends,
                conflict,
            } => self.replace(objects, &ends, conflict, effects),
            Call::Fire {
                name,
                parameters,
                id,
            } => cron::run_now(self, &name, &parameters, id, effects),
        }
    }

    fn service_or_cron(&self, name: &Name) -> Result<(Kind, ObjectKey), Refusal> {
        [Kind::Service, Kind::Cron]
            .into_iter()
            .find_map(|kind| Some((kind, self.key_of(kind, name)?)))
            .ok_or_else(|| Refusal::NotFound {
                kind: "service or cron",
                name: name.to_string(),
            })
    }

    fn on_placed(&mut self, placed: &Placed, effects: &mut Effects) {
        if self.records.is_frozen() {
            return effects.push(Effect::Decline);
        }
        match Demander::of(placed.demand) {
            Demander::Service { object, revision } => {
                service::on_placed(self, object, revision, placed, effects);
            }
            Demander::Run { run, part } => job::on_placed(self, run, part, placed, effects),
            Demander::Task { .. } => effects.push(Effect::Decline),
        }
    }

    fn on_status(&mut self, key: InstanceKey, status: &Status, effects: &mut Effects) {
        match self.instance(key).map(|instance| instance.owner) {
            Some(Owner::Service { .. }) => service::on_status(self, key, status, effects),
            Some(Owner::Run { run, .. }) => job::on_status(self, run, key, status, effects),
            None => {}
        }
    }

    fn on_timer(&mut self, key: TimerKey, effects: &mut Effects) {
        match key {
            TimerKey::Service(object) => service::on_timer(self, object),
            TimerKey::Rollout(rollout) => service::on_rollout_timer(self, rollout),
            TimerKey::Run(run) => job::on_timer(self, run, effects),
            TimerKey::Cron(object) => cron::on_timer(self, object, effects),
            TimerKey::Instance(instance) => self.on_instance_timer(instance, effects),
            TimerKey::Kills => self.release_kills(effects),
            TimerKey::Write => self.write_all(effects),
            TimerKey::Thaw => self.on_thaw_timer(effects),
        }
    }
}
