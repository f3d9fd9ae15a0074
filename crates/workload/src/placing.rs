//! Why instances have no place, agent by agent, in words that other systems' APIs can be made of.

/// What an agent lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Lack {
    /// The role has used up what it may have, or may not use the agent.
    Role,
    /// A rule of placement.
    Rule,
    /// What is free is kept for others.
    Reserved,
    /// It takes no work now.
    Closed,
    Cpus,
    Mem,
    Disk,
    Gpus,
    Ports,
    Other,
}

/// An agent that is no place.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct NoPlace {
    pub agent: String,
    pub hostname: String,
    pub lack: Lack,
    /// In words.
    pub reason: String,
}

/// Why the instances of a service that wait have no place.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct NoPlaces {
    /// How many agents were looked at.
    pub agents: usize,
    /// How many lack what.
    pub counts: Vec<(Lack, usize)>,
    /// Some of them.
    pub examples: Vec<NoPlace>,
}
