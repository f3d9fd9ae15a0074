//! Which instances end when there are too many: first those that serve nobody, then by the service's order.

use std::cmp::Reverse;
use std::sync::Arc;

use mezz_spec::service::KillOrder;

use crate::effect::Effects;
use crate::key::{InstanceKey, ObjectKey};
use crate::records::{Ending, InstanceRecord};
use crate::service::moves::Moves;
use crate::service::revisions::as_service;
use crate::service::state::ordinal_of;
use crate::workloads::Workloads;

impl Workloads {
    /// The instances of a service that are recorded, those included that were replaced while their agent is away.
    pub(crate) fn all_of(&self, key: ObjectKey) -> impl Iterator<Item = &Arc<InstanceRecord>> {
        let state = self.service(key);
        let claimed = state.into_iter().flat_map(|state| state.claims.values());
        let away = state.into_iter().flat_map(|state| {
            state.away.iter().filter(|instance| {
                self.instance(**instance)
                    .is_some_and(|record| !state.holds(record))
            })
        });
        claimed
            .chain(away)
            .filter_map(|instance| self.instance(*instance))
    }

    /// Ends what is too many, never more serving instances than can be spared.
    pub(crate) fn end_surplus(&mut self, key: ObjectKey, moves: Moves, effects: &mut Effects) {
        let Some(target) = self.service(key).map(|state| state.durable.target) else {
            return;
        };
        let mut spare = moves.spare;
        for (is_new, count) in [(false, moves.end_old), (true, moves.end_new)] {
            if count == 0 {
                continue;
            }
            let picked = self.pick(
                key,
                |revision| (revision == target) == is_new,
                count,
                &mut spare,
            );
            let ending = if is_new {
                Ending::ScaledDown
            } else {
                Ending::Replaced
            };
            for instance in picked {
                self.end_instance(instance, ending, effects);
            }
        }
    }

    fn pick(
        &self,
        key: ObjectKey,
        is_candidate: impl Fn(u32) -> bool,
        count: u32,
        spare: &mut u32,
    ) -> Vec<InstanceKey> {
        let order = self
            .service_spec(key)
            .map(|spec| as_service(&spec).kill_order)
            .unwrap_or_default();
        let mut candidates: Vec<&Arc<InstanceRecord>> = self
            .claimed(key)
            .filter(|record| is_candidate(record.revision) && record.ending.is_none())
            .collect();
        candidates.sort_by_key(|record| self.rank(key, record, order));
        let mut picked = Vec::new();
        for record in candidates {
            if picked.len() >= count as usize {
                break;
            }
            let serves = record.ready && !record.parked;
            if serves && *spare == 0 {
                continue;
            }
            *spare -= u32::from(serves);
            picked.push(record.key);
        }
        picked
    }

    fn claimed(&self, key: ObjectKey) -> impl Iterator<Item = &Arc<InstanceRecord>> {
        self.service(key)
            .into_iter()
            .flat_map(|state| state.claims.values())
            .filter_map(|instance| self.instance(*instance))
    }

    /// Old instances without traffic that are not ended yet.
    pub(crate) fn parked_old(&self, key: ObjectKey) -> u32 {
        let target = self.service(key).map(|state| state.durable.target);
        let parked = self.claimed(key).filter(|record| {
            record.parked && record.ending.is_none() && Some(record.revision) != target
        });
        u32::try_from(parked.count()).unwrap_or(u32::MAX)
    }

    /// Lower goes first: without traffic, then not serving, then replaced by a ready one of the same ordinal, then by age, then the highest ordinal.
    fn rank(
        &self,
        key: ObjectKey,
        record: &InstanceRecord,
        order: KillOrder,
    ) -> (bool, bool, bool, u64, Reverse<u32>) {
        let age = record.created_at.0;
        let by_age = match order {
            KillOrder::OldestFirst => age,
            KillOrder::YoungestFirst => u64::MAX - age,
        };
        let ordinal = ordinal_of(record).unwrap_or_default();
        (
            !record.parked,
            record.ready && !record.parked,
            !self.has_successor(key, record, ordinal),
            by_age,
            Reverse(ordinal),
        )
    }

    fn has_successor(&self, key: ObjectKey, record: &InstanceRecord, ordinal: u32) -> bool {
        let Some(state) = self.service(key) else {
            return false;
        };
        let target = state.durable.target;
        record.revision != target
            && state
                .claims
                .get(&(ordinal, target))
                .and_then(|other| self.instance(*other))
                .is_some_and(|other| other.ready)
    }
}
