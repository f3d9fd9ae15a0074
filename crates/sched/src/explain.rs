//! Why a framework gets nothing in a role.

use crate::agent::Activity;
use crate::candidate::{Refusal, Verdict};
use crate::ids::{AgentIndex, FrameworkIndex, Leaf};
use crate::quota::Room;
use crate::reason::Reason;
use crate::scheduler::Scheduler;
use mezz_resource::{Name, Scalar};

/// How many agents each reason concerns.
#[derive(Debug, Default)]
struct Counts {
    unusable: usize,
    nothing_free: usize,
    gpu: usize,
    region: usize,
    multi_role: usize,
    constrained: usize,
    reserved: usize,
    minimum: usize,
    over_limit: usize,
    guarantees: usize,
    declined: usize,
    declined_until_ns: Option<u64>,
    earmarked: usize,
    ready: usize,
}

impl Counts {
    fn count(&mut self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::Unusable => &mut self.unusable,
            Refusal::NothingFree => &mut self.nothing_free,
            Refusal::NeedsGpuCapability => &mut self.gpu,
            Refusal::OtherRegion => &mut self.region,
            Refusal::NeedsMultiRole => &mut self.multi_role,
            Refusal::Constrained => &mut self.constrained,
            Refusal::ReservedForOthers => &mut self.reserved,
            Refusal::BelowMinimum => &mut self.minimum,
            Refusal::OverLimit => &mut self.over_limit,
            Refusal::HeldForGuarantees => &mut self.guarantees,
            Refusal::Declined { until_ns, .. } => {
                let first = self
                    .declined_until_ns
                    .map_or(until_ns, |first| first.min(until_ns));
                self.declined_until_ns = Some(first);
                &mut self.declined
            }
        };
        *counter += 1;
    }
}

impl Scheduler {
    /// Why a framework gets nothing in a role, or which agents are ready for it.
    pub fn explain(&self, now_ns: u64, framework: FrameworkIndex, role: &str) -> Vec<Reason> {
        let leaf = match self.find_leaf(framework, role) {
            Ok(leaf) => leaf,
            Err(reason) => return vec![reason],
        };
        if self.agents.iter().flatten().next().is_none() {
            return vec![Reason::NoAgents];
        }
        let room = self.room(leaf.role, self.lacking_total().as_ref());
        let mut counts = Counts::default();
        for index in self.agent_indices() {
            self.count_agent(now_ns, index, leaf, room.as_ref(), &mut counts);
        }
        self.reasons(now_ns, leaf, &counts)
    }

    fn find_leaf(&self, framework: FrameworkIndex, role: &str) -> Result<Leaf, Reason> {
        let entry = self.framework(framework).ok_or(Reason::UnknownFramework)?;
        if entry.activity == Activity::Inactive {
            return Err(Reason::FrameworkInactive);
        }
        let index = self
            .roles
            .find(role)
            .filter(|index| entry.roles.contains_key(index));
        let index = index.ok_or_else(|| Reason::NotSubscribed {
            role: role.to_owned(),
        })?;
        if entry.suppressed.contains(&index) {
            return Err(Reason::Suppressed {
                role: role.to_owned(),
            });
        }
        if !self.is_role_whitelisted(role) {
            return Err(Reason::RoleNotWhitelisted {
                role: role.to_owned(),
            });
        }
        Ok(Leaf {
            framework,
            role: index,
        })
    }

    fn count_agent(
        &self,
        now_ns: u64,
        index: AgentIndex,
        leaf: Leaf,
        room: Option<&Room>,
        counts: &mut Counts,
    ) {
        let Some(agent) = self.agent(index) else {
            return;
        };
        match self.examine(now_ns, agent, leaf, room) {
            Verdict::Refused(refusal) => counts.count(refusal),
            Verdict::Offer(_)
                if self
                    .earmarks
                    .get(&index)
                    .is_some_and(|earmark| earmark.leaf != leaf) =>
            {
                counts.earmarked += 1;
            }
            Verdict::Offer(_) => counts.ready += 1,
        }
    }

    fn reasons(&self, now_ns: u64, leaf: Leaf, counts: &Counts) -> Vec<Reason> {
        let minimum = || self.minimum(leaf).to_vec();
        let (role, name, left) = self.tightest_limit(leaf);
        let ends_in_ns = counts
            .declined_until_ns
            .unwrap_or(now_ns)
            .saturating_sub(now_ns);
        let mut reasons = Vec::new();
        if self.hopeless.contains(&leaf) {
            reasons.push(Reason::NoAgentLargeEnough { minimum: minimum() });
        }
        let counted: [(usize, &dyn Fn(usize) -> Reason); 13] = [
            (counts.ready, &|agents| Reason::Ready { agents }),
            (counts.declined, &|agents| Reason::Declined {
                agents,
                ends_in_ns,
            }),
            (counts.over_limit, &|agents| Reason::OverQuota {
                agents,
                role: role.clone(),
                name: name.clone(),
                left,
            }),
            (counts.guarantees, &|agents| Reason::HeldForGuarantees {
                agents,
            }),
            (counts.earmarked, &|agents| Reason::Earmarked { agents }),
            (counts.minimum, &|agents| Reason::BelowMinimum {
                agents,
                minimum: minimum(),
            }),
            (counts.reserved, &|agents| Reason::ReservedForOthers {
                agents,
            }),
            (counts.constrained, &|agents| Reason::Constrained { agents }),
            (counts.gpu, &|agents| Reason::NeedsGpuCapability { agents }),
            (counts.region, &|agents| Reason::OtherRegion { agents }),
            (counts.multi_role, &|agents| Reason::NeedsMultiRole {
                agents,
            }),
            (counts.nothing_free, &|agents| Reason::NothingFree {
                agents,
            }),
            (counts.unusable, &|agents| Reason::AgentsUnusable { agents }),
        ];
        reasons.extend(
            counted
                .iter()
                .filter(|(agents, _)| *agents > 0)
                .map(|(agents, reason)| reason(*agents)),
        );
        reasons
    }

    /// The limit with the least left, of the role or one above it.
    pub(crate) fn tightest_limit(&self, leaf: Leaf) -> (String, Name, Scalar) {
        let mut tightest: Option<(i64, String, Name)> = None;
        for role in self.roles.lineage(leaf.role) {
            let node = self.roles.node(role);
            for (index, bound) in node.quota.iter().flat_map(|quota| &quota.limits) {
                let left = bound.saturating_sub(node.consumed(*index)).max(0);
                if tightest.as_ref().is_none_or(|(least, ..)| left < *least) {
                    tightest = Some((
                        left,
                        self.role_path(role).to_owned(),
                        self.names.name(*index).clone(),
                    ));
                }
            }
        }
        tightest.map_or_else(
            || {
                (
                    self.role_path(leaf.role).to_owned(),
                    Name::Cpus,
                    Scalar::ZERO,
                )
            },
            |(left, role, name)| (role, name, Scalar(left)),
        )
    }
}
