//! cgroups of version 1, version 2 and both at once, behind one interface.
//!
//! Owns limits, statistics and the stopping and killing of groups of processes. The modules from [`Controller`] to
//! [`Steps`] are pure and decide what to write; [`Groups`] and what it makes do it. It must never decide what a task
//! may use, and never sleeps: what takes its time is tried once, and the caller comes again.

mod bpf;
mod controller;
mod devices;
mod directory;
mod events;
mod gate;
mod group;
mod groups;
mod hierarchies;
mod host;
mod layout;
mod limits;
mod oom;
mod plan;
mod pool;
mod reader;
mod settings;
mod stat_text;
mod statistics;
mod sweep;
mod wire;
mod write;

pub use controller::{Controller, InV2};
pub use devices::{Access, DeviceKind, DeviceList, DeviceNumber, DeviceRuleError, DeviceSelector};
pub use events::{OomWatch, PressureLevel, PressureWatch};
pub use gate::{Instruction, program as device_program};
pub use group::{Freezing, Group, Left};
pub use groups::{GroupError, Groups, Note};
pub use hierarchies::{Absence, Hierarchies, HierarchyV1, HierarchyV2, HostTexts, Version};
pub use host::{hierarchies, vacate};
pub use layout::{
    Below, GroupName, GroupNameError, LEAF, Layout, LayoutError, RootV1, RootV2, TreeControl,
};
pub use limits::{
    Bytes, Ceiling, Cpu, Cpuset, Io, LEAST_MEMORY, Limits, Memory, MilliCpus, OomScope, PERIOD_US,
    Standing, Swap, Throttle, oom_score_adj,
};
pub use oom::{OomCounters, OomReport, OomVerdict};
pub use plan::{
    Change, Inner, Lowering, PlanError, change, creation, joined, joined_v2, root_steps,
};
pub use pool::Pool;
pub use reader::{Counted, Reader};
pub use statistics::{
    CpuUsed, IoCount, IoOperation, IoUsed, MemoryUsed, Pressure, Pressures, Statistics, pressure,
};
pub use sweep::{Swept, sweep};
pub use write::{DeviceGate, Missing, Steps, Text, Write};
