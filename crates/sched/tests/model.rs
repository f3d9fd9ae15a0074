//! Random histories: whatever happens, the ledger stays sound and nothing is offered twice.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_resource::Resources;
use mezz_sched::{
    AgentSpec, Config, Demand, DemandKey, Grant, Limits, PortsWanted, Reason, Scheduler,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use support::{FLOOR, SECOND, a, demand, f, framework, of_role, qty, res, with_minimum};

const ROLES: [&str; 6] = ["a", "a/b", "a/c", "q", "q/x", "q/y/z"];
const TOTALS: [&str; 5] = [
    "cpus:4;mem:4096;ports:[31000-31009]",
    "cpus:1;mem:512",
    "cpus:8;mem:1024;disk:100",
    "cpus:2;mem:2048;cpus(a):2;mem(a/b):100",
    "cpus:0.5;mem:64;gpus:1",
];

#[derive(Debug, Clone)]
enum Step {
    AddAgent(u32, usize),
    RemoveAgent(u32),
    UpdateAgent(u32, usize),
    Deactivate(u32),
    Activate(u32),
    AddFramework(u32, usize, usize),
    UpdateFramework(u32, usize),
    RemoveFramework(u32),
    Disconnect(u32),
    Connect(u32),
    Suppress(u32),
    Revive(u32),
    Weight(usize, u32),
    Decline(usize, u64),
    Accept(usize),
    Finish(usize),
    Place(usize),
    Pass(u64),
    Cycle,
}

fn step() -> impl Strategy<Value = Step> {
    let agent = 0u32..6;
    let peer = 0u32..6;
    prop_oneof![
        3 => (agent.clone(), 0..TOTALS.len()).prop_map(|(agent, total)| Step::AddAgent(agent, total)),
        1 => agent.clone().prop_map(Step::RemoveAgent),
        1 => (agent.clone(), 0..TOTALS.len()).prop_map(|(agent, total)| Step::UpdateAgent(agent, total)),
        1 => agent.clone().prop_map(Step::Deactivate),
        1 => agent.prop_map(Step::Activate),
        3 => (peer.clone(), 0..ROLES.len(), 0..ROLES.len()).prop_map(|(peer, one, two)| Step::AddFramework(peer, one, two)),
        1 => (peer.clone(), 0..ROLES.len()).prop_map(|(peer, role)| Step::UpdateFramework(peer, role)),
        1 => peer.clone().prop_map(Step::RemoveFramework),
        1 => peer.clone().prop_map(Step::Disconnect),
        1 => peer.clone().prop_map(Step::Connect),
        1 => peer.clone().prop_map(Step::Suppress),
        2 => peer.prop_map(Step::Revive),
        1 => (0..ROLES.len(), 1u32..9).prop_map(|(role, weight)| Step::Weight(role, weight)),
        5 => (any::<usize>(), 0u64..10).prop_map(|(which, seconds)| Step::Decline(which, seconds)),
        5 => any::<usize>().prop_map(Step::Accept),
        4 => any::<usize>().prop_map(Step::Finish),
        2 => (0..ROLES.len()).prop_map(Step::Place),
        3 => (0u64..4).prop_map(|seconds| Step::Pass(seconds * SECOND + FLOOR)),
        8 => Just(Step::Cycle),
    ]
}

/// What the caller of the ledger believes.
struct Model {
    sched: Scheduler,
    now: u64,
    totals: BTreeMap<u32, Resources>,
    /// Agents whose total was changed while they were in.
    changed: BTreeSet<u32>,
    offers: Vec<Grant>,
    tasks: Vec<Grant>,
    /// The key of the last demand; none outlives a cycle.
    wanted: u64,
}

impl Model {
    fn new(guarantee: &str) -> Self {
        let mut sched = Scheduler::new(Config::default());
        sched.set_quota("q", &qty(""), &qty("cpus:3;mem:3000"));
        sched.set_quota("a/c", &qty(guarantee), Limits::default());
        Self {
            sched,
            now: SECOND,
            totals: BTreeMap::new(),
            changed: BTreeSet::new(),
            offers: Vec::new(),
            tasks: Vec::new(),
            wanted: 0,
        }
    }

    fn forget(&mut self, gone: impl Fn(&Grant) -> bool) {
        self.offers.retain(|grant| !gone(grant));
        self.tasks.retain(|grant| !gone(grant));
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::AddAgent(agent, total) => {
                self.forget(|grant| grant.agent == a(agent));
                self.changed.remove(&agent);
                self.totals.insert(agent, res(TOTALS[total]));
                self.sched.add_agent(
                    a(agent),
                    AgentSpec {
                        total: res(TOTALS[total]),
                        ..AgentSpec::default()
                    },
                    &[],
                );
            }
            Step::RemoveAgent(agent) => {
                self.forget(|grant| grant.agent == a(agent));
                self.totals.remove(&agent);
                self.sched.remove_agent(a(agent));
            }
            Step::UpdateAgent(agent, total) => {
                if let Some(own) = self.totals.get_mut(&agent) {
                    *own = res(TOTALS[total]);
                    self.changed.insert(agent);
                    self.sched.update_agent_total(a(agent), res(TOTALS[total]));
                }
            }
            Step::Deactivate(agent) => self.sched.deactivate_agent(a(agent)),
            Step::Activate(agent) => self.sched.activate_agent(a(agent)),
            Step::Weight(role, weight) => self
                .sched
                .set_weight(ROLES[role], f64::from(weight))
                .unwrap(),
            Step::Decline(which, seconds) => self.decline(which, seconds),
            Step::Accept(which) => self.accept(which),
            Step::Finish(which) => self.finish(which),
            Step::Place(role) => {
                self.wanted += 1;
                let wanted = Demand {
                    ports: PortsWanted {
                        any: 1,
                        fixed: BTreeSet::new(),
                    },
                    ..demand(ROLES[role], "cpus:0.5;mem:32", 1)
                };
                self.sched.set_demand(f(9), DemandKey(self.wanted), wanted);
            }
            Step::Pass(nanos) => self.now += nanos,
            Step::Cycle => self.cycle(),
            _ => self.apply_to_framework(step),
        }
    }

    fn apply_to_framework(&mut self, step: &Step) {
        match *step {
            Step::AddFramework(peer, one, two) => {
                self.forget(|grant| grant.framework == f(peer));
                let mut spec = framework(&[ROLES[one], ROLES[two]]);
                if peer == 5 {
                    spec = with_minimum(spec, ROLES[one], &["cpus:4"]);
                }
                self.sched.add_framework(f(peer), spec, true);
            }
            Step::UpdateFramework(peer, role) => self
                .sched
                .update_framework(f(peer), framework(&[ROLES[role]])),
            Step::RemoveFramework(peer) => {
                self.forget(|grant| grant.framework == f(peer));
                self.sched.remove_framework(f(peer));
            }
            Step::Disconnect(peer) => self.sched.deactivate_framework(f(peer)),
            Step::Connect(peer) => self.sched.activate_framework(f(peer)),
            Step::Suppress(peer) => self.sched.suppress(f(peer), &[]),
            Step::Revive(peer) => self.sched.revive(f(peer), &[]),
            _ => unreachable!("the other steps are not of frameworks"),
        }
    }

    fn decline(&mut self, which: usize, seconds: u64) {
        if self.offers.is_empty() {
            return;
        }
        let offer = self.offers.swap_remove(which % self.offers.len());
        let refuse = Some(seconds * SECOND);
        self.sched.recover(
            self.now,
            offer.framework,
            offer.agent,
            &offer.resources,
            refuse,
        );
    }

    fn accept(&mut self, which: usize) {
        if self.offers.is_empty() {
            return;
        }
        let mut offer = self.offers.swap_remove(which % self.offers.len());
        let task = of_role("cpus:0.25;mem:16", &offer.role);
        let Some(rest) = offer.resources.subtract(&task) else {
            self.sched.recover(
                self.now,
                offer.framework,
                offer.agent,
                &offer.resources,
                None,
            );
            return;
        };
        self.sched.mark_used(offer.framework, offer.agent, &task);
        self.sched
            .recover(self.now, offer.framework, offer.agent, &rest, None);
        offer.resources = task;
        self.tasks.push(offer);
    }

    fn finish(&mut self, which: usize) {
        if self.tasks.is_empty() {
            return;
        }
        let task = self.tasks.swap_remove(which % self.tasks.len());
        self.sched
            .release(self.now, task.framework, task.agent, &task.resources);
    }

    fn cycle(&mut self) {
        let mut grants = Vec::new();
        self.sched.allocate(self.now, &mut grants);
        for grant in &grants {
            assert!(!grant.resources.is_empty());
            assert_eq!(grant.resources.allocation_role(), Some(&grant.role));
        }
        self.offers.extend(grants);
        self.take_placements();
        assert!(
            !self.sched.is_dirty(),
            "a cycle looks at all that has changed"
        );
        self.nobody_is_passed_over();
    }

    fn take_placements(&mut self) {
        while let Some(placed) = self.sched.take_placement() {
            self.sched.instance_removed(placed.instance);
            self.tasks.push(Grant {
                framework: placed.framework,
                role: placed.resources.allocation_role().unwrap().clone(),
                agent: placed.agent,
                resources: placed.resources,
            });
        }
        for key in 1..=self.wanted {
            self.sched.withdraw(DemandKey(key));
        }
    }

    /// After a cycle no framework could be offered anything that is still free.
    fn nobody_is_passed_over(&self) {
        for peer in 0..6 {
            for role in ROLES {
                for reason in self.sched.explain(self.now, f(peer), role) {
                    assert!(
                        !matches!(reason, Reason::Ready { .. }),
                        "framework {peer} in {role}: {reason}"
                    );
                    assert!(!reason.to_string().is_empty());
                }
            }
        }
    }

    fn check(&self) {
        self.sched.check_integrity().unwrap();
        assert_eq!(self.sched.stats().mismatches, 0);
        assert!(self.sched.is_within_limits("q"));
        for (agent, total) in &self.totals {
            let mut left = total.clone();
            let here = self
                .offers
                .iter()
                .chain(&self.tasks)
                .filter(|grant| grant.agent == a(*agent));
            let mut taken = Resources::new();
            for grant in here {
                taken += grant.resources.unallocated();
            }
            let missing = left.subtract_available(&taken);
            // A total that was changed may be smaller than what had been given away before.
            let changed = self.changed.contains(agent);
            assert!(
                missing.is_empty() || changed,
                "agent {agent} gives {missing} twice"
            );
            if !changed {
                assert_eq!(self.sched.available(a(*agent)), left);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_history_keeps_the_ledger_sound(
        steps in prop::collection::vec(step(), 1..120),
        guarantee in prop::sample::select(vec!["", "cpus:2;mem:1000"]),
    ) {
        let mut model = Model::new(guarantee);
        for step in &steps {
            model.apply(step);
            model.check();
        }
        // At the end everything given back is free again.
        for grant in std::mem::take(&mut model.offers).into_iter().chain(std::mem::take(&mut model.tasks)) {
            model.sched.recover(model.now, grant.framework, grant.agent, &grant.resources, None);
        }
        model.check();
        for (agent, total) in &model.totals {
            prop_assert_eq!(&model.sched.available(a(*agent)), total);
        }
        prop_assert!(model.sched.shares().iter().all(|role| role.held.is_empty() && role.share == 0.0));
    }

    #[test]
    fn the_same_history_gives_the_same_ledger(
        steps in prop::collection::vec(step(), 1..60),
        guarantee in prop::sample::select(vec!["", "cpus:2;mem:1000"]),
    ) {
        let (mut one, mut two) = (Model::new(guarantee), Model::new(guarantee));
        for step in &steps {
            one.apply(step);
            two.apply(step);
        }
        prop_assert_eq!(&one.sched, &two.sched);
        prop_assert_eq!(one.offers, two.offers);
    }

    #[test]
    fn every_agent_goes_to_the_smallest_weighted_share(
        sizes in prop::collection::vec((1i64..20, 1i64..20), 1..25),
        weights in prop::collection::vec(1u32..5, 2..6),
    ) {
        let mut sched = Scheduler::new(Config::default());
        for (index, weight) in (0u32..).zip(&weights) {
            let role = format!("role{index}");
            sched.add_framework(f(index), framework(&[&role]), true);
            sched.set_weight(&role, f64::from(*weight)).unwrap();
        }
        let mut held = vec![(0i64, 0i64, 0u32); weights.len()];
        let (mut cpus, mut mem) = (0, 0);
        for (index, (agent_cpus, agent_mem)) in (0u32..).zip(&sizes) {
            cpus += agent_cpus;
            mem += agent_mem * 100;
            let total = res(&format!("cpus:{agent_cpus};mem:{}", agent_mem * 100));
            sched.add_agent(a(index), AgentSpec { total, ..AgentSpec::default() }, &[]);
            let mut grants = Vec::new();
            sched.allocate(0, &mut grants);
            prop_assert_eq!(grants.len(), 1);
            // The oracle: exact fractions over the common denominator cpus * mem.
            let share = |(own_cpus, own_mem, _): &(i64, i64, u32)| (own_cpus * mem).max(own_mem * cpus);
            let expected = (0..weights.len())
                .min_by(|left, right| {
                    let one = share(&held[*left]) * i64::from(weights[*right]);
                    let two = share(&held[*right]) * i64::from(weights[*left]);
                    one.cmp(&two).then(held[*left].2.cmp(&held[*right].2)).then(left.cmp(right))
                })
                .unwrap();
            prop_assert_eq!(grants[0].framework.0 as usize, expected);
            held[expected].0 += agent_cpus;
            held[expected].1 += agent_mem * 100;
            held[expected].2 += 1;
        }
    }
}
