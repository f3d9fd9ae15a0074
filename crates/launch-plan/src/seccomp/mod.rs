//! Which system calls a container may make: profiles in Docker's form, and the kernel's programs made of them.
//!
//! Must never install anything: a program is data until the warden's child hands it to the kernel.

mod compile;
mod default_profile;
mod names;
mod naming;
mod profile;
mod program;

pub use compile::{Host, SeccompError, compile};
pub use default_profile::default_profile;
pub use names::Architecture;
pub use naming::{CallDecision, Decisions, decisions};
pub use profile::{
    Action, Comparison, Condition, Profile, ProfileError, Restriction, Rule, parse_profile,
};

/// One instruction of the kernel's packet filter, as `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to leave out if true.
    pub jump_true: u8,
    /// How many instructions to leave out if false.
    pub jump_false: u8,
    /// The operand.
    pub operand: u32,
}
