//! Frameworks coming, going, falling silent and asking again.

use crate::agent::Activity;
use crate::config::FrameworkSpec;
use crate::ids::{AgentIndex, FrameworkIndex, Leaf, LeafNumber, RoleIndex, Slot, grow};
use crate::scalars::Sign;
use crate::scheduler::Scheduler;
use crate::tree::Phase;
use mezz_resource::Quantities;
use std::collections::{BTreeMap, BTreeSet};

/// A framework.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Framework {
    pub(crate) spec: FrameworkSpec,
    /// Its roles, each with the number of the pair.
    pub(crate) roles: BTreeMap<RoleIndex, LeafNumber>,
    pub(crate) suppressed: BTreeSet<RoleIndex>,
    pub(crate) minimums: BTreeMap<RoleIndex, Vec<Quantities>>,
    pub(crate) activity: Activity,
    /// How many refusals of it stand.
    pub(crate) filters: u64,
}

impl Scheduler {
    /// Adds a framework; only an active one gets offers.
    pub fn add_framework(&mut self, framework: FrameworkIndex, spec: FrameworkSpec, active: bool) {
        self.remove_framework(framework);
        grow(&mut self.frameworks, framework.slot());
        self.frameworks[framework.slot()] = Some(Framework {
            spec: FrameworkSpec::default(),
            roles: BTreeMap::new(),
            suppressed: BTreeSet::new(),
            minimums: BTreeMap::new(),
            activity: Activity::when(active),
            filters: 0,
        });
        self.apply_spec(framework, spec);
    }

    /// Changes roles, suppressed roles, capabilities and minimums of a framework.
    ///
    /// What it holds in a role that it leaves stays held until it is given back.
    pub fn update_framework(&mut self, framework: FrameworkIndex, spec: FrameworkSpec) {
        if self.framework(framework).is_some() {
            self.apply_spec(framework, spec);
        }
    }

    fn apply_spec(&mut self, framework: FrameworkIndex, spec: FrameworkSpec) {
        let roles: BTreeSet<RoleIndex> = spec
            .roles
            .iter()
            .map(|role| self.subscribe(framework, role))
            .collect();
        let suppressed = self.indices_of(&spec.suppressed, &roles);
        let minimums = spec
            .min_allocatable
            .iter()
            .filter_map(|(role, list)| Some((self.roles.find(role)?, list.clone())))
            .filter(|(role, _)| roles.contains(role))
            .collect();
        let Some(entry) = self.framework_mut(framework) else {
            return;
        };
        let matches_changed = entry.spec.capabilities != spec.capabilities
            || entry.spec.constraints != spec.constraints;
        let wishes_changed = matches_changed || entry.minimums != minimums;
        let left: Vec<RoleIndex> = entry.roles.keys().copied().collect();
        let unsuppressed: Vec<RoleIndex> =
            entry.suppressed.difference(&suppressed).copied().collect();
        entry.spec = spec;
        entry.suppressed = suppressed;
        let former = std::mem::replace(&mut entry.minimums, minimums);
        let minimums: Vec<RoleIndex> = entry.minimums.keys().copied().collect();
        self.count_minimums(former.into_keys(), -1);
        self.count_minimums(minimums, 1);
        if matches_changed {
            self.queue.shapes.forget_candidates(framework);
        }
        for role in left.iter().filter(|role| !roles.contains(role)) {
            self.unsubscribe(Leaf {
                framework,
                role: *role,
            });
        }
        for role in &roles {
            let leaf = Leaf {
                framework,
                role: *role,
            };
            if !left.contains(role) {
                self.number_leaf(leaf);
            } else if matches_changed {
                self.match_numbered(leaf);
            }
        }
        for role in unsuppressed {
            self.clear_filters_of(Leaf { framework, role });
        }
        for role in roles {
            self.settle_phase(Leaf { framework, role });
            if wishes_changed {
                self.ask(Leaf { framework, role });
            }
        }
    }

    fn subscribe(&mut self, framework: FrameworkIndex, role: &str) -> RoleIndex {
        let role = self.roles.intern(role);
        self.roles
            .node_mut(role)
            .clients
            .entry(framework)
            .or_default();
        role
    }

    fn count_minimums(&mut self, roles: impl IntoIterator<Item = RoleIndex>, change: i32) {
        for role in roles {
            self.roles
                .count_upwards(role, change, |node| &mut node.minimums_below);
        }
    }

    fn number_leaf(&mut self, leaf: Leaf) {
        let number = self.leaves.add(leaf);
        if let Some(entry) = self.framework_mut(leaf.framework) {
            entry.roles.insert(leaf.role, number);
        }
        self.renumber(leaf, Some(number));
        self.match_leaf(number);
    }

    fn match_numbered(&mut self, leaf: Leaf) {
        if let Some(number) = self.number(leaf) {
            self.match_leaf(number);
        }
    }

    /// The number of a framework in a role that it subscribes with.
    pub(crate) fn number(&self, leaf: Leaf) -> Option<LeafNumber> {
        let framework = self.framework(leaf.framework)?;
        framework.roles.get(&leaf.role).copied()
    }

    fn unsubscribe(&mut self, leaf: Leaf) {
        self.clear_filters_of(leaf);
        self.silence(leaf);
        let entry = self.framework_mut(leaf.framework);
        if entry.is_some_and(|entry| entry.minimums.remove(&leaf.role).is_some()) {
            self.count_minimums([leaf.role], -1);
        }
        let entry = self.framework_mut(leaf.framework);
        if let Some(number) = entry.and_then(|entry| entry.roles.remove(&leaf.role)) {
            self.leaves.remove(number);
            self.renumber(leaf, None);
        }
        self.earmark_rests.remove(&leaf);
        self.hopeless.remove(&leaf);
        self.roles.forget_client(leaf);
    }

