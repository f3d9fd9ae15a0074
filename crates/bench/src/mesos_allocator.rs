//! The allocator benchmarks of Mesos's own test suite, with its parameters, against the ledger; its results stand beside.
//!
//! Those are from one run of Mesos's commit c1b42f79d on a machine of the same kind; an allocation there ends with a
//! callback for each framework, as one here ends with a list of grants. What an allocation is there, a cycle over all
//! agents, is asked for here by touching a quota.

use mezz_resource::{Quantities, Resources};
use mezz_sched::{
    AgentIndex, AgentSpec, Capability, Config, FrameworkIndex, FrameworkSpec, Grant, Scheduler,
};

use crate::cycles::timed;
use crate::measures::Line;

/// As long as Mesos's benchmarks refuse for.
const REFUSAL_NS: u64 = 1_000 * 3_600 * 1_000_000_000;
const AGENT: &str = "cpus:24;mem:4096;disk:4096;ports:[31000-31099,31200-31299,31400-31499,31600-31699,31800-31899]";

struct Lab {
    sched: Scheduler,
    grants: Vec<Grant>,
    frameworks: u32,
}

impl Lab {
    fn new(agents: u32, frameworks: u32, agent: &str) -> Self {
        let mut lab = Self {
            sched: Scheduler::new(Config::default()),
            grants: Vec::new(),
            frameworks,
        };
        for index in 0..frameworks {
            let spec = FrameworkSpec {
                roles: vec!["*".to_owned()],
                capabilities: [Capability::MultiRole, Capability::RevocableResources]
                    .into_iter()
                    .collect(),
                ..FrameworkSpec::default()
            };
            lab.sched.add_framework(FrameworkIndex(index), spec, true);
        }
        let total = resources(agent);
        for index in 0..agents {
            lab.sched
                .add_agent(AgentIndex(index), spec(total.clone()), &[]);
        }
        lab
    }

    fn cycle(&mut self) -> usize {
        self.grants.clear();
        self.sched.allocate(1, &mut self.grants);
        self.grants.len()
    }

    /// A cycle over all agents, whether anything changed or not.
    fn full_cycle(&mut self) -> usize {
        self.sched
            .set_quota("*", &Quantities::new(), &Quantities::new());
        self.cycle()
    }

    fn give_back(&mut self, refuse_ns: Option<u64>) {
        for grant in self.grants.drain(..) {
            self.sched
                .recover(1, grant.framework, grant.agent, &grant.resources, refuse_ns);
        }
    }
}

fn resources(text: &str) -> Resources {
    mezz_resource::parse(text, "*").expect("a well-formed text")
}

fn spec(total: Resources) -> AgentSpec {
    AgentSpec {
        total,
        ..AgentSpec::default()
    }
}

fn row(test: &str, agents: u32, frameworks: u32, value: String, mesos: &str) -> Line {
    Line {
        what: format!("{test}, {agents} agents x {frameworks} frameworks"),
        value,
        against: format!("Mesos {mesos}"),
    }
}

