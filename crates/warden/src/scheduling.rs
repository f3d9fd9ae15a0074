//! How the kernel schedules threads of this process beside each other. Changes only the thread that asks.

use std::io;

use crate::sys;

/// The calling thread runs only where nothing else wants a processor, and leaves it at once to whatever does. (A high
/// `nice` value keeps its processor for a whole slice.)
pub fn run_in_spare_time() -> io::Result<()> {
    sys::set_idle_policy()
}