    fn indices_of<'a>(
        &self,
        names: impl IntoIterator<Item = &'a String>,
        among: &BTreeSet<RoleIndex>,
    ) -> BTreeSet<RoleIndex> {
        let found = names.into_iter().filter_map(|role| self.roles.find(role));
        found.filter(|role| among.contains(role)).collect()
    }

    /// Removes a framework; what it still holds is free again.
    pub fn remove_framework(&mut self, framework: FrameworkIndex) {
        if self.framework(framework).is_none() {
            return;
        }
        self.withdraw_all(framework);
        for agent in self.agent_indices() {
            self.release_all(framework, agent);
        }
        let entry = self.framework(framework);
        let roles: Vec<RoleIndex> = entry
            .map(|entry| entry.roles.keys().copied().collect())
            .unwrap_or_default();
        for role in roles {
            self.unsubscribe(Leaf { framework, role });
        }
        self.relieve_all();
        self.offers_ended(framework);
        self.wishes.remove(&framework);
        self.frameworks[framework.slot()] = None;
    }

    fn release_all(&mut self, framework: FrameworkIndex, agent: AgentIndex) {
        let Some(entry) = self.agent_mut(agent) else {
            return;
        };
        let (held, used) = (
            entry.held.take_all(framework),
            entry.used.take_all(framework),
        );
        if held.is_empty() {
            return;
        }
        entry.recompute_available();
        self.count_used(&used, Sign::Minus);
        self.settle(framework, &held, Sign::Minus);
        self.refresh_agent(agent);
        self.mark_agent(agent);
    }

    /// A framework gets offers again.
    pub fn activate_framework(&mut self, framework: FrameworkIndex) {
        self.set_framework_activity(framework, Activity::Active);
    }

    /// A framework gets no more offers; its refusals end.
    pub fn deactivate_framework(&mut self, framework: FrameworkIndex) {
        self.set_framework_activity(framework, Activity::Inactive);
    }

    fn set_framework_activity(&mut self, framework: FrameworkIndex, activity: Activity) {
        let Some(entry) = self.framework_mut(framework) else {
            return;
        };
        entry.activity = activity;
        for role in entry.roles.keys().copied().collect::<Vec<_>>() {
            self.settle_phase(Leaf { framework, role });
        }
    }

    /// No offers for these roles until they are revived; no roles means all.
    pub fn suppress(&mut self, framework: FrameworkIndex, roles: &[String]) {
        for role in self.addressed(framework, roles) {
            if let Some(entry) = self.framework_mut(framework) {
                entry.suppressed.insert(role);
            }
            self.settle_phase(Leaf { framework, role });
        }
    }

    /// Offers for these roles again, without their refusals; no roles means all.
    pub fn revive(&mut self, framework: FrameworkIndex, roles: &[String]) {
        for role in self.addressed(framework, roles) {
            let leaf = Leaf { framework, role };
            if let Some(entry) = self.framework_mut(framework) {
                entry.suppressed.remove(&role);
            }
            self.clear_filters_of(leaf);
            self.settle_phase(leaf);
            self.ask(leaf);
        }
        self.note_appetite(framework);
    }

    fn addressed(&self, framework: FrameworkIndex, roles: &[String]) -> BTreeSet<RoleIndex> {
        let Some(entry) = self.framework(framework) else {
            return BTreeSet::new();
        };
        if roles.is_empty() {
            return entry.roles.keys().copied().collect();
        }
        let subscribed = entry.roles.keys().copied().collect();
        self.indices_of(roles, &subscribed)
    }

    /// Whether a framework should get offers in one of its roles.
    pub(crate) fn wants(&self, leaf: Leaf) -> bool {
        self.framework(leaf.framework).is_some_and(|entry| {
            entry.activity == Activity::Active
                && entry.roles.contains_key(&leaf.role)
                && !entry.suppressed.contains(&leaf.role)
                && self.is_role_whitelisted(&self.roles.node(leaf.role).path)
        })
    }

    pub(crate) fn is_role_whitelisted(&self, role: &str) -> bool {
        self.config
            .role_whitelist
            .as_ref()
            .is_none_or(|roles| roles.contains(role))
    }

    /// Brings the order of turns in line with whether the leaf wants offers.
    fn settle_phase(&mut self, leaf: Leaf) {
        if !self.wants(leaf) {
            self.silence(leaf);
            return;
        }
        let number = self.number(leaf);
        if !number.is_some_and(|number| self.leaves.active.has(number.slot())) {
            self.set_phase(leaf, Phase::Active);
            self.note_appetite(leaf.framework);
            self.ask(leaf);
        }
    }

    fn set_phase(&mut self, leaf: Leaf, phase: Phase) {
        // Demands keep one in the turns who wants no offers.
        if phase == Phase::Active || !self.queue.has(leaf) {
            self.roles.set_phase(leaf, phase);
        }
        if let Some(number) = self.number(leaf) {
            let active = phase == Phase::Active;
            self.leaves.active.set(number.slot(), active);
        }
    }

    fn silence(&mut self, leaf: Leaf) {
        self.set_phase(leaf, Phase::Idle);
        self.note_silence(leaf.framework);
        self.dirty_leaves.remove(&leaf);
        if self.framework(leaf.framework).is_none_or(|entry| {
            entry.activity == Activity::Inactive || !entry.roles.contains_key(&leaf.role)
        }) {
            self.clear_filters_of(leaf);
        }
        self.drop_earmarks_of(leaf);
    }

    fn ask(&mut self, leaf: Leaf) {
        self.hopeless.remove(&leaf);
        if self.wants(leaf) {
            self.dirty_leaves.insert(leaf);
        }
    }
}
