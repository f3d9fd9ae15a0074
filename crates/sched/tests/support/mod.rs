//! Short ways to build agents and frameworks for tests of the ledger.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use mezz_resource::{Quantities, Resources, parse};
use mezz_sched::{
    AgentIndex, AgentSpec, Capability, Config, Demand, DemandKey, DemandPlacement, FaultDomain,
    FrameworkIndex, FrameworkSpec, Grant, GroupKey, PlaceKey, PlaceTest, PortsWanted, Preemption,
    Refusals, Rule, Rules, Scheduler,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub const SECOND: u64 = 1_000_000_000;
pub const FLOOR: u64 = 100_000_000;

pub fn res(text: &str) -> Resources {
    parse(text, "*").unwrap()
}

pub fn of_role(text: &str, role: &str) -> Resources {
    res(text).allocated_to(&Arc::from(role))
}

pub fn qty(text: &str) -> Quantities {
    Quantities::parse(text).unwrap()
}

pub fn agent(text: &str) -> AgentSpec {
    AgentSpec {
        total: res(text),
        ..AgentSpec::default()
    }
}

pub fn framework(roles: &[&str]) -> FrameworkSpec {
    FrameworkSpec {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        capabilities: [Capability::MultiRole, Capability::ReservationRefinement]
            .into_iter()
            .collect(),
        ..FrameworkSpec::default()
    }
}

pub fn with_minimum(mut spec: FrameworkSpec, role: &str, minimum: &[&str]) -> FrameworkSpec {
    spec.min_allocatable.insert(
        role.to_owned(),
        minimum.iter().map(|text| qty(text)).collect(),
    );
    spec
}

pub const fn a(index: u32) -> AgentIndex {
    AgentIndex(index)
}

pub const fn f(index: u32) -> FrameworkIndex {
    FrameworkIndex(index)
}

/// A ledger with a clock that the test moves.
pub struct Lab {
    pub sched: Scheduler,
    pub now: u64,
}

impl Lab {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        Self {
            sched: Scheduler::new(config),
            now: SECOND,
        }
    }

    pub fn agent(&mut self, index: u32, text: &str) -> &mut Self {
        self.sched.add_agent(a(index), agent(text), &[]);
        self
    }

    pub fn framework(&mut self, index: u32, roles: &[&str]) -> &mut Self {
        self.sched.add_framework(f(index), framework(roles), true);
        self
    }

    /// One cycle; the ledger must be sound after it.
    pub fn cycle(&mut self) -> Vec<Grant> {
        let mut grants = Vec::new();
        self.sched.allocate(self.now, &mut grants);
        self.sched.check_integrity().unwrap();
        grants
    }

    /// One cycle in the short form `framework@agent role: resources`.
    pub fn offers(&mut self) -> Vec<String> {
        self.cycle().iter().map(show).collect()
    }

    pub fn decline(&mut self, grant: &Grant, refuse_ns: u64) {
        self.sched.recover(
            self.now,
            grant.framework,
            grant.agent,
            &grant.resources,
            Some(refuse_ns),
        );
        self.sched.check_integrity().unwrap();
    }

    /// Accepts a part of an offer; the rest goes back at once.
    pub fn accept(&mut self, grant: &Grant, part: &str) {
        let used = of_role(part, &grant.role);
        let rest = grant.resources.subtract(&used).unwrap();
        self.sched.mark_used(grant.framework, grant.agent, &used);
        self.sched
            .recover(self.now, grant.framework, grant.agent, &rest, None);
        self.sched.check_integrity().unwrap();
    }

    pub fn pass(&mut self, nanos: u64) -> &mut Self {
        self.now += nanos;
        self
    }
}

pub fn show(grant: &Grant) -> String {
    format!(
        "f{}@a{} {}: {}",
        grant.framework.0,
        grant.agent.0,
        grant.role,
        grant.resources.unallocated()
    )
}

