//! Kinds of agents: those that no rule about agents as such tells apart share one verdict for each framework in a role.
//!
//! Constraints that look at host names are the exception; they are asked for each agent.

use crate::agent::Agent;
use crate::bits::Bits;
use crate::candidate::Refusal;
use crate::config::{AgentSpec, Capabilities, Capability, GpuPolicy};
use crate::constraints::Grain;
use crate::ids::{AgentIndex, ClassIndex, Leaf, LeafNumber, Slot, grow};
use crate::scheduler::Scheduler;
use prost::Message;
use std::collections::BTreeMap;

/// What all agents of a kind have in common.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Class {
    key: Vec<u8>,
    /// Without resources, host name and id.
    spec: AgentSpec,
    gpus: bool,
    remote: bool,
    agents: u32,
    /// By the number of a framework in a role: whether such agents are for it.
    matching: Bits,
}

/// All kinds of agents.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Classes {
    entries: Vec<Option<Class>>,
    vacant: Vec<ClassIndex>,
    by_key: BTreeMap<Vec<u8>, ClassIndex>,
}

impl Classes {
    pub(crate) fn get(&self, class: ClassIndex) -> Option<&Class> {
        self.entries.get(class.slot())?.as_ref()
    }

    /// Whether agents of a kind are for a framework in a role.
    pub(crate) fn is_for(&self, class: ClassIndex, number: LeafNumber) -> bool {
        self.get(class)
            .is_some_and(|class| class.matching.has(number.slot()))
    }

    fn get_mut(&mut self, class: ClassIndex) -> Option<&mut Class> {
        self.entries.get_mut(class.slot())?.as_mut()
    }

    fn indices(&self) -> impl Iterator<Item = ClassIndex> + use<> {
        (0..self.entries.len())
            .map(|slot| ClassIndex(u32::try_from(slot).expect("fewer than 2^32 kinds of agents")))
    }

    fn add(&mut self, class: Class) -> ClassIndex {
        let index = self.vacant.pop().unwrap_or_else(|| {
            ClassIndex(u32::try_from(self.entries.len()).expect("fewer than 2^32 kinds of agents"))
        });
        self.by_key.insert(class.key.clone(), index);
        grow(&mut self.entries, index.slot());
        self.entries[index.slot()] = Some(class);
        index
    }

    /// One agent of the kind less; the last takes the kind with it.
    fn leave(&mut self, index: ClassIndex) {
        let Some(class) = self.get_mut(index) else {
            return;
        };
        class.agents -= 1;
        if class.agents == 0 {
            let key = std::mem::take(&mut class.key);
            self.by_key.remove(&key);
            self.entries[index.slot()] = None;
            self.vacant.push(index);
        }
    }
}

impl Scheduler {
    /// Finds the kind of an agent anew, after it came or changed.
    pub(crate) fn classify(&mut self, index: AgentIndex) {
        let Some(agent) = self.agent(index) else {
            return;
        };
        let (key, former) = (key(agent), agent.class);
        if former.is_some_and(|former| self.classes.by_key.get(&key) == Some(&former)) {
            return self.match_host(index);
        }
        let class = match self.classes.by_key.get(&key) {
            Some(class) => *class,
            None => self.add_class(index, key),
        };
        if let Some(entry) = self.classes.get_mut(class) {
            entry.agents += 1;
        }
        if let Some(agent) = self.agent_mut(index) {
            agent.class = Some(class);
        }
        if let Some(former) = former {
            self.classes.leave(former);
        }
        self.match_host(index);
    }

    /// An agent goes.
    pub(crate) fn declassify(&mut self, index: AgentIndex) {
        let class = self.agent_mut(index).and_then(|agent| agent.class.take());
        if let Some(class) = class {
            self.classes.leave(class);
        }
    }

    fn add_class(&mut self, index: AgentIndex, key: Vec<u8>) -> ClassIndex {
        let agent = self.agent(index).expect("the caller has just looked at it");
        let mut class = Class {
            key,
            spec: AgentSpec {
                total: mezz_resource::Resources::new(),
                hostname: String::new(),
                id: String::new(),
                ..agent.spec.clone()
            },
            gpus: agent.has_gpus,
            remote: agent.remote,
            agents: 0,
            matching: Bits::default(),
        };
        for (number, leaf) in self.leaves.iter() {
            let matches = self.mismatch_with_class(&class, leaf.leaf).is_none();
            class.matching.set(number.slot(), matches);
        }
        self.classes.add(class)
    }

