//! Named points between the steps of durable sequences at which a test can make the process die.
//!
//! `MEZZ_CRASH_POINT=name` kills at the first visit, `name:3` at the third. Must cost one load where unset.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The environment variable that names the point.
pub const VARIABLE: &str = "MEZZ_CRASH_POINT";

/// Every point of the warden; a test visits each.
pub const WARDEN_POINTS: &[&str] = &[
    "warden.launch_received",
    "warden.before_clone",
    "warden.after_clone",
    "warden.before_started",
    "warden.before_exit_log",
    "warden.after_exit_log",
    "warden.after_reap",
    "warden.before_acknowledge_log",
    "warden.after_acknowledge_log",
    "warden.before_reexec",
    "warden.after_reexec",
];

#[derive(Debug)]
struct Armed {
    name: String,
    left: AtomicU32,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

/// Dies by SIGKILL here if this is the point, and the visit, that the environment names.
#[inline]
pub fn crash_point(name: &str) {
    if let Some(armed) = ARMED.get_or_init(read) {
        visit(armed, name);
    }
}

fn read() -> Option<Armed> {
    parse(&std::env::var(VARIABLE).ok()?)
}

fn parse(text: &str) -> Option<Armed> {
    let (name, visits) = match text.rsplit_once(':') {
        Some((name, visits)) => (name, visits.parse().ok().filter(|visits| *visits > 0)?),
        None => (text, 1),
    };
    (!name.is_empty()).then(|| Armed {
        name: name.to_owned(),
        left: AtomicU32::new(visits),
    })
}

#[cold]
fn visit(armed: &Armed, name: &str) {
    if armed.name == name && armed.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        // SAFETY: kill and getpid have no preconditions.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_without_a_number_means_the_first_visit() {
        let armed = parse("warden.after_clone").expect("valid");
        assert_eq!(
            (armed.name.as_str(), armed.left.into_inner()),
            ("warden.after_clone", 1)
        );
    }

    #[test]
    fn a_point_counts_its_visits() {
        assert_eq!(parse("agent.x:3").expect("valid").left.into_inner(), 3);
        assert!(parse("agent.x:0").is_none());
        assert!(parse("").is_none());
    }
}
