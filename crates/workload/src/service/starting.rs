//! Starts: what the ledger is told of a service, and the launch at a place that it gives.

use std::sync::Arc;

use mezz_sched::{Demand, PlaceKey, Preemption, Rules, Spread};
use mezz_spec::service::{Replicas, Strategy};

use crate::demand_key::Demander;
use crate::effect::{Effect, Effects};
use crate::event::Placed;
use crate::instances::task::TaskPlan;
use crate::instances::{self, NewInstance, marathon, ports, rules};
use crate::key::ObjectKey;
use crate::naming;
use crate::records::{Owner, RolloutState};
use crate::service::moves::Moves;
use crate::service::revisions::as_service;
use crate::service::state::{Revision, Stated};
use crate::workloads::Workloads;

impl Workloads {
    /// Tells the ledger how many more of each revision are wanted, where that has changed.
    pub(crate) fn state_demands(&mut self, key: ObjectKey, moves: Moves, effects: &mut Effects) {
        let Some(state) = self.service(key) else {
            return;
        };
        let target = state.durable.target;
        let old = state.old_revision();
        let mut revisions: Vec<u32> = state.stated.keys().copied().collect();
        revisions.extend([target].into_iter().chain(old));
        revisions.sort_unstable();
        revisions.dedup();
        for revision in revisions {
            let count = if revision == target {
                moves.start_new
            } else if Some(revision) == old {
                moves.start_old
            } else {
                0
            };
            let count = if count > 0 && self.held_back(key, revision) {
                0
            } else {
                count
            };
            self.state_demand(key, revision, count, effects);
        }
    }

    pub(crate) fn withdraw_demands(&mut self, key: ObjectKey, effects: &mut Effects) {
        self.state_demands(key, Moves::default(), effects);
    }

    /// Whether no instance of this revision may be started now, for a reason of its own.
    fn held_back(&self, key: ObjectKey, revision: u32) -> bool {
        let Some(found) = self.revision(key, revision) else {
            return true;
        };
        found.failures.waits(self.wall())
            || found
                .container()
                .is_none_or(|container| self.missing_material(container).is_some())
    }

    pub(crate) fn revision(&self, key: ObjectKey, revision: u32) -> Option<&Revision> {
        self.service(key)?.durable.revisions.get(&revision)
    }

    fn state_demand(&mut self, key: ObjectKey, revision: u32, count: u32, effects: &mut Effects) {
        let version = if self.looks_at_labels(key, revision) {
            self.services.rules_version
        } else {
            0
        };
        let Some(state) = self.service_mut(key) else {
            return;
        };
        let stated = state.stated.get(&revision).cloned().unwrap_or_default();
        let wanted = Stated {
            count: u64::from(count),
            rules_version: version,
        };
        let demander = Demander::Service {
            object: key,
            revision,
        };
        if count == 0 {
            state.stated.remove(&revision);
            if stated.count > 0 {
                effects.push(Effect::Withdraw(demander.key()));
            }
            return;
        }
        if stated == wanted {
            return;
        }
        state.stated.insert(revision, wanted);
        if let Some(demand) = self.demand(key, revision, u64::from(count)) {
            effects.push(Effect::Demand {
                key: demander.key(),
                demand: Box::new(demand),
            });
        }
    }

    /// Whether its placement speaks of other objects, so that a change of theirs changes what it means.
    fn looks_at_labels(&self, key: ObjectKey, revision: u32) -> bool {
        self.revision(key, revision).is_some_and(|revision| {
            let placement = &revision.service().placement;
            !placement.near.is_empty() || !placement.away.is_empty()
        })
    }