    /// Finds anew which agents are for a framework in a role, after it came or changed.
    pub(crate) fn match_leaf(&mut self, number: LeafNumber) {
        let Some(leaf) = self.leaves.get(number).map(|entry| entry.leaf) else {
            return;
        };
        for index in self.classes.indices() {
            let Some(class) = self.classes.get(index) else {
                continue;
            };
            let matches = self.mismatch_with_class(class, leaf).is_none();
            if let Some(class) = self.classes.get_mut(index) {
                class.matching.set(number.slot(), matches);
            }
        }
        let hosts = (self.grain(leaf) == Grain::Agent).then(|| {
            let mut hosts = Bits::default();
            for index in self.agent_indices() {
                let admitted = self
                    .agent(index)
                    .is_some_and(|agent| self.admits(agent, leaf));
                hosts.set(index.slot(), admitted);
            }
            hosts
        });
        self.leaves.set_hosts(number, hosts);
    }

    /// Asks those whose constraints look at host names about one agent.
    fn match_host(&mut self, index: AgentIndex) {
        for number in self.leaves.choosy().to_vec() {
            let leaf = self.leaves.get(number).map(|entry| entry.leaf);
            let admitted = match (self.agent(index), leaf) {
                (Some(agent), Some(leaf)) => self.admits(agent, leaf),
                _ => false,
            };
            self.leaves.admit_host(number, index, admitted);
        }
    }

    fn grain(&self, leaf: Leaf) -> Grain {
        self.framework(leaf.framework)
            .map_or(Grain::Class, |framework| {
                framework.spec.constraints.grain(self.role_path(leaf.role))
            })
    }

    fn admits(&self, agent: &Agent, leaf: Leaf) -> bool {
        self.framework(leaf.framework).is_some_and(|framework| {
            let role = self.role_path(leaf.role);
            framework.spec.constraints.admits(role, &agent.spec)
        })
    }

    /// The frameworks in their roles that agents of this kind are for, by number.
    pub(crate) fn matching(&self, agent: &Agent) -> Option<&Bits> {
        let class = agent.class.and_then(|class| self.classes.get(class))?;
        Some(&class.matching)
    }

    /// Why an agent as such is not for a framework in a role, if it is not.
    pub(crate) fn mismatch(&self, agent: &Agent, leaf: Leaf) -> Option<Refusal> {
        let class = agent.class.and_then(|class| self.classes.get(class))?;
        self.mismatch_with_class(class, leaf)
            .or_else(|| (!self.admits(agent, leaf)).then_some(Refusal::Constrained))
    }

    fn mismatch_with_class(&self, class: &Class, leaf: Leaf) -> Option<Refusal> {
        let framework = self.framework(leaf.framework)?;
        let capabilities = framework.spec.capabilities;
        let role = self.role_path(leaf.role);
        let constraints = &framework.spec.constraints;
        if class.gpus
            && self.config.gpus == GpuPolicy::Reserved
            && !capabilities.has(Capability::GpuResources)
        {
            return Some(Refusal::NeedsGpuCapability);
        }
        if class.remote && !capabilities.has(Capability::RegionAware) {
            return Some(Refusal::OtherRegion);
        }
        if is_too_old(class.spec.capabilities, capabilities) {
            return Some(Refusal::NeedsMultiRole);
        }
        let constrained =
            constraints.grain(role) == Grain::Class && !constraints.admits(role, &class.spec);
        constrained.then_some(Refusal::Constrained)
    }
}

/// An agent that says nothing of itself is taken as one that can do everything.
fn is_too_old(agent: Capabilities, framework: Capabilities) -> bool {
    agent != Capabilities::default()
        && framework.has(Capability::MultiRole)
        && !agent.has(Capability::MultiRole)
}

/// All that rules about agents as such look at, but for the host name.
fn key(agent: &Agent) -> Vec<u8> {
    let mut key = vec![u8::from(agent.has_gpus), u8::from(agent.remote)];
    key.extend(agent.spec.capabilities.bits().to_le_bytes());
    if let Some(domain) = &agent.spec.domain {
        for part in [&domain.region, &domain.zone] {
            key.push(1);
            key.extend((part.len() as u64).to_le_bytes());
            key.extend(part.as_bytes());
        }
    }
    key.push(0);
    for attribute in &agent.spec.attributes {
        key.extend(attribute.encode_length_delimited_to_vec());
    }
    key
}
