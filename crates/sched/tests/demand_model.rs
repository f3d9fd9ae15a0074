//! Random histories of demands: whatever happens, no rule is broken, nothing that fits is left waiting, and a ledger that
//! was written and read again goes on exactly as the one that was written.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_sched::{
    AgentSpec, Config, Demand, DemandKey, DemandPlacement, FaultDomain, Grant, GroupKey, Packing,
    PlaceKey, PlaceTest, PortsWanted, Preemption, Rule, Rules, Scheduler, Spread,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use support::{NATIVE, SECOND, a, agent, demand, f, framework, of_role, qty};

const AGENTS: u32 = 8;
const ROLES: [&str; 4] = ["a", "a/b", "q", "z"];
const TOTALS: [&str; 4] = [
    "cpus:4;mem:400;ports:[100-107]",
    "cpus:2;mem:800",
    "cpus:1;mem:100;cpus(a):2;ports:[100-103]",
    "cpus:8;mem:50;gpus:1",
];

/// What is wanted under one key.
#[derive(Debug, Clone)]
struct Wanted {
    role: usize,
    priority: i32,
    count: u64,
    gang: bool,
    cpus: u32,
    ports: u32,
    rules: usize,
    preempts: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Agent(u32, usize),
    RemoveAgent(u32),
    Close(u32),
    Open(u32),
    Framework(u32, usize),
    Want(u64, Wanted),
    Withdraw(u64),
    End(usize),
    Accept(usize),
    Decline(usize),
    Pass(u64),
    Cycle,
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let numbers = (
        0..ROLES.len(),
        -1i32..2,
        1u64..6,
        1u32..5,
        0u32..3,
        0usize..7,
    );
    (
        numbers,
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |((role, priority, count, cpus, ports, rules), gang, preempts)| Wanted {
                role,
                priority,
                count,
                gang,
                cpus,
                ports,
                rules,
                preempts,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let total = 0..TOTALS.len();
    prop_oneof![
        5 => (0..AGENTS, total).prop_map(|(agent, total)| Step::Agent(agent, total)),
        1 => (0..AGENTS).prop_map(Step::RemoveAgent),
        1 => (0..AGENTS).prop_map(Step::Close),
        1 => (0..AGENTS).prop_map(Step::Open),
        1 => (0u32..3, 0..ROLES.len()).prop_map(|(own, role)| Step::Framework(own, role)),
        6 => (0u64..6, wanted()).prop_map(|(key, wanted)| Step::Want(key, wanted)),
        1 => (0u64..6).prop_map(Step::Withdraw),
        6 => any::<usize>().prop_map(Step::End),
        2 => any::<usize>().prop_map(Step::Accept),
        3 => any::<usize>().prop_map(Step::Decline),
        1 => (1u64..20).prop_map(Step::Pass),
        8 => Just(Step::Cycle),
    ]
}

fn rules(which: usize) -> Rules {
    let spread = |key, max_per, max_skew| Spread {
        key,
        max_per,
        max_skew,
        expected: None,
    };
    let mut rules = Rules::default();
    match which {
        1 => rules.spread.push(spread(PlaceKey::Hostname, Some(2), None)),
        2 => rules.spread.push(spread(PlaceKey::Zone, None, Some(1))),
        3 => {
            rules.spread.push(spread(PlaceKey::Agent, None, Some(1)));
            rules.spread.push(spread(PlaceKey::Zone, Some(3), None));
        }
        4 => rules.same.push(PlaceKey::Zone),
        5 => rules.away.push(GroupKey(1)),
        6 => rules.require.push(Rule {
            key: PlaceKey::Zone,
            test: PlaceTest::Matches(vec!["z[01]".to_owned()]),
        }),
        _ => rules.packing = Packing::Spread,
    }
    rules
}

fn statement(key: u64, wanted: &Wanted) -> Demand {
    Demand {
        priority: wanted.priority,
        gang: wanted.gang,
        ports: PortsWanted {
            any: wanted.ports,
            fixed: if wanted.ports == 2 {
                [101].into()
            } else {
                [].into()
            },
        },
        group: GroupKey(key),
        rules: Arc::new(rules(wanted.rules)),
        preempts: if wanted.preempts {
            Preemption::LowerPriority
        } else {
            Preemption::Nothing
        },
        preemptible: wanted.priority < 1,
        ..demand(
            ROLES[wanted.role],
            &format!("cpus:{};mem:10", wanted.cpus),
            wanted.count,
        )
    }
}

/// What the caller of the ledger believes.
#[derive(Clone)]
struct Model {
    sched: Scheduler,
    now: u64,
    agents: BTreeMap<u32, usize>,
    wanted: BTreeMap<u64, Demand>,
    running: Vec<DemandPlacement>,
    offers: Vec<Grant>,
    /// What the last cycle came to.
    outcome: Vec<String>,
}

impl Model {
    fn new() -> Self {
        let mut sched = Scheduler::new(Config {
            starving_ns: 2 * SECOND,
            earmark_ns: 5 * SECOND,
            eviction_hold_ns: 3 * SECOND,
            ..Config::default()
        });
        sched.set_quota("q", &qty(""), &qty("cpus:6"));
        sched.set_weight("z", 2.0).unwrap();
        Self {
            sched,
            now: SECOND,
            agents: BTreeMap::new(),
            wanted: BTreeMap::new(),
            running: Vec::new(),
            offers: Vec::new(),
            outcome: Vec::new(),
        }
    }

    fn remove_agent(&mut self, index: u32) {
        if self.agents.remove(&index).is_none() {
            return;
        }
        for own in self.running.extract_if(.., |own| own.agent == a(index)) {
            self.sched.instance_removed(own.instance);
        }
        self.offers.retain(|grant| grant.agent != a(index));
        self.sched.remove_agent(a(index));
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Agent(index, total) => {
                self.remove_agent(*index);
                let spec = AgentSpec {
                    id: format!("S{index}"),
                    hostname: format!("node-{}", index / 2),
                    domain: Some(FaultDomain {
                        region: "home".to_owned(),
                        zone: format!("z{}", index % 3),
                    }),
                    ..agent(TOTALS[*total])
                };
                self.sched.add_agent(a(*index), spec, &[]);
                self.agents.insert(*index, *total);
            }
            Step::RemoveAgent(index) => self.remove_agent(*index),
            Step::Close(index) => self.sched.deactivate_agent(a(*index)),
            Step::Open(index) => self.sched.activate_agent(a(*index)),
            Step::Framework(own, role) => {
                self.offers.retain(|grant| grant.framework != f(*own));
                self.sched
                    .add_framework(f(*own), framework(&[ROLES[*role]]), true);
            }
            Step::Want(key, wanted) => {
                let stated = statement(*key, wanted);
                self.sched
                    .set_demand(NATIVE, DemandKey(*key), stated.clone());
                self.wanted.insert(*key, stated);
            }
            Step::Withdraw(key) => {
                self.sched.withdraw(DemandKey(*key));
                self.wanted.remove(key);
            }
            Step::End(which) => self.end(*which),
            Step::Accept(which) => self.settle(*which, true),
            Step::Decline(which) => self.settle(*which, false),
            Step::Pass(seconds) => self.now += seconds * SECOND,
            Step::Cycle => self.cycle(),
        }
    }

    fn end(&mut self, which: usize) {
        if self.running.is_empty() {
            return;
        }
        let own = self.running.remove(which % self.running.len());
        self.sched.instance_removed(own.instance);
        self.sched
            .release(self.now, own.framework, own.agent, &own.resources);
    }

    /// Uses a little of an offer and gives the rest back, or all of it.
    fn settle(&mut self, which: usize, accept: bool) {
        if self.offers.is_empty() {
            return;
        }
        let grant = self.offers.remove(which % self.offers.len());
        let part = of_role("cpus:0.5", &grant.role);
        let Some(rest) = grant.resources.subtract(&part).filter(|_| accept) else {
            return self.sched.recover(
                self.now,
                grant.framework,
                grant.agent,
                &grant.resources,
                Some(10 * SECOND),
            );
        };
        self.sched.mark_used(grant.framework, grant.agent, &part);
        self.sched
            .recover(self.now, grant.framework, grant.agent, &rest, Some(SECOND));
    }

    fn cycle(&mut self) {
        let mut grants = Vec::new();
        self.sched.allocate(self.now, &mut grants);
        assert!(!self.sched.is_dirty(), "a cycle comes to an end");
        self.outcome = grants.iter().map(support::show).collect();
        self.offers.extend(grants);
        let placed: Vec<_> = std::iter::from_fn(|| self.sched.take_placement()).collect();
        self.check_gangs(&placed);
        for own in &placed {
            self.outcome.push(format!("{own:?}"));
            let stated = self.wanted.get_mut(&own.demand.0).unwrap();
            assert!(stated.count > 0, "no more is placed than was wanted");
            stated.count -= 1;
        }
        self.running.extend(placed);
        while let Some(eviction) = self.sched.take_eviction() {
            self.outcome.push(format!("{eviction:?}"));
            self.check_eviction(&eviction);
        }
        self.check_nothing_waits_in_vain();
    }

    fn check_gangs(&self, placed: &[DemandPlacement]) {
        for (key, stated) in self.wanted.iter().filter(|(_, stated)| stated.gang) {
            let count = placed.iter().filter(|own| own.demand.0 == *key).count() as u64;
            assert!(count == 0 || count == stated.count, "a gang was torn apart");
        }
    }

    fn check_eviction(&self, eviction: &mezz_sched::Eviction) {
        let priority = self.wanted[&eviction.demand.0].priority;
        assert!(!eviction.victims.is_empty());
        for victim in &eviction.victims {
            let own = self.running.iter().find(|own| own.instance == *victim);
            let own = own.expect("only what runs is ended");
            assert_eq!(own.agent, eviction.agent);
            assert!(self.sched.is_ending(*victim) && priority > -1);
        }
    }

    /// What the ledger says it would place, it has placed: nothing was forgotten on the way.
    fn check_nothing_waits_in_vain(&self) {
        if self.sched.earmarks().next().is_some() {
            return;
        }
        for (key, stated) in &self.wanted {
            let left = self.sched.wanted(DemandKey(*key));
            assert_eq!(left, stated.count);
            if left > 0 {
                let needed = if stated.gang { left } else { 1 };
                let trial = self.sched.try_place(NATIVE, stated, needed);
                assert!(trial.agents.is_empty(), "{key} waits although {trial:?}");
            }
        }
    }

    fn check(&self) {
        self.sched.check_integrity().unwrap();
        assert!(self.sched.is_within_limits("q"));
    }

    /// The ledger, written and read again.
    fn restored(&self) -> Self {
        let bytes = postcard::to_allocvec(&self.sched).unwrap();
        let sched: Scheduler = postcard::from_bytes(&bytes).unwrap();
        assert!(sched == self.sched);
        Self {
            sched,
            ..self.clone()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_history_breaks_the_ledger_or_leaves_work_waiting_that_fits(steps in prop::collection::vec(step(), 1..60)) {
        let mut model = Model::new();
        for step in &steps {
            model.take(step);
            model.check();
        }
    }

    #[test]
    fn a_restored_ledger_places_and_offers_as_the_one_that_was_written(
        steps in prop::collection::vec(step(), 1..60),
        at in 0usize..60,
    ) {
        let mut model = Model::new();
        let mut other: Option<Model> = None;
        for (nth, step) in steps.iter().enumerate() {
            if nth == at {
                other = Some(model.restored());
            }
            model.take(step);
            if let Some(other) = &mut other {
                other.take(step);
                prop_assert_eq!(&other.outcome, &model.outcome);
                prop_assert!(other.sched == model.sched);
            }
        }
    }

    #[test]
    fn shares_of_endless_demands_follow_the_weights(weights in prop::collection::vec(1u32..6, 2..5)) {
        let mut model = Model::new();
        for index in 0..20 {
            model.sched.add_agent(a(index), agent("cpus:10;mem:10000"), &[]);
        }
        for (key, weight) in weights.iter().enumerate() {
            let role = format!("w{key}");
            model.sched.set_weight(&role, f64::from(*weight)).unwrap();
            let stated = demand(&role, "cpus:1;mem:10", 1_000_000);
            model.sched.set_demand(NATIVE, DemandKey(key as u64), stated);
        }
        model.sched.allocate(model.now, &mut Vec::new());
        let sum: u32 = weights.iter().sum();
        for (key, weight) in weights.iter().enumerate() {
            let got = model.sched.share_of(&format!("w{key}")).unwrap().share;
            let due = f64::from(*weight) / f64::from(sum);
            prop_assert!((got - due).abs() <= weights.len() as f64 / 200.0, "{} has {} of {}", key, got, due);
        }
    }
}
