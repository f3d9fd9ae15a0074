//! Instances on agents that cannot be reached: replaced after a while, and after another while forgotten for good.

use mezz_spec::service::{Service as ServiceSpec, Wait};
use mezz_state::time::Wall;

use crate::effect::Effects;
use crate::key::{InstanceKey, ObjectKey};
use crate::records::{Ending, InstanceRecord};
use crate::service::revisions::as_service;
use crate::service::state::ordinal_of;
use crate::workloads::Workloads;

fn due(record: &InstanceRecord, wait: Wait) -> Option<Wall> {
    let since = record.unreachable_since?;
    match wait {
        Wait::Never(_) => None,
        Wait::Span(span) => Some(Wall(since.0.saturating_add(span.nanoseconds()))),
    }
}

impl Workloads {
    /// Lets go of the ordinals of those that have been away for long enough, and forgets those that were for longer.
    pub(crate) fn give_up_unreachable(
        &mut self,
        key: ObjectKey,
        spec: &ServiceSpec,
        effects: &mut Effects,
    ) {
        let now = self.wall();
        let away: Vec<InstanceKey> = self
            .service(key)
            .into_iter()
            .flat_map(|state| state.away.iter().copied())
            .collect();
        for instance in away {
            let Some(record) = self.instance(instance).cloned() else {
                continue;
            };
            let is_over = |wait: Wait| due(&record, wait).is_some_and(|due| due <= now);
            // Nothing takes the place of one that was to end anyway, so nothing is gained by waiting.
            if is_over(spec.unreachable.replace_after) || record.ending.is_some() {
                if let Some(state) = self.service_mut(key) {
                    state.release(&record);
                }
                super::recount(self, instance);
            }
            if is_over(spec.unreachable.expunge_after) {
                self.expunge(instance, effects);
            }
        }
    }

    /// Should it come back after all, nobody knows it, so that it is ended.
    fn expunge(&mut self, key: InstanceKey, effects: &mut Effects) {
        let message = "its agent could not be reached for too long";
        let Some(record) = self.remove_instance(key, message, effects) else {
            return;
        };
        Self::unwrite_instance(&record, effects);
        if let Some(state) = self.service_mut(record.object) {
            state.release(&record);
            state.recount(key, None);
            state.away.remove(&key);
        }
    }

    /// When the next of those that are away is due.
    pub(crate) fn next_unreachable(&self, key: ObjectKey) -> Option<Wall> {
        let spec = self.service_spec(key)?;
        let rules = &as_service(&spec).unreachable;
        let state = self.service(key)?;
        state
            .away
            .iter()
            .filter_map(|instance| self.instance(*instance))
            .flat_map(|record| {
                let replace = due(record, rules.replace_after).filter(|_| state.holds(record));
                [replace, due(record, rules.expunge_after)]
            })
            .flatten()
            .min()
    }

    /// One that came back takes its ordinal again if nobody has it; otherwise it is one too many. Whether it may stay.
    pub(crate) fn take_back(
        &mut self,
        object: ObjectKey,
        key: InstanceKey,
        effects: &mut Effects,
    ) -> bool {
        let Some(record) = self.instance(key).cloned() else {
            return false;
        };
        let Some(state) = self.services.states.get_mut(&object) else {
            return false;
        };
        if state.holds(&record) {
            return true;
        }
        let ordinal = ordinal_of(&record).unwrap_or_default();
        if record.ending.is_none() && !state.claims.contains_key(&(ordinal, record.revision)) {
            state.claim(ordinal, record.revision, key);
            return true;
        }
        self.end_instance(key, Ending::Expunged, effects);
        false
    }
}
