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
pub(super) const RECALL_HOLD_NS: u64 = 1_000_000_000;

/// On so many agents at most offers are taken back for one shape at a time.
const MOST_RECALLS: usize = 64;

/// So many instances are counted on an agent at most.
const MOST_ROOM: u64 = 64;

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
            let gang = self.queue.shapes.get(shape).key.gang;
            if let Some(demand) = gang {
                recalled.extend(self.recall_for_gang(
                    now_ns,
                    (shape, demand),
                    offers,
                    &mut by_agent,
                ));
            } else {
                recalled.extend(self.recall_for_each(now_ns, shape, offers, &mut by_agent));
            }
        }
        recalled
    }

    /// The offers that are in the way of single instances, as long as some of a shape have no place.
    fn recall_for_each(
        &mut self,
        now_ns: u64,
        index: ShapeIndex,
        offers: &[Outstanding<'_>],
        by_agent: &mut OffersByAgent,
    ) -> Vec<usize> {
        let shape = self.queue.shapes.get(index);
        let leaf = shape.key.leaf;
        let demands = shape.turns.iter().map(|turn| turn.demand);
        let demands: Vec<DemandKey> = demands.take(MOST_RECALLS).collect();
        let (mut quota, mut spare) = (self.quota_left(index), 0);
        let (mut recalled, mut agents) = (Vec::new(), 0);
        for demand in demands {
            let wanted = self.wanted(demand).min(quota);
            quota -= wanted;
            while wanted > spare {
                let found = self.fewest_in_the_way(index, demand, offers, by_agent);
                let Some((agent, list)) = found.filter(|_| agents < MOST_RECALLS) else {
                    return recalled;
                };
                agents += 1;
                spare += self.room_once_back(index, agent, list.iter().map(|nth| &offers[*nth]));
                by_agent.remove(&agent);
                recalled.extend(list);
                let earmark = Earmark {
                    leaf,
                    keep: Keep::Room(demand),
                    until_ns: now_ns.saturating_add(RECALL_HOLD_NS),
                };
                self.earmarks.insert(agent, earmark);
            }
            spare -= wanted;
        }
        recalled
    }

    /// How many instances of a shape fit on an agent without some of the offers there: one at least.
    fn room_once_back<'o>(
        &self,
        index: ShapeIndex,
        agent: AgentIndex,
        offers: impl Iterator<Item = &'o Outstanding<'o>>,
    ) -> u64 {
        let freed = offers.map(|offer| offer.resources.unallocated());
        let freed = freed.fold(Resources::new(), |sum, own| sum + own);
        let free = self.agent(agent).map(|own| &own.available + &freed);
        let shape = self.queue.shapes.get(index);
        free.map_or(1, |free| self.room_in(shape, &free, MOST_ROOM).max(1))
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
        let recalled = room.offers.clone();
        for nth in &recalled {
            by_agent.remove(&offers[*nth].agent);
        }
        self.make_room(index, demand, room, now_ns);
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
