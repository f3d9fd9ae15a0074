//! Offers that lie while a demand fits nowhere: which of them to take back, so that it finds its place there.

use super::DemandKey;
use super::gang_room::OffersByAgent;
use super::judge::Misfit;
use super::queue::Block;
use super::shapes::ShapeIndex;
use crate::earmark::{Earmark, Keep};
use crate::ids::AgentIndex;
use crate::recall::Outstanding;
use crate::scheduler::Scheduler;
use mezz_resource::Resources;

/// How long the room of offers that are taken back is kept for the demand.
const HOLD_NS: u64 = 1_000_000_000;

impl Scheduler {
    /// Whether a demand waits for agents, so that offers may be in its way.
    pub fn is_any_demand_waiting(&self) -> bool {
        let mut blocked = self.queue.blocked().into_iter();
        blocked.any(|(_, block)| block == Block::Agents)
    }

    /// Which of the offers (by position, the oldest first) are to be taken back for demands that fit nowhere: on one agent
    /// for each of them, or on as many as let a gang in as a whole, for which work may end too
    /// ([`Scheduler::take_eviction`]). The room is kept for the demand until the next cycle has placed it, a second at
    /// most if nothing has to end.
    pub fn offers_in_the_way_of_demands(
        &mut self,
        now_ns: u64,
        offers: &[Outstanding<'_>],
    ) -> Vec<usize> {
        let mut by_agent = OffersByAgent::new();
        for (nth, offer) in offers.iter().enumerate() {
            by_agent.entry(offer.agent).or_default().push(nth);
        }
        let mut recalled = Vec::new();
        for (shape, block) in self.queue.blocked() {
            if by_agent.is_empty() {
                break;
            }
            if block == Block::Quota || !self.has_quota(shape) {
                continue;
            }
            let Some(demand) = self.first_of(shape) else {
                continue;
            };
            if self.queue.shapes.get(shape).key.gang.is_some() {
                recalled.extend(self.recall_for_gang(
                    now_ns,
                    (shape, demand),
                    offers,
                    &mut by_agent,
                ));
            } else if let Some((agent, list)) =
                self.fewest_in_the_way(shape, demand, offers, &by_agent)
            {
                by_agent.remove(&agent);
                recalled.extend(list);
                let earmark = Earmark {
                    leaf: self.queue.shapes.get(shape).key.leaf,
                    keep: Keep::Room(demand),
                    until_ns: now_ns.saturating_add(HOLD_NS),
                };
                self.earmarks.insert(agent, earmark);
            }
        }
        recalled
    }

    /// The offers that are in the way of a gang, if it fits without them.
    fn recall_for_gang(
        &mut self,
        now_ns: u64,
        (index, demand): (ShapeIndex, DemandKey),
        offers: &[Outstanding<'_>],
        by_agent: &mut OffersByAgent,
    ) -> Vec<usize> {
        let Some(room) = self.room_for_gang(index, demand, offers, by_agent) else {
            return Vec::new();
        };
        if room.offers.is_empty() {
            // Work alone ends at a cycle.
            return Vec::new();
        }
        let hold_ns = if room.has_victims() {
            self.config.eviction_hold_ns
        } else {
            HOLD_NS
        };
        let recalled = room.offers.clone();
        for nth in &recalled {
            by_agent.remove(&offers[*nth].agent);
        }
        self.make_room(index, demand, room, now_ns.saturating_add(hold_ns));
        recalled
    }

    /// The agent on which the fewest offers are in a shape's way.
    fn fewest_in_the_way(
        &mut self,
        index: ShapeIndex,
        demand: DemandKey,
        offers: &[Outstanding<'_>],
        by_agent: &OffersByAgent,
    ) -> Option<(AgentIndex, Vec<usize>)> {
        let candidates = self.informed_candidates(index);
        let shape = self.queue.shapes.get(index);
        let mut fewest: Option<(AgentIndex, Vec<usize>)> = None;
        for (agent, list) in by_agent {
            let most = fewest.as_ref().map_or(usize::MAX, |(_, own)| own.len() - 1);
            let lacks = candidates.judge(self, shape, *agent);
            if !matches!(lacks, Err(Misfit::Lacks(..) | Misfit::PortTaken(_)))
                || candidates.closed_for(*agent).is_some()
                || self.is_kept_from(*agent, demand)
            {
                continue;
            }
            let mut freed = Resources::new();
            for (count, nth) in (1..).zip(list).take(most) {
                freed += offers[*nth].resources.unallocated();
                if self.fits_with(shape, *agent, &freed) {
                    fewest = Some((*agent, list[..count].to_vec()));
                    break;
                }
            }
        }
        self.keep_candidates(index, candidates);
        fewest
    }
}
