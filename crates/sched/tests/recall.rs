//! Offers that lie are taken back for those who starve, and never to and fro.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_resource::{Name, Scalar};
use mezz_sched::{
    Config, DemandKey, FrameworkIndex, FrameworkSpec, Grant, Limits, Outstanding, Scheduler,
};
use proptest::prelude::*;
use support::{FLOOR, SECOND, a, agent, demand, f, framework, of_role, qty, with_minimum};

/// What a framework does with its offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It never answers.
    Silent,
    /// It declines at once, for a time that runs out at once.
    Declines,
    /// It uses all of it for a while.
    Works,
}

/// A ledger, and a caller that asks ten times a second what is to be recalled.
struct World {
    sched: Scheduler,
    now: u64,
    manners: Vec<Manner>,
    offers: Vec<(u64, Grant)>,
    tasks: Vec<(u64, Grant)>,
    recalled: Vec<Grant>,
}

impl World {
    fn new(agents: u32) -> Self {
        let mut sched = Scheduler::new(Config::default());
        for index in 0..agents {
            sched.add_agent(a(index), agent("cpus:4;mem:4096;ports:[31000-31009]"), &[]);
        }
        Self {
            sched,
            now: SECOND,
            manners: Vec::new(),
            offers: Vec::new(),
            tasks: Vec::new(),
            recalled: Vec::new(),
        }
    }

    fn join(&mut self, manner: Manner, spec: FrameworkSpec) -> FrameworkIndex {
        let index = f(u32::try_from(self.manners.len()).unwrap());
        self.manners.push(manner);
        self.sched.add_framework(index, spec, true);
        index
    }

    fn tick(&mut self) {
        self.now += FLOOR;
        let now = self.now;
        for (_, task) in self.tasks.extract_if(.., |(end, _)| *end <= now) {
            self.sched
                .release(now, task.framework, task.agent, &task.resources);
        }
        let mut grants = Vec::new();
        self.sched.allocate(now, &mut grants);
        for grant in grants {
            self.answer(grant);
        }
        self.recall();
        self.sched.check_integrity().unwrap();
    }

    fn answer(&mut self, grant: Grant) {
        let (framework, agent, now) = (grant.framework, grant.agent, self.now);
        match self.manners[framework.0 as usize] {
            Manner::Silent => self.offers.push((now, grant)),
            Manner::Declines => {
                self.sched.declined(framework);
                self.sched
                    .recover(now, framework, agent, &grant.resources, Some(0));
                self.sched.offers_ended(framework);
            }
            Manner::Works => {
                self.sched.mark_used(framework, agent, &grant.resources);
                self.tasks.push((now + 2 * SECOND, grant));
                self.sched.offers_ended(framework);
            }
        }
    }

    fn recall(&mut self) {
        let ripe = self
            .offers
            .iter()
            .filter(|(made, _)| made + SECOND <= self.now);
        let ripe: Vec<Outstanding<'_>> = ripe
            .map(|(_, grant)| Outstanding {
                framework: grant.framework,
                agent: grant.agent,
                resources: &grant.resources,
            })
            .collect();
        let found = self.sched.offers_to_recall(self.now, &ripe);
        let mut grants = Vec::new();
        for recall in &found {
            let offer = ripe[recall.offer];
            self.sched.recall(self.now, *recall, offer, &mut grants);
        }
        assert_eq!(
            grants.len(),
            found.len(),
            "each goes to the one for whom it is"
        );
        let mut gone: Vec<usize> = found.iter().map(|recall| recall.offer).collect();
        gone.sort_unstable();
        for nth in gone.into_iter().rev() {
            let (_, grant) = self.offers.remove(nth);
            if self.held_by(grant.framework) == 0 {
                self.sched.offers_ended(grant.framework);
            }
            self.recalled.push(grant);
        }
        for grant in grants {
            self.answer(grant);
        }
    }

    fn held_by(&self, framework: FrameworkIndex) -> usize {
        let own = |(_, grant): &&(u64, Grant)| grant.framework == framework;
        self.offers.iter().filter(own).count()
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * SECOND / FLOOR {
            self.tick();
        }
    }
}

#[test]
fn one_who_waits_gets_an_offer_that_another_lets_lie_and_no_more_than_one_at_a_time() {
    let mut world = World::new(3);
    let idle = world.join(Manner::Silent, framework(&["a"]));
    world.tick();
    assert_eq!(world.held_by(idle), 3);
    let late = world.join(Manner::Silent, framework(&["b"]));
    for _ in 0..9 {
        world.tick();
    }
    assert!(world.recalled.is_empty(), "an offer stands for a second");
    world.pass(10);
    assert_eq!(world.recalled.len(), 1);
    assert_eq!((world.held_by(idle), world.held_by(late)), (2, 1));
}