/// One instance of a demand in the role, with nothing else asked for.
pub fn demand(role: &str, request: &str, count: u64) -> Demand {
    Demand {
        role: role.into(),
        priority: 0,
        count,
        gang: false,
        request: Arc::new(res(request)),
        ports: PortsWanted::default(),
        group: GroupKey(0),
        rules: Arc::default(),
        preempts: Preemption::Nothing,
        preemptible: false,
    }
}

/// The framework whose work is placed.
pub const NATIVE: FrameworkIndex = FrameworkIndex(1000);

impl Lab {
    pub fn want(&mut self, key: u64, demand: Demand) -> &mut Self {
        self.sched.set_demand(NATIVE, DemandKey(key), demand);
        self.sched.check_integrity().unwrap();
        self
    }

    /// One cycle; all that was placed.
    pub fn place(&mut self) -> Vec<DemandPlacement> {
        self.cycle();
        self.placed()
    }

    /// What was placed and not yet taken.
    pub fn placed(&mut self) -> Vec<DemandPlacement> {
        std::iter::from_fn(|| self.sched.take_placement()).collect()
    }

    /// One instance gets its place in a cycle, or does not wait for it.
    pub fn one(
        &mut self,
        framework: FrameworkIndex,
        role: &str,
        request: &Resources,
        ports: u32,
    ) -> Result<DemandPlacement, Refusals> {
        let key = DemandKey(u64::MAX);
        let wanted = Demand {
            request: Arc::new(request.clone()),
            ports: PortsWanted {
                any: ports,
                fixed: BTreeSet::new(),
            },
            ..demand(role, "", 1)
        };
        self.sched.set_demand(framework, key, wanted);
        let placed = self.place().pop();
        placed.ok_or_else(|| {
            let refusals = self.sched.why_demand(key).unwrap();
            self.sched.withdraw(key);
            refusals
        })
    }

    /// One cycle in the short form `demand@agent`.
    pub fn places(&mut self) -> Vec<String> {
        let placed = self.place();
        let show = |own: &DemandPlacement| format!("d{}@a{}", own.demand.0, own.agent.0);
        placed.iter().map(show).collect()
    }

    /// An instance ends.
    pub fn end(&mut self, placed: &DemandPlacement) {
        self.sched.instance_removed(placed.instance);
        self.sched
            .release(self.now, placed.framework, placed.agent, &placed.resources);
        self.sched.check_integrity().unwrap();
    }
}

pub fn located(text: &str, index: u32, attributes: &str) -> AgentSpec {
    AgentSpec {
        id: format!("S{index}"),
        hostname: format!("node-{index}"),
        attributes: mezz_resource::attributes::parse(attributes).unwrap(),
        domain: Some(FaultDomain {
            region: "home".to_owned(),
            zone: format!("z{}", index % 3),
        }),
        ..agent(text)
    }
}

pub fn ruled(rules: Rules, demand: Demand) -> Demand {
    Demand {
        rules: Arc::new(rules),
        ..demand
    }
}

pub fn attribute(name: &str) -> PlaceKey {
    PlaceKey::Attribute(name.into())
}

pub fn rule(key: PlaceKey, test: PlaceTest) -> Rule {
    Rule { key, test }
}

pub fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|own| (*own).to_owned()).collect()
}

/// Six agents in three zones; even ones have fast disks, and each has a number.
pub fn six(lab: &mut Lab, each: &str) {
    for index in 0..6 {
        let disk = if index % 2 == 0 { "ssd" } else { "hdd" };
        let attributes = if index == 5 {
            String::new()
        } else {
            format!("disk:{disk};level:{index}.5")
        };
        lab.sched
            .add_agent(a(index), located(each, index, &attributes), &[]);
    }
}

pub fn agents(placed: &[DemandPlacement]) -> Vec<u32> {
    let mut agents: Vec<u32> = placed.iter().map(|own| own.agent.0).collect();
    agents.sort_unstable();
    agents
}

pub fn per(placed: &[DemandPlacement], key: impl Fn(u32) -> u32) -> BTreeMap<u32, usize> {
    let mut counts = BTreeMap::new();
    for own in placed {
        *counts.entry(key(own.agent.0)).or_insert(0) += 1;
    }
    counts
}
