//! The fairness ledger: who holds what, whose turn it is, and what may be offered to whom.
//!
//! It is a pure, deterministic state machine: times are given as nanoseconds of the caller's
//! monotonic clock, and agents and frameworks by the caller's dense indices. It never talks to
//! frameworks or agents; it answers with grants, placements and reasons.

mod accounting;
mod agent;
mod agents;
mod bits;
mod candidate;
mod classes;
mod config;
mod constraints;
mod cycle;
mod demand;
mod dice;
mod earmark;
mod explain;
mod filters;
mod frameworks;
mod held_back;
mod ids;
mod integrity;
mod leaves;
mod placement;
mod quota;
mod reason;
mod recall;
mod request;
mod roles;
mod scalars;
mod scheduler;
mod share;
mod tree;
mod views;
mod walk;

pub use config::{
    AgentSpec, Capabilities, Capability, Config, FaultDomain, FrameworkSpec, GpuPolicy, Sorter,
};
pub use constraints::{
    ConstraintError, ConstraintFault, OfferConstraints, PatternError, RegexLimits,
};
pub use demand::{
    Demand, DemandKey, DemandPlacement, Eviction, GroupKey, InstanceHandle, Packing, PlaceKey,
    PlaceTest, PortsWanted, Preemption, Rule, Rules, RunningInstance, Spread, Trial,
};
pub use filters::FilterCounts;
pub use ids::{AgentIndex, FrameworkIndex, RoleIndex};
pub use placement::Refusals;
pub use quota::{Limits, Quota};
pub use reason::Reason;
pub use recall::{Outstanding, Recall};
pub use roles::WeightError;
pub use scheduler::{Grant, Scheduler, Stats};
pub use views::{EarmarkView, FrameworkShare, RoleShare};
