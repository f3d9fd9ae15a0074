//! Why somebody gets nothing, in types and in words.

use mezz_resource::{Name, Quantities, Scalar, format_duration};
use std::fmt;
use std::time::Duration;

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

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAgents => f.write_str("there are no agents"),
            Self::UnknownFramework => f.write_str("the framework is not known"),
            Self::FrameworkInactive => f.write_str("the framework is not active"),
            Self::NotSubscribed { role } => {
                write!(f, "the framework has not subscribed with role {role}")
            }
            Self::Suppressed { role } => {
                write!(f, "the framework has suppressed offers for role {role}")
            }
            Self::RoleNotWhitelisted { role } => {
                write!(f, "role {role} is not on the list of roles")
            }
            Self::BehindPriority { priority } => {
                write!(f, "it waits its turn behind work of priority {priority}")
            }
            Self::AllAtOnce { count } => {
                write!(
                    f,
                    "all {count} instances have to find room at once, and neither offers nor work of lower priority make way for that"
                )
            }
            Self::NoAgentLargeEnough { minimum } => {
                write!(
                    f,
                    "no agent is as large as the framework's smallest offer ({})",
                    alternatives(minimum)
                )
            }
            other => write_counted(other, f),
        }
    }
}

/// The reasons that say something of so many agents.
fn write_counted(reason: &Reason, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (agents, verb, words): (usize, fn(usize) -> String, &str) = match reason {
        Reason::AgentsUnusable { agents } => {
            (*agents, are, "deactivated or not on the list of agents")
        }
        Reason::NothingFree { agents } => (*agents, have, "nothing free"),
        Reason::NeedsGpuCapability { agents } => (
            *agents,
            have,
            "GPUs, which the framework has not asked for (GPU_RESOURCES)",
        ),
        Reason::OtherRegion { agents } => (
            *agents,
            are,
            "in another region, which the framework does not take (REGION_AWARE)",
        ),
        Reason::NeedsMultiRole { agents } => (*agents, are, "too old for several roles"),
        Reason::Constrained { agents } => (
            *agents,
            are,
            "kept away by the framework's offer constraints",
        ),
        Reason::ReservedForOthers { agents } => {
            (*agents, have, "only resources that others have reserved")
        }
        Reason::HeldForGuarantees { agents } => {
            (*agents, are, "kept for the guarantees of other roles")
        }
        Reason::Earmarked { agents } => (
            *agents,
            are,
            "kept for a framework that waits for a large offer",
        ),
        Reason::NotNear { agents } => (
            *agents,
            have,
            "none of the instances that it has to be near",
        ),
        Reason::NotAway { agents } => (*agents, have, "instances that it has to keep away from"),
        Reason::Ready { agents } => (*agents, are, "ready to be offered"),
        other => return write_detailed(other, f),
    };
    write!(f, "{} {words}", verb(agents))
}

/// The reasons that say more than a number of agents.
fn write_detailed(reason: &Reason, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match reason {
        Reason::BelowMinimum { agents, minimum } => {
            write!(
                f,
                "{} less free than the smallest offer ({})",
                have(*agents),
                alternatives(minimum)
            )
        }
        Reason::Lacking {
            agents,
            name,
            wanted,
        } => {
            write!(f, "{} {name}:{wanted}", counted(*agents, "lacks", "lack"))
        }
        Reason::Declined { agents, ends_in_ns } => write!(
            f,
            "{} filtered by a decline, the first for another {}",
            are(*agents),
            // Tenths of a second are as much as anybody reads.
            format_duration(Duration::from_millis(
                ends_in_ns.div_ceil(100_000_000) * 100
            ))
        ),
        Reason::RuleUnmet { agents, rule } => {
            write!(f, "{} {rule}", counted(*agents, "fails", "fail"))
        }
        Reason::NoValue { agents, key } => write!(f, "{} no {key}", have(*agents)),
        Reason::PortTaken { agents, port } => {
            write!(f, "{} port {port} free", counted(*agents, "lacks", "lack"))
        }
        other => write_bound(other, f),
    }
}

/// The reasons that name a bound.
fn write_bound(reason: &Reason, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match reason {
        Reason::Crowded {
            agents,
            key,
            max_per,
        } => write!(
            f,
            "{} as many instances as may share a {key} (max_per {max_per})",
            have(*agents)
        ),
        Reason::Uneven {
            agents,
            key,
            max_skew,
        } => write!(
            f,
            "{} in a {key} where others have to catch up first (max_skew {max_skew})",
            are(*agents)
        ),
        Reason::Elsewhere { agents, key } => write!(
            f,
            "{} outside the {key} that all instances share",
            are(*agents)
        ),
        Reason::OverQuota {
            agents,
            role,
            name,
            left,
        } => write!(
            f,
            "the quota of role {role} leaves {name}:{left}; without it {} be offered",
            counted(*agents, "could", "could")
        ),
        _ => Ok(()),
    }
}

fn counted(agents: usize, one: &str, many: &str) -> String {
    match agents {
        1 => format!("1 agent {one}"),
        agents => format!("{agents} agents {many}"),
    }
}

fn are(agents: usize) -> String {
    counted(agents, "is", "are")
}

fn have(agents: usize) -> String {
    counted(agents, "has", "have")
}

fn alternatives(minimum: &[Quantities]) -> String {
    let list: Vec<String> = minimum.iter().map(ToString::to_string).collect();
    list.join(" or ")
}
