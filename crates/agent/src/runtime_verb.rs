//! The hidden verb `runtime`: what the warden runs in the place of a task's program, for containers that are elsewhere.
//!
//! It serves a single container, knows nothing of the agent, and must never need one.

use std::ffi::OsString;
use std::process::ExitCode;

/// The verb.
pub const VERB: &str = "runtime";

/// Serves the verb; `arguments` are those after it.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    let served = crate::docker::run_verb(&arguments)
        .or_else(|| crate::vm::run_verb(&arguments))
        .or_else(|| crate::oci::run_verb(&arguments));
    served.unwrap_or_else(|| {
        use std::io::Write as _;
        // Whoever reads it may be gone.
        let _ = writeln!(
            std::io::stderr(),
            "runtime: this verb is the agent's own; it is given a runtime and --spec FILE"
        );
        ExitCode::from(125)
    })
}
