//! Why somebody gets nothing, in types; in words below.

mod words;

use mezz_resource::{Name, Quantities, Scalar};

/// One reason, with how many agents it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// There are no agents.
    NoAgents,
    /// The framework is not known.
    UnknownFramework,
    /// The framework is not connected, or was deactivated.
    FrameworkInactive,
    /// The framework has not subscribed with the role.
    NotSubscribed {
        /// The role.
        role: String,
    },
    /// The framework has suppressed offers for the role.
    Suppressed {
        /// The role.
        role: String,
    },
    /// The cluster does not offer to the role.
    RoleNotWhitelisted {
        /// The role.
        role: String,
    },
    /// Agents that are deactivated or not on the whitelist.
    AgentsUnusable {
        /// How many.
        agents: usize,
    },
    /// Agents on which everything is taken.
    NothingFree {
        /// How many.
        agents: usize,
    },
    /// Agents with GPUs, which the framework has not asked for.
    NeedsGpuCapability {
        /// How many.
        agents: usize,
    },
    /// Agents of another region.
    OtherRegion {
        /// How many.
        agents: usize,
    },
    /// Agents that know single-role frameworks only.
    NeedsMultiRole {
        /// How many.
        agents: usize,
    },
    /// Agents that the framework's offer constraints do not admit.
    Constrained {
        /// How many.
        agents: usize,
    },
    /// Agents whose free resources are reserved for others.
    ReservedForOthers {
        /// How many.
        agents: usize,
    },
    /// Agents with less free than the smallest offer.
    BelowMinimum {
        /// How many.
        agents: usize,
        /// What an offer must hold at least: one of these.
        minimum: Vec<Quantities>,
    },
    /// No agent is as large as the framework's own minimum.
    NoAgentLargeEnough {
        /// What an offer must hold at least: one of these.
        minimum: Vec<Quantities>,
    },
    /// Agents that lack something that was asked for.
    Lacking {
        /// How many.
        agents: usize,
        /// What they lack.
        name: Name,
        /// How much of it was asked for.
        wanted: Scalar,
    },
    /// Agents whose free resources the framework has declined.
    Declined {
        /// How many.
        agents: usize,
        /// When the first of the refusals ends, from now.
        ends_in_ns: u64,
    },
    /// The role, or one above it, has used up its quota.
    OverQuota {
        /// How many agents could serve otherwise.
        agents: usize,
        /// The role whose limit it is.
        role: String,
        /// What is short.
        name: Name,
        /// What the limit leaves.
        left: Scalar,
    },
    /// Agents whose free resources are kept for the guarantees of others.
    HeldForGuarantees {
        /// How many.
        agents: usize,
    },
    /// Agents kept for somebody who waits for a large offer.
    Earmarked {
        /// How many.
        agents: usize,
    },
    /// Work of a higher priority goes first.
    BehindPriority {
        /// The priority of that work.
        priority: i32,
    },
    /// There has to be room for all instances at once.
    AllAtOnce {
        /// How many.
        count: u64,
        /// How many find room now.
        room: u64,
        /// How many would, without the work that may be ended for them; none when no work may be.
        room_after: Option<u64>,
    },
    /// Work of lower priority was told to end for it.
    MakingRoom {
        /// How many instances have yet to end.
        instances: usize,
    },
    /// Agents that do not pass a rule.
    RuleUnmet {
        /// How many.
        agents: usize,
        /// The rule in words.
        rule: String,
    },
    /// Agents that say nothing of a key over which instances are spread, or which all share.
    NoValue {
        /// How many.
        agents: usize,
        /// The key.
        key: String,
    },
    /// Agents that do not offer a port, or where somebody has it.
    PortTaken {
        /// How many.
        agents: usize,
        /// The port.
        port: u16,
    },
    /// Agents without the instances that the work has to be near.
    NotNear {
        /// How many.
        agents: usize,
    },
    /// Agents with instances that the work keeps away from.
    NotAway {
        /// How many.
        agents: usize,
    },
    /// Agents where as many instances run as may share a value.
    Crowded {
        /// How many.
        agents: usize,
        /// The key.
        key: String,
        /// How many may share a value of it.
        max_per: u32,
    },
    /// Agents where so many instances run that others have to catch up first.
    Uneven {
        /// How many.
        agents: usize,
        /// The key.
        key: String,
        /// How many more the fullest value may have than the emptiest.
        max_skew: u32,
    },
    /// Agents that are not where the other instances run.
    Elsewhere {
        /// How many.
        agents: usize,
        /// The key that all share.
        key: String,
    },
    /// Agents that will be offered when the turn comes.
    Ready {
        /// How many.
        agents: usize,
    },
}

impl Reason {
    /// The same of so many agents.
    pub(crate) fn of_so_many(mut self, count: usize) -> Self {
        if let Self::AgentsUnusable { agents }
        | Self::OtherRegion { agents }
        | Self::RuleUnmet { agents, .. }
        | Self::NoValue { agents, .. }
        | Self::Lacking { agents, .. }
        | Self::PortTaken { agents, .. }
        | Self::NotNear { agents }
        | Self::NotAway { agents }
        | Self::Crowded { agents, .. }
        | Self::Uneven { agents, .. }
        | Self::Elsewhere { agents, .. }
        | Self::Earmarked { agents }
        | Self::Ready { agents } = &mut self
        {
            *agents = count;
        }
        self
    }
}
