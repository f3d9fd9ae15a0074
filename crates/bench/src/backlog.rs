//! The ledger's queue of demands under load: many instances of one demand on many agents.

use std::sync::Arc;

use mezz_resource::Resources;
use mezz_sched::{
    AgentIndex, AgentSpec, Config, Demand, DemandKey, DemandPlacement, FrameworkIndex, GroupKey,
    PlaceKey, PortsWanted, Preemption, Rules, Scheduler, Spread,
};

const ZONES: u32 = 3;

/// What is asked for beside room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Nothing.
    Plain,
    /// One port, at most so many to a host, and zones that are filled evenly.
    Ruled,
}

/// A cluster with a demand that has yet to be placed.
#[derive(Debug, Clone)]
pub struct Backlog {
    sched: Scheduler,
    demand: Demand,
    placed: Vec<DemandPlacement>,
}

impl Backlog {
    /// So many agents, all of them free, and so many instances wanted.
    pub fn new(agents: u32, count: u64, shape: Shape) -> Self {
        let mut sched = Scheduler::new(Config::default());
        for index in 0..agents {
            sched.add_agent(AgentIndex(index), agent(index), &[]);
        }
        sched.allocate(1, &mut Vec::new());
        let demand = Demand {
            role: "team".into(),
            priority: 0,
            count,
            gang: false,
            request: Arc::new(resources("cpus:0.5;mem:256")),
            ports: PortsWanted {
                any: u32::from(shape == Shape::Ruled),
                ..PortsWanted::default()
            },
            group: GroupKey(1),
            rules: Arc::new(rules(shape, agents, count)),
            preempts: Preemption::Nothing,
            preemptible: false,
        };
        Self {
            sched,
            demand,
            placed: Vec::new(),
        }
    }

    /// States the demand and places it; the number of placements.
    #[inline(never)]
    pub fn place(&mut self) -> usize {
        self.sched
            .set_demand(FrameworkIndex(0), DemandKey(1), self.demand.clone());
        self.sched.allocate(1, &mut Vec::new());
        self.placed
            .extend(std::iter::from_fn(|| self.sched.take_placement()));
        self.placed.len()
    }

    /// One instance ends and another takes its place; the number of placements, which is 1.
    #[inline(never)]
    pub fn replace_one(&mut self) -> usize {
        let Some(own) = self.placed.pop() else {
            return 0;
        };
        self.sched.instance_removed(own.instance);
        self.sched
            .release(1, own.framework, own.agent, &own.resources);
        self.sched.allocate(1, &mut Vec::new());
        let before = self.placed.len();
        self.placed
            .extend(std::iter::from_fn(|| self.sched.take_placement()));
        self.placed.len() - before
    }
}

fn rules(shape: Shape, agents: u32, count: u64) -> Rules {
    if shape == Shape::Plain {
        return Rules::default();
    }
    let per_host = u32::try_from(count).unwrap_or(u32::MAX).div_ceil(agents);
    Rules {
        spread: vec![
            Spread {
                key: PlaceKey::Hostname,
                max_per: Some(2 * per_host),
                max_skew: None,
                expected: None,
            },
            Spread {
                key: PlaceKey::Attribute("zone".into()),
                max_per: None,
                max_skew: Some(1),
                expected: None,
            },
        ],
        ..Rules::default()
    }
}

fn resources(text: &str) -> Resources {
    mezz_resource::parse(text, "*").expect("a well-formed text")
}

fn agent(index: u32) -> AgentSpec {
    let attributes = format!("zone:z{}", index % ZONES);
    AgentSpec {
        total: resources("cpus:16;mem:65536;disk:100000;ports:[31000-32000]"),
        attributes: mezz_resource::attributes::parse(&attributes).expect("a well-formed text"),
        hostname: format!("node-{index}"),
        ..AgentSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wanted_finds_its_place_and_what_ends_is_followed_by_another() {
        for shape in [Shape::Plain, Shape::Ruled] {
            let mut backlog = Backlog::new(30, 300, shape);
            assert_eq!(backlog.place(), 300);
            let mut backlog = Backlog::new(30, 10_000, shape);
            let placed = backlog.place();
            assert!(placed < 10_000);
            assert_eq!((0..50).map(|_| backlog.replace_one()).sum::<usize>(), 50);
        }
    }
}