    fn demand(&self, key: ObjectKey, number: u32, count: u64) -> Option<Demand> {
        let object = self.object_at(key)?;
        let present = as_service(&object.spec);
        let revision = self.revision(key, number)?;
        let spec = revision.service();
        let container = revision.container()?;
        let mut rules = self.rules(&spec.placement);
        if matches!(present.replicas, Replicas::PerNode(_)) {
            one_on_each(&mut rules);
        }
        Some(Demand {
            role: revision
                .inherited
                .role_of(spec.role.as_deref(), &object.name),
            priority: self.inherited(&object.name).priority_of(present.priority),
            count,
            gang: false,
            request: Arc::new(instances::request(container)),
            ports: ports::wanted(container),
            group: rules::group(key),
            rules: Arc::new(rules),
            preempts: Preemption::LowerPriority,
            preemptible: false,
        })
    }
}

fn one_on_each(rules: &mut Rules) {
    rules.spread.push(Spread {
        key: PlaceKey::Agent,
        max_per: Some(1),
        max_skew: None,
        expected: None,
    });
}

/// A place for an instance of a revision: it is launched there, or the place is given back.
pub(crate) fn on_placed(
    w: &mut Workloads,
    key: ObjectKey,
    revision: u32,
    placed: &Placed,
    effects: &mut Effects,
) {
    let left = w
        .service_mut(key)
        .and_then(|state| state.stated.get_mut(&revision))
        .filter(|stated| stated.count > 0)
        .map(|stated| stated.count -= 1);
    if left.is_none() || w.start(key, revision, placed, effects).is_none() {
        Workloads::decline(effects);
    }
    super::wake(w, key);
}

impl Workloads {
    fn start(
        &mut self,
        key: ObjectKey,
        number: u32,
        placed: &Placed,
        effects: &mut Effects,
    ) -> Option<()> {
        let wanted = self.wanted(key);
        let ordinal = self.service(key)?.next_ordinal(number, wanted);
        let is_parked = self.starts_parked(key, number);
        let object = self.object_at(key)?;
        let revision = self.revision(key, number)?;
        let container = revision.container()?;
        let numbers = ports::assign(&container.ports, &placed.ports);
        let id = naming::instance_id(
            &object.name,
            &object.uid,
            ordinal,
            self.launches,
            self.wall(),
        );
        let labels = self.inherited(&object.name).labels_with(&object.labels);
        let mut extra = vec![
            ("MEZZ_ORDINAL".to_owned(), ordinal.to_string()),
            (
                "MEZZ_GENERATION".to_owned(),
                revision.generation.to_string(),
            ),
        ];
        if container.env.contains_key(marathon::APP_ID) {
            let version = object.changed_at_generation(revision.generation);
            extra.extend(marathon::told_at_the_start(
                &container.ports,
                &numbers,
                version,
            ));
        }
        let plan = TaskPlan {
            id: &id,
            name: &object.name,
            template: &revision.service().template,
            container,
            ports: &numbers,
            agent: &placed.agent,
            labels: &labels,
            env: &revision.inherited.env,
            extra: &extra,
        };
        let task = self.task_info(&plan).ok()?;
        let terms = self.terms(container, &numbers).ok()?;
        let new = NewInstance {
            object: key,
            owner: Owner::Service {
                ordinal,
                generation: revision.generation,
            },
            revision: number,
            ports: numbers,
            task,
            terms,
            parked: is_parked,
        };
        let instance = self.launch(new, placed, effects);
        self.service_mut(key)?.claim(ordinal, number, instance);
        super::recount(self, instance);
        self.write_instance(instance, effects);
        Some(())
    }

    /// Whether a new instance gets no traffic at first: the new colour before the move.
    fn starts_parked(&self, key: ObjectKey, revision: u32) -> bool {
        let Some(spec) = self.service_spec(key) else {
            return false;
        };
        let Some(state) = self.service(key) else {
            return false;
        };
        let (new, old) = state.sides();
        matches!(as_service(&spec).update.strategy, Strategy::BlueGreen(_))
            && revision == state.durable.target
            && old.serving > 0
            && new.serving == 0
            && self.active_rollout(key).is_some_and(|rollout| {
                rollout.moved_at.is_none() && rollout.state != RolloutState::RollingBack
            })
    }
}