#[test]
fn for_one_who_declines_an_offer_is_recalled_only_once() {
    let mut world = World::new(3);
    world.join(Manner::Silent, framework(&["a"]));
    world.tick();
    let picky = world.join(Manner::Declines, framework(&["b"]));
    world.pass(10);
    assert_eq!(world.recalled.len(), 1);
    world.sched.revive(picky, &[]);
    world.pass(10);
    assert_eq!(world.recalled.len(), 2, "it has asked again");
}

#[test]
fn nothing_is_recalled_for_one_who_could_not_use_it() {
    let unfit: [(Manner, FrameworkSpec); 2] = [
        (
            Manner::Works,
            with_minimum(framework(&["b"]), "b", &["cpus:5"]),
        ),
        (Manner::Works, framework(&["nothing"])),
    ];
    for (manner, spec) in unfit {
        let mut world = World::new(2);
        let names = [Name::Cpus, Name::Mem, Name::Ports];
        let limits: Limits = names.map(|name| (name, Scalar::ZERO)).into_iter().collect();
        world.sched.set_quota("nothing", &qty(""), limits);
        world.join(Manner::Silent, framework(&["a"]));
        world.tick();
        world.join(manner, spec.clone());
        world.pass(10);
        assert!(world.recalled.is_empty(), "{manner:?} {spec:?}");
    }
}

#[test]
fn a_quota_that_the_idle_one_holds_is_free_for_the_one_who_waits() {
    let mut world = World::new(2);
    world
        .sched
        .set_quota("team", &qty(""), &qty("cpus:4;mem:4096"));
    world.join(Manner::Silent, framework(&["team/a"]));
    world.tick();
    let late = world.join(Manner::Works, framework(&["team/b"]));
    world.pass(2);
    assert_eq!(world.recalled.len(), 1);
    assert!(world.tasks.iter().all(|(_, task)| task.framework == late));
}

#[test]
fn for_a_request_the_fewest_offers_of_one_agent_are_in_the_way() {
    let mut sched = Scheduler::new(Config::default());
    sched.add_agent(a(0), agent("cpus:4;mem:4096"), &[]);
    sched.add_agent(a(1), agent("cpus:4;mem:4096"), &[]);
    let offers = [
        (0, "cpus:2;mem:2048"),
        (0, "cpus:2;mem:2048"),
        (1, "cpus:4;mem:4096"),
    ];
    let offers: Vec<_> = offers
        .iter()
        .map(|(agent, text)| (*agent, of_role(text, "r")))
        .collect();
    for (agent, resources) in &offers {
        sched.charge(f(0), a(*agent), resources);
        sched.mark_unused(f(0), a(*agent), resources);
    }
    let outstanding: Vec<_> = offers
        .iter()
        .map(|(agent, resources)| Outstanding {
            framework: f(0),
            agent: a(*agent),
            resources,
        })
        .collect();
    let found = |request: &str| {
        let mut sched = sched.clone();
        sched.set_demand(f(9), DemandKey(1), demand("native", request, 1));
        sched.allocate(SECOND, &mut Vec::new());
        sched.offers_in_the_way_of_demands(SECOND, &outstanding)
    };
    assert_eq!(found("cpus:3"), [2]);
    assert_eq!(found("cpus:2"), [0]);
    assert!(found("cpus:5").is_empty(), "it would not help");
}

fn manner() -> impl Strategy<Value = Manner> {
    prop::sample::select(vec![Manner::Silent, Manner::Declines, Manner::Works])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn those_who_never_use_anything_do_not_take_offers_from_each_other_for_ever(
        agents in 1u32..8,
        manners in prop::collection::vec((manner(), 0u32..3), 1..8),
    ) {
        let mut world = World::new(agents);
        for (nth, (manner, role)) in manners.iter().enumerate() {
            let idle = if *manner == Manner::Works { Manner::Silent } else { *manner };
            world.join(idle, framework(&[&format!("role{role}")]));
            if nth % 2 == 0 {
                world.pass(1);
            }
        }
        world.pass(10);
        prop_assert!(world.recalled.len() <= manners.len());
        let before = world.recalled.len();
        world.pass(20);
        prop_assert_eq!(world.recalled.len(), before);
    }

    #[test]
    fn one_who_would_work_does_not_starve_behind_those_who_let_offers_lie(
        agents in 1u32..8,
        manners in prop::collection::vec((manner(), 0u32..3), 1..8),
    ) {
        let mut world = World::new(agents);
        for (manner, role) in &manners {
            world.join(*manner, framework(&[&format!("role{role}")]));
        }
        world.pass(1);
        let late = world.join(Manner::Works, framework(&["late"]));
        let mut worked = false;
        for _ in 0..50 {
            world.tick();
            worked |= world.tasks.iter().any(|(_, task)| task.framework == late);
        }
        prop_assert!(worked);
    }
}
