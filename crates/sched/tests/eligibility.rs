//! Agents with GPUs and agents of other regions: whatever happens, they go to those whom they are for, and to all of them.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_sched::{
    AgentSpec, Capability, Config, FaultDomain, FrameworkSpec, GpuPolicy, Grant, Reason,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use support::{FLOOR, Lab, a, agent, f, framework};

const ROLES: [&str; 4] = ["a", "a/b", "c", "c/d/e"];

/// An agent as far as the rules look at it; no region stands for one that does not say where it is.
#[derive(Debug, Clone, Copy)]
struct Traits {
    gpus: bool,
    region: Option<bool>,
}

/// What a framework has said that it can do.
#[derive(Debug, Clone, Copy)]
struct Abilities {
    gpus: bool,
    regions: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Agent(u32, Traits),
    Total(u32, bool),
    Move(u32, Traits),
    Framework(u32, usize, Abilities),
    Learn(u32, usize, Abilities),
    GiveBack(usize),
    Decline(usize),
    Pass,
    Cycle,
}

fn traits() -> impl Strategy<Value = Traits> {
    let region = prop::option::of(any::<bool>());
    (any::<bool>(), region).prop_map(|(gpus, region)| Traits { gpus, region })
}

fn abilities() -> impl Strategy<Value = Abilities> {
    any::<(bool, bool)>().prop_map(|(gpus, regions)| Abilities { gpus, regions })
}

fn step() -> impl Strategy<Value = Step> {
    let (agent, peer, role) = (0u32..6, 0u32..4, 0..ROLES.len());
    prop_oneof![
        3 => (agent.clone(), traits()).prop_map(|(agent, traits)| Step::Agent(agent, traits)),
        1 => (agent.clone(), any::<bool>()).prop_map(|(agent, gpus)| Step::Total(agent, gpus)),
        1 => (agent, traits()).prop_map(|(agent, traits)| Step::Move(agent, traits)),
        3 => (peer.clone(), role.clone(), abilities()).prop_map(|(peer, role, can)| Step::Framework(peer, role, can)),
        2 => (peer, role, abilities()).prop_map(|(peer, role, can)| Step::Learn(peer, role, can)),
        4 => any::<usize>().prop_map(Step::GiveBack),
        2 => any::<usize>().prop_map(Step::Decline),
        1 => Just(Step::Pass),
        6 => Just(Step::Cycle),
    ]
}

fn total(gpus: bool) -> &'static str {
    if gpus {
        "cpus:4;mem:1024;gpus:1"
    } else {
        "cpus:4;mem:1024"
    }
}

fn agent_spec(traits: Traits) -> AgentSpec {
    let region = |home| if home { "here" } else { "there" };
    AgentSpec {
        domain: traits.region.map(|home| FaultDomain {
            region: region(home).to_owned(),
            zone: "z".to_owned(),
        }),
        ..agent(total(traits.gpus))
    }
}

fn framework_spec(role: usize, can: Abilities) -> FrameworkSpec {
    let mut spec = framework(&[ROLES[role]]);
    if can.gpus {
        spec.capabilities = spec.capabilities.with(Capability::GpuResources);
    }
    if can.regions {
        spec.capabilities = spec.capabilities.with(Capability::RegionAware);
    }
    spec
}

struct World {
    lab: Lab,
    agents: BTreeMap<u32, Traits>,
    frameworks: BTreeMap<u32, (usize, Abilities)>,
    offers: Vec<Grant>,
}

impl World {
    fn new(gpus: GpuPolicy, home: bool) -> Self {
        let config = Config {
            gpus,
            home_region: home.then(|| "here".to_owned()),
            ..Config::default()
        };
        Self {
            lab: Lab::with(config),
            agents: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            offers: Vec::new(),
        }
    }

    /// The rules, in other words than those of the ledger.
    fn is_for(&self, traits: Traits, can: Abilities) -> bool {
        let config = self.lab.sched.config();
        let gpus = !traits.gpus || can.gpus || config.gpus == GpuPolicy::Open;
        let away = config.home_region.is_some() && traits.region == Some(false);
        gpus && (!away || can.regions)
    }

    fn apply(&mut self, step: &Step) {
        let sched = &mut self.lab.sched;
        match *step {
            Step::Agent(index, traits) => {
                sched.add_agent(a(index), agent_spec(traits), &[]);
                self.agents.insert(index, traits);
                self.offers.retain(|grant| grant.agent != a(index));
            }
            Step::Total(index, gpus) => {
                if let Some(traits) = self.agents.get_mut(&index) {
                    traits.gpus = gpus;
                    sched.update_agent_total(a(index), support::res(total(gpus)));
                }
            }
            Step::Move(index, traits) => {
                if self.agents.insert(index, traits).is_some() {
                    sched.update_agent(a(index), agent_spec(traits));
                } else {
                    self.agents.remove(&index);
                }
            }
            Step::Framework(index, role, can) => {
                sched.add_framework(f(index), framework_spec(role, can), true);
                self.frameworks.insert(index, (role, can));
                self.offers.retain(|grant| grant.framework != f(index));
            }
            Step::Learn(index, role, can) => {
                if self.frameworks.contains_key(&index) {
                    sched.update_framework(f(index), framework_spec(role, can));
                    self.frameworks.insert(index, (role, can));
                }
            }
            Step::GiveBack(which) => self.give_back(which, None),
            Step::Decline(which) => self.give_back(which, Some(0)),
            Step::Pass => self.lab.now += FLOOR,
            Step::Cycle => self.cycle(),
        }
    }

    fn give_back(&mut self, which: usize, refuse_ns: Option<u64>) {
        if self.offers.is_empty() {
            return;
        }
        let offer = self.offers.swap_remove(which % self.offers.len());
        let (now, sched) = (self.lab.now, &mut self.lab.sched);
        sched.recover(
            now,
            offer.framework,
            offer.agent,
            &offer.resources,
            refuse_ns,
        );
    }

    fn cycle(&mut self) {
        let grants = self.lab.cycle();
        for grant in &grants {
            let (traits, (_, can)) = (
                self.agents[&grant.agent.0],
                self.frameworks[&grant.framework.0],
            );
            assert!(
                self.is_for(traits, can),
                "{grant:?} of {traits:?} to {can:?}"
            );
        }
        self.offers.extend(grants);
        self.nobody_is_forgotten();
    }

    /// What stays free is for nobody, or was refused by all whom it is for; and everybody is told the right reason.
    fn nobody_is_forgotten(&self) {
        for (framework, (role, can)) in &self.frameworks {
            let why = self
                .lab
                .sched
                .explain(self.lab.now, f(*framework), ROLES[*role]);
            let (mut barred, mut told) = (0, 0);
            for (index, traits) in &self.agents {
                let free = !self.lab.sched.available(a(*index)).is_empty();
                barred += usize::from(free && !self.is_for(*traits, *can));
            }
            for reason in why {
                match reason {
                    Reason::Ready { .. } => panic!("{framework} could be served"),
                    Reason::NeedsGpuCapability { agents } | Reason::OtherRegion { agents } => {
                        told += agents;
                    }
                    _ => {}
                }
            }
            assert_eq!(told, barred);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agents_with_gpus_and_of_other_regions_go_to_those_whom_they_are_for_and_to_all_of_them(
        steps in prop::collection::vec(step(), 1..80),
        open in any::<bool>(),
        home in any::<bool>(),
    ) {
        let policy = if open { GpuPolicy::Open } else { GpuPolicy::Reserved };
        let mut world = World::new(policy, home);
        for step in &steps {
            world.apply(step);
        }
        world.cycle();
    }
}
