//! Offers taken back from frameworks that let them lie while a task or another framework waits for just that.
//!
//! The ledger says which; here is when it is asked: as soon as somebody waits and an offer has stood for its least time,
//! and again when something has changed since, but never twice in a tenth of that time.

use mezz_sched::Outstanding;

use crate::accounts::agent_sched_key;
use crate::effect::Effects;
use crate::event::TimerKey;
use crate::fact::OfferEnd;
use crate::frameworks::sched_key;
use crate::key::OfferKey;
use crate::master::Master;
use crate::pages::Pages;
use crate::records::OfferRecord;
use crate::time::Mono;
use crate::wire;

/// Whether it is worth asking again for which offers somebody starves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Search {
    /// Something has changed since the last time.
    #[default]
    Due,
    /// Nothing was found, and nothing has changed since but the age of offers.
    InVain,
}

impl Master {
    /// Arms the timer of the next search when somebody waits while offers stand.
    pub(crate) fn request_recall(&mut self, effects: &mut Effects) {
        let hold_ns = self.config.offer_hold_ns;
        let waiting = self.sched.is_any_demand_waiting() || self.sched.is_anyone_waiting();
        if hold_ns == 0 || !waiting {
            return;
        }
        self.forget_ended_offers();
        let now = self.now.mono;
        let due = match (self.timers.recall, self.timers.offers.front()) {
            (_, None) => return,
            (_, Some((made, _))) if made.after(hold_ns) > now => made.after(hold_ns),
            (Search::Due, _) => now.max(self.timers.searched_at.after(hold_ns / 10)),
            (Search::InVain, _) => match self.next_to_ripen(hold_ns) {
                Some(due) => due,
                None => return,
            },
        };
        match self.timers.armed.get(&TimerKey::Recall) {
            Some((_, at)) if *at <= due => {}
            _ => self.set_timer(TimerKey::Recall, due, effects),
        }
    }

    /// When the first of the younger offers has stood for its least time.
    fn next_to_ripen(&self, hold_ns: u64) -> Option<Mono> {
        let offers = &self.timers.offers;
        let ripe = offers.partition_point(|(made, _)| made.after(hold_ns) <= self.now.mono);
        offers.get(ripe).map(|(made, _)| made.after(hold_ns))
    }

    pub(crate) fn on_recall_due(&mut self, effects: &mut Effects) {
        self.timers.searched_at = self.now.mono;
        self.timers.recall = Search::InVain;
        self.recall_for_demands(effects);
        self.recall_for_frameworks(effects);
    }

    fn recall_for_demands(&mut self, effects: &mut Effects) {
        if !self.sched.is_any_demand_waiting() {
            return;
        }
        let ripe = self.ripe_offers();
        let offers: Vec<_> = outstanding(&self.records.offers, &ripe).collect();
        let now_ns = self.now.mono.0;
        let found = self.sched.offers_in_the_way_of_demands(now_ns, &offers);
        for nth in found {
            self.rescind_offer(ripe[nth], effects);
        }
        // For a gang work may have to end beside offers.
        self.evict_instances(effects);
    }

    fn recall_for_frameworks(&mut self, effects: &mut Effects) {
        if !self.sched.is_anyone_waiting() {
            return;
        }
        let ripe = self.ripe_offers();
        let offers: Vec<_> = outstanding(&self.records.offers, &ripe).collect();
        let found = self.sched.offers_to_recall(self.now.mono.0, &offers);
        let mut grants = Vec::new();
        for recall in found {
            let key = ripe[recall.offer];
            let Some(offer) = self.take_offer(key, OfferEnd::Rescinded, effects) else {
                continue;
            };
            self.sched
                .recall(self.now.mono.0, recall, as_outstanding(&offer), &mut grants);
            self.send_event(offer.framework, wire::rescind(&offer.id), effects);
        }
        // What was taken back may have gone to a demand.
        self.place_instances(effects);
        self.offer_grants(grants, effects);
    }

    /// The offers that have stood for the least time, the oldest first.
    fn ripe_offers(&self) -> Vec<OfferKey> {
        let hold_ns = self.config.offer_hold_ns;
        let offers = self.timers.offers.iter();
        offers
            .take_while(|(made, _)| made.after(hold_ns) <= self.now.mono)
            .filter_map(|(_, id)| self.index.offers.get(id).copied())
            .collect()
    }
}

/// The offers as the ledger looks at them; all of the keys are of offers that stand.
fn outstanding<'a>(
    records: &'a Pages<OfferRecord>,
    keys: &'a [OfferKey],
) -> impl Iterator<Item = Outstanding<'a>> {
    let offers = keys.iter().filter_map(|key| records.get(key.index()));
    offers.map(|offer| as_outstanding(offer))
}

fn as_outstanding(offer: &OfferRecord) -> Outstanding<'_> {
    Outstanding {
        framework: sched_key(offer.framework),
        agent: agent_sched_key(offer.agent),
        resources: &offer.resources,
    }
}
