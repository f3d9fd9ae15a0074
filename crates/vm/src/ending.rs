//! What the end of a monitor means for the task.
//!
//! A guest has no exit status of its own. It powers off or resets, which is success, or writes a number to port 0xf4,
//! of which qemu makes twice that and one.

/// What a task ends with whose machine was never started.
pub const NOT_STARTED: u8 = 125;
/// What a task ends with whose guest has told that it panicked: as after `abort`.
pub const PANICKED: u8 = 134;

/// What was heard of a machine while it ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The machine was made.
    pub started: bool,
    /// The guest has told that it panicked.
    pub panicked: bool,
}

/// How a monitor has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this status.
    Exited(u8),
    /// By this signal.
    Signalled(u8),
}

/// What the task ends with.
pub fn exit_code(control: &crate::Control, seen: Seen, ended: Ended) -> u8 {
    let speaks = matches!(control, crate::Control::Qmp);
    match ended {
        Ended::Signalled(signal) => 128u8.saturating_add(signal),
        Ended::Exited(_) if speaks && !seen.started => NOT_STARTED,
        Ended::Exited(_) if seen.panicked => PANICKED,
        // What the guest has written to its exit port.
        Ended::Exited(code) if speaks && code % 2 == 1 => code / 2,
        Ended::Exited(code) => code,
    }
}
