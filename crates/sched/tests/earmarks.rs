//! Large requests: served in bounded time whatever small work goes on, at no cost to it but the agents that are kept.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_sched::Grant;
use proptest::prelude::*;
use std::collections::BTreeSet;
use support::{Lab, SECOND, a, f, framework, of_role, with_minimum};

/// The frameworks from here on wait for something large.
const FIRST_LARGE: u32 = 10;

/// A cluster that small tasks fill completely; each of them ends after a time and is replaced at once.
struct Cluster {
    lab: Lab,
    agents: u32,
    longest: u64,
    /// Framework, agent, cpus, and when it ends.
    tasks: Vec<(u32, u32, i64, u64)>,
    waiting: BTreeSet<u32>,
    tick: u64,
    dice: u64,
}

impl Cluster {
    fn new(agents: u32, small: u32, longest: u64, seed: u64) -> Self {
        let mut lab = Lab::new();
        for index in 0..agents {
            lab.agent(index, "cpus:4;mem:4096");
        }
        for index in 0..small {
            lab.framework(index, &[&role(index)]);
        }
        let mut cluster = Self {
            lab,
            agents,
            longest,
            tasks: Vec::new(),
            waiting: BTreeSet::new(),
            tick: 0,
            dice: seed,
        };
        cluster.fill();
        cluster
    }

    fn large(&mut self, count: u32, cpus: i64) {
        for index in FIRST_LARGE..FIRST_LARGE + count {
            let minimum = format!("cpus:{cpus}");
            let spec = with_minimum(framework(&[&role(index)]), &role(index), &[&minimum]);
            self.lab.sched.add_framework(f(index), spec, true);
            self.waiting.insert(index);
        }
    }

    fn life(&mut self) -> u64 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        1 + (self.dice >> 33) % self.longest
    }

    /// All that is offered is used, in tasks of one cpu or as one large task.
    fn fill(&mut self) {
        let mut grants = self.lab.cycle();
        while let Some(grant) = grants.pop() {
            let cpus = grant.resources.scalar("cpus").0 / 1000;
            let whole = of_role(&load(cpus), &grant.role);
            assert_eq!(
                grant.resources, whole,
                "everything is counted in whole cpus"
            );
            self.lab
                .sched
                .mark_used(grant.framework, grant.agent, &whole);
            self.run(&grant, cpus);
            // Whoever has enough lets go of the agent that was kept for it.
            if grants.is_empty() && self.lab.sched.is_dirty() {
                grants = self.lab.cycle();
            }
        }
    }

    fn run(&mut self, grant: &Grant, cpus: i64) {
        let (framework, agent) = (grant.framework.0, grant.agent.0);
        if self.waiting.remove(&framework) {
            self.lab.sched.suppress(f(framework), &[]);
            let end = self.tick + self.life();
            self.tasks.push((framework, agent, cpus, end));
            return;
        }
        for _ in 0..cpus {
            let end = self.tick + self.life();
            self.tasks.push((framework, agent, 1, end));
        }
    }

    /// A second passes: what has come to its end makes room for others.
    fn pass(&mut self) {
        self.tick += 1;
        self.lab.pass(SECOND);
        let now = self.tick;
        for (framework, agent, cpus, _) in self.tasks.extract_if(.., |task| task.3 <= now) {
            let freed = of_role(&load(cpus), &role(framework));
            let sched = &mut self.lab.sched;
            sched.release(self.lab.now, f(framework), a(agent), &freed);
        }
        self.fill();
        self.check();
    }

    fn check(&self) {
        let earmarks: Vec<_> = self.lab.sched.earmarks().collect();
        let agents: BTreeSet<_> = earmarks.iter().map(|earmark| earmark.agent).collect();
        let holders: BTreeSet<_> = earmarks.iter().map(|earmark| earmark.framework).collect();
        assert_eq!(agents.len(), earmarks.len(), "no agent is kept for two");
        assert_eq!(holders.len(), earmarks.len(), "nobody has two agents kept");
        assert!(earmarks.len() <= self.agents.div_ceil(10) as usize);
        for index in (0..self.agents).filter(|index| !agents.contains(&a(*index))) {
            let idle = self.lab.sched.available(a(index));
            assert!(idle.is_empty(), "small work goes on where nothing is kept");
        }
    }
}

fn role(framework: u32) -> String {
    let kind = if framework < FIRST_LARGE {
        "small"
    } else {
        "large"
    };
    format!("{kind}{framework}")
}

fn load(cpus: i64) -> String {
    format!("cpus:{cpus};mem:{}", cpus * 1024)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn large_requests_are_served_in_bounded_time_while_small_work_goes_on(
        agents in 1u32..25,
        small in 1u32..4,
        large in 1u32..4,
        cpus in 2i64..=4,
        longest in 1u64..20,
        seed in any::<u64>(),
    ) {
        let mut cluster = Cluster::new(agents, small, longest, seed);
        cluster.large(large, cpus);
        // Each waits for the tasks of one agent to end, and perhaps for that of another large one before it.
        let bound = u64::from(large) * (longest + 2) + 1;
        while !cluster.waiting.is_empty() {
            prop_assert!(cluster.tick <= bound, "{:?} wait after {bound} s", cluster.waiting);
            cluster.pass();
        }
        prop_assert_eq!(cluster.lab.sched.earmarks().count(), 0);
    }
}
