//! Reasons in words.

use super::Reason;
use mezz_resource::{Quantities, format_duration};
use std::fmt;
use std::time::Duration;

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
            Self::AllAtOnce {
                count,
                room,
                room_after,
            } => write_gang(f, *count, *room, *room_after),
            Self::MakingRoom { instances: 1 } => {
                f.write_str("1 instance of lower priority is ending to make room for it")
            }
            Self::MakingRoom { instances } => write!(
                f,
                "{instances} instances of lower priority are ending to make room for it"
            ),
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

/// A gang: how near it is to being there.
fn write_gang(
    f: &mut fmt::Formatter<'_>,
    count: u64,
    room: u64,
    room_after: Option<u64>,
) -> fmt::Result {
    write!(f, "all {count} instances have to find room at once, ")?;
    match (room, room_after) {
        (room, _) if room >= count => f.write_str("which there is"),
        (room, None) => write!(f, "and there is room for {room}"),
        (room, Some(after)) if after >= count => write!(
            f,
            "and there is room for {room}, or for all once work of lower priority has ended"
        ),
        (room, Some(after)) => write!(
            f,
            "and there is room for {room}; without the work of lower priority that may be ended for them it would be {after}, so none is ended"
        ),
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
