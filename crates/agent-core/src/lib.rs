//! The agent as a pure state machine: [`AgentCore::handle`] takes an [`Event`] and answers with [`Effect`]s.
//!
//! It owns every decision about tasks, executors, status updates, registration, kill policy and recovery. It must never
//! read a clock, a file, a socket or a random source: time comes with the event, randomness from a seed in the [`Config`].
//!
//! How a shell drives it:
//! 1. `AgentCore::new(config)`, then exactly one [`Event::Recovered`] with what journal and warden remember.
//! 2. Events in, effects out, performed **in order**. A [`Effect::Checkpoint`] must be written before any later effect of
//!    the same batch is performed; performing checkpoints earlier than their place is always allowed.
//! 3. [`Effect::WakeAt`] replaces the earlier wake-up; when it is due the shell sends [`Event::Wake`].

mod agent;
mod allotment;
mod checks;
mod config;
mod containers;
mod effect;
mod ending;
mod entries;
mod environment;
mod event;
mod executor_api;
mod executor_validation;
mod executors;
mod facts;
mod frameworks;
mod ids;
mod intake;
mod invariants;
mod journal;
mod killing;
mod launch;
mod launching;
mod limitation;
mod model;
mod nested;
mod pods;
mod pre_stop;
mod probe;
mod reconfiguration;
mod records;
mod recovery;
mod replay;
mod retiring;
mod rng;
mod session;
mod session_state;
mod slab;
mod snapshot;
mod status;
mod support;
mod synthetic;
mod timers;
mod tokens;
mod updates;
mod view;

pub use agent::AgentCore;
pub use allotment::{Allotment, Limit, Standing};
pub use config::{CAPABILITIES, Config, ReconfigurationPolicy, RecoverMode};
pub use effect::{CallOutcome, Durability, Effect, Fact};
pub use event::{
    Event, FetchOutcome, KnownContainer, KnownContainerState, Now, Recovery, StopRequest,
};
pub use facts::ContainerFacts;
pub use ids::{ContainerId, LaunchId, ProbeId, RequestId, StreamId, TaskSerial, Uuid};
pub use journal::{
    CheckState, ExecutorKind, HealthState, KillCause, Membership, Record, RecordError,
};
pub use launch::{
    Around, Command, ContainerClass, Fetch, Grouping, LABEL_PREFIX, Launch, Materials, Nesting,
    PodSandbox, RUNTIME_LABEL, Role, Surroundings, Survival,
};
pub use limitation::{Limitation, LimitationCause};
pub use nested::{
    ContainerAnswer, ContainerCall, ContainerLaunch, ContainerPath, ContainerRecord, PathError,
    Termination,
};
pub use probe::{Probe, ProbeOutcome, ProbeTarget};
pub use records::{
    AgentRecords, CompletedExecutorRecord, Counters, ExecutorRecord, ExecutorState,
    FrameworkRecord, RegistrationState, TaskRecord,
};
