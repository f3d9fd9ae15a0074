//! Nobody starves: those who wait for a large offer, and those behind others who decline everything.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_sched::{Config, Grant, Reason};
use support::{FLOOR, Lab, SECOND, a, f, framework, of_role, with_minimum};

/// A cluster in which small tasks of one framework end and are replaced one at a time.
struct Churn {
    lab: Lab,
    tasks: Vec<u32>,
    dice: u64,
}

impl Churn {
    fn new(agents: u32, config: Config) -> Self {
        let mut lab = Lab::with(config);
        for index in 0..agents {
            lab.agent(index, "cpus:4;mem:4096");
        }
        lab.framework(0, &["small"]);
        let mut churn = Self {
            lab,
            tasks: Vec::new(),
            dice: 7,
        };
        churn.fill();
        churn
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.dice >> 33).unwrap() % sides
    }

    /// Runs tasks in all that the small framework is offered; returns what others are offered.
    fn fill(&mut self) -> Vec<Grant> {
        let mut others = Vec::new();
        for grant in self.lab.cycle() {
            if grant.framework != f(0) {
                others.push(grant);
                continue;
            }
            let count = grant.resources.scalar("cpus").0 / 1000;
            self.lab
                .sched
                .mark_used(grant.framework, grant.agent, &grant.resources);
            self.tasks.extend((0..count).map(|_| grant.agent.0));
        }
        others
    }

    fn end_one(&mut self) {
        let which = self.roll(self.tasks.len());
        let agent = self.tasks.swap_remove(which);
        self.lab.sched.release(
            self.lab.now,
            f(0),
            a(agent),
            &of_role("cpus:1;mem:1024", "small"),
        );
        self.lab.pass(10 * FLOOR);
    }
}

#[test]
fn one_that_waits_for_a_whole_agent_is_not_starved_by_small_tasks() {
    let mut churn = Churn::new(20, Config::default());
    let large = with_minimum(framework(&["large"]), "large", &["cpus:4"]);
    churn.lab.sched.add_framework(f(1), large, true);
    for _ in 0..2000 {
        churn.end_one();
        let others = churn.fill();
        assert!(churn.lab.sched.earmarks().count() <= 2);
        assert!(churn.tasks.len() >= 76, "the others go on working");
        if let Some(grant) = others.first() {
            assert_eq!(grant.framework, f(1));
            assert_eq!(grant.resources.scalar("cpus").0, 4000);
            assert_eq!(
                churn.lab.sched.earmarks().count(),
                0,
                "the agent is no longer kept"
            );
            return;
        }
    }
    panic!("the large framework starved");
}

#[test]
fn without_the_earmark_it_would_starve() {
    let mut churn = Churn::new(
        20,
        Config {
            earmark_ns: 0,
            ..Config::default()
        },
    );
    let large = with_minimum(framework(&["large"]), "large", &["cpus:4"]);
    churn.lab.sched.add_framework(f(1), large, true);
    for _ in 0..2000 {
        churn.end_one();
        assert!(churn.fill().is_empty());
    }
}

#[test]
fn an_earmark_ends_after_a_time_and_rests_as_long() {
    let mut lab = Lab::new();
    lab.framework(0, &["small"]).agent(0, "cpus:4;mem:4096");
    let grant = lab.cycle().remove(0);
    lab.sched.mark_used(f(0), a(0), &grant.resources);
    lab.sched.add_framework(
        f(1),
        with_minimum(framework(&["large"]), "large", &["cpus:4"]),
        true,
    );
    lab.sched
        .release(lab.now, f(0), a(0), &of_role("cpus:1;mem:1024", "small"));
    assert!(lab.offers().is_empty(), "the agent is kept");
    let why = lab.sched.explain(lab.now, f(0), "small");
    assert_eq!(why, [Reason::Earmarked { agents: 1 }]);
    let until = lab.sched.earmarks().next().unwrap().until_ns;
    assert_eq!(lab.sched.next_deadline(), Some(until));
    lab.now = until;
    assert_eq!(lab.offers(), ["f0@a0 small: cpus:1; mem:1024"]);
    assert_eq!(lab.sched.earmarks().count(), 0);
}

#[test]
fn an_earmark_ends_with_the_wish() {
    let mut lab = Lab::new();
    lab.framework(0, &["small"]).agent(0, "cpus:4;mem:4096");
    let grant = lab.cycle().remove(0);
    lab.sched.mark_used(f(0), a(0), &grant.resources);
    lab.sched.add_framework(
        f(1),
        with_minimum(framework(&["large"]), "large", &["cpus:4"]),
        true,
    );
    lab.sched
        .release(lab.now, f(0), a(0), &of_role("cpus:1;mem:1024", "small"));
    assert!(lab.offers().is_empty());
    lab.sched.suppress(f(1), &[]);
    assert_eq!(lab.offers().len(), 1);
}

#[test]
fn nothing_is_kept_for_one_whom_no_agent_could_ever_hold() {
    let mut lab = Lab::new();
    lab.sched.add_framework(
        f(1),
        with_minimum(framework(&["large"]), "large", &["cpus:64"]),
        true,
    );
    lab.framework(0, &["small"]).agent(0, "cpus:4;mem:4096");
    assert_eq!(lab.cycle()[0].framework, f(0));
    assert_eq!(lab.sched.earmarks().count(), 0);
    let why = lab.sched.explain(lab.now, f(1), "large");
    assert_eq!(
        why[0].to_string(),
        "no agent is as large as the framework's smallest offer (cpus:64)"
    );
}

#[test]
fn those_who_decline_everything_do_not_starve_the_others() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:4096");
    for index in 0..20 {
        lab.framework(index, &["picky"]);
    }
    lab.framework(20, &["z"]).framework(21, &["picky"]);
    let mut served = std::collections::BTreeSet::new();
    for _ in 0..60 {
        for grant in lab.cycle() {
            served.insert(grant.framework);
            lab.decline(&grant, 0);
        }
        lab.pass(FLOOR);
    }
    assert_eq!(served.len(), 22);
}

#[test]
fn a_framework_that_declines_everything_costs_little() {
    let mut lab = Lab::new();
    for index in 0..100 {
        lab.agent(index, "cpus:4;mem:4096");
    }
    lab.framework(0, &["r"]);
    let before = lab.sched.stats();
    // One second, in which the caller runs a cycle whenever something is due.
    let end = lab.now + SECOND;
    while lab.now < end {
        for grant in lab.cycle() {
            lab.decline(&grant, 0);
        }
        lab.cycle();
        lab.now = lab.sched.next_deadline().unwrap();
    }
    let visited = lab.sched.stats().agents_visited - before.agents_visited;
    assert!(
        visited <= 100 * 10 * 2,
        "each agent at most twice in every 100 ms, not {visited}"
    );
}