fn milliseconds(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// All of them.
pub(crate) fn all() -> Vec<Line> {
    let mut lines = Vec::new();
    for (agents, frameworks, mesos) in [
        (1_000, 200, "55 ms; update 40 ms"),
        (10_000, 50, "665 ms; update 630 ms"),
        (10_000, 200, "798 ms; update 818 ms"),
    ] {
        lines.push(add_and_update(agents, frameworks, mesos));
    }
    for (agents, frameworks, mesos) in [
        (1_000, 50, "35 ms; 345 to 410 ms"),
        (1_000, 200, "42 ms; 1600 ms"),
        (10_000, 50, "415 ms; above 1090 ms (stopped)"),
    ] {
        lines.push(decline("DeclineOffers", AGENT, (agents, frameworks), mesos));
    }
    for (agents, frameworks, mesos) in [
        (1_000, 50, "44 ms; 417 ms"),
        (10_000, 50, "501 ms; above 898 ms (stopped)"),
    ] {
        lines.push(decline(
            "ResourceLabels",
            LABELLED,
            (agents, frameworks),
            mesos,
        ));
    }
    for (agents, frameworks, mesos) in [
        (1_000, 50, "34 to 49 ms; 7.1 ms"),
        (1_000, 200, "35 to 56 ms; 4.0 ms"),
        (10_000, 50, "370 to 601 ms; 143 ms"),
    ] {
        lines.push(suppress(agents, frameworks, mesos));
    }
    for (agents, frameworks, mesos) in [(1_000, 200, "509 ms"), (10_000, 200, "5440 ms")] {
        lines.push(quota(agents, frameworks, mesos));
    }
    lines
}

/// Every agent is added, then given revocable resources; a cycle follows each.
fn add_and_update(agents: u32, frameworks: u32, mesos: &str) -> Line {
    let mut lab = Lab::new(0, frameworks, AGENT);
    let total = resources("cpus:2;mem:1024");
    let (added, ()) = timed(|| {
        for index in 0..agents {
            lab.sched
                .add_agent(AgentIndex(index), spec(total.clone()), &[]);
            lab.cycle();
        }
    });
    let more = r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":10},"revocable":{}}]"#;
    let more = total + resources(more);
    let (updated, ()) = timed(|| {
        for index in 0..agents {
            lab.sched
                .update_agent_total(AgentIndex(index), more.clone());
            lab.cycle();
        }
    });
    let value = format!(
        "{:.1} ms; update {:.1} ms",
        milliseconds(added),
        milliseconds(updated)
    );
    row("AddAndUpdateSlave", agents, frameworks, value, mesos)
}

/// Two dynamic reservations with labels beside the rest.
const LABELLED: &str = r#"[
 {"name":"cpus","type":"SCALAR","scalar":{"value":16}},
 {"name":"mem","type":"SCALAR","scalar":{"value":2048}},
 {"name":"cpus","type":"SCALAR","scalar":{"value":4},"reservations":[{"type":"DYNAMIC","role":"other","labels":{"labels":[{"key":"a","value":"1"}]}}]},
 {"name":"mem","type":"SCALAR","scalar":{"value":1024},"reservations":[{"type":"DYNAMIC","role":"other","labels":{"labels":[{"key":"a","value":"1"}]}}]},
 {"name":"cpus","type":"SCALAR","scalar":{"value":4},"reservations":[{"type":"DYNAMIC","role":"other","labels":{"labels":[{"key":"b","value":"2"}]}}]},
 {"name":"mem","type":"SCALAR","scalar":{"value":1024},"reservations":[{"type":"DYNAMIC","role":"other","labels":{"labels":[{"key":"b","value":"2"}]}}]}
]"#;

/// Everybody declines everything until all is refused: the first cycle, and one over refusals only.
fn decline(test: &str, agent: &str, (agents, frameworks): (u32, u32), mesos: &str) -> Line {
    let mut lab = Lab::new(agents, frameworks, agent);
    let (first, _) = timed(|| lab.cycle());
    lab.give_back(Some(REFUSAL_NS));
    while lab.cycle() > 0 {
        lab.give_back(Some(REFUSAL_NS));
    }
    let (refused, offers) = timed(|| lab.full_cycle());
    debug_assert_eq!(offers, 0, "all is refused");
    let value = format!(
        "first {:.1} ms; all refused {:.1} ms",
        milliseconds(first),
        milliseconds(refused)
    );
    row(test, agents, frameworks, value, mesos)
}

/// A fifth of the frameworks after the other falls silent: the longest cycle, and one when all are silent.
fn suppress(agents: u32, frameworks: u32, mesos: &str) -> Line {
    let mut lab = Lab::new(agents, frameworks, AGENT);
    lab.cycle();
    let mut longest = std::time::Duration::ZERO;
    for part in 0..4 {
        for index in part * frameworks / 5..(part + 1) * frameworks / 5 {
            lab.sched.suppress(FrameworkIndex(index), &[]);
        }
        lab.give_back(None);
        longest = longest.max(timed(|| lab.cycle()).0);
    }
    for index in 0..lab.frameworks {
        lab.sched.suppress(FrameworkIndex(index), &[]);
    }
    lab.give_back(None);
    let (silent, _) = timed(|| lab.cycle());
    let value = format!(
        "at most {:.1} ms; all silent {:.1} ms",
        milliseconds(longest),
        milliseconds(silent)
    );
    row("SuppressOffers", agents, frameworks, value, mesos)
}

/// A quota for each of as many roles as frameworks; all agents are added, with a cycle after each.
fn quota(agents: u32, frameworks: u32, mesos: &str) -> Line {
    let mut lab = Lab::new(0, 0, AGENT);
    for index in 0..frameworks {
        let role = format!("role{index}");
        let limits = Quantities::parse("cpus:100000;mem:100000000").expect("well-formed");
        let guarantees = Quantities::parse("cpus:1;mem:1024").expect("well-formed");
        lab.sched.set_quota(&role, &guarantees, &limits);
        let spec = FrameworkSpec {
            roles: vec![role],
            ..FrameworkSpec::default()
        };
        lab.sched.add_framework(FrameworkIndex(index), spec, true);
    }
    let total = resources(AGENT);
    let (added, ()) = timed(|| {
        for index in 0..agents {
            lab.sched
                .add_agent(AgentIndex(index), spec(total.clone()), &[]);
            lab.cycle();
        }
    });
    let value = format!("{:.1} ms", milliseconds(added));
    row("adding agents with quota", agents, frameworks, value, mesos)
}
