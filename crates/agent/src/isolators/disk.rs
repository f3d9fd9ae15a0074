//! Measures the sandboxes, one after the other and never in haste, and tells of those that have outgrown their disk.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use mezz_agent_core::{Event, Limitation, LimitationCause};
use mezz_cgroup::Bytes;

use super::limits::{bytes, exceeded};
use super::options::Enforcement;
use super::tenants::{Tenant, Tenants};
use super::walk::{self, DEPTH, Measured, Whole};
use crate::inbox::{Inbox, Input};

/// After each sandbox it rests so many times as long as that took.
const REST: u32 = 1;

/// How sandboxes are measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct DiskRules {
    pub(super) interval: Duration,
    pub(super) enforcement: Enforcement,
}

/// Ends a watcher when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Stopper(Arc<Stopping>);

#[derive(Debug, Default)]
struct Stopping {
    stopped: Mutex<bool>,
    told: Condvar,
}

impl Stopper {
    pub(super) fn pause(&self) -> Pause {
        Pause(Arc::downgrade(&self.0))
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        *self
            .0
            .stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.0.told.notify_all();
    }
}

/// Sleeps for a thread that may be stopped.
#[derive(Debug)]
pub(super) struct Pause(Weak<Stopping>);

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    GoOn,
    Stop,
}

impl Pause {
    pub(super) fn sleep(&self, time: Duration) -> Next {
        let Some(stopping) = self.0.upgrade() else {
            return Next::Stop;
        };
        let stopped = stopping
            .stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waited = stopping
            .told
            .wait_timeout_while(stopped, time, |stopped| !*stopped)
            .unwrap_or_else(PoisonError::into_inner);
        if *waited.0 { Next::Stop } else { Next::GoOn }
    }
}

/// Measures until it is stopped.
pub(super) fn watch(rules: DiskRules, tenants: &Tenants, inbox: &Inbox, pause: &Pause) {
    loop {
        let began = Instant::now();
        for tenant in tenants.all() {
            let started = Instant::now();
            measure(rules, &tenant, inbox);
            if pause.sleep(started.elapsed() * REST) == Next::Stop {
                return;
            }
        }
        if pause.sleep(rules.interval.saturating_sub(began.elapsed())) == Next::Stop {
            return;
        }
    }
}

fn measure(rules: DiskRules, tenant: &Tenant, inbox: &Inbox) {
    let sandbox = tenant.state().sandbox.clone();
    if sandbox.as_os_str().is_empty() {
        return;
    }
    match walk::measure(&sandbox) {
        Ok(measured) => {
            let mut state = tenant.state();
            state.disk_used = Some(measured.bytes);
            let quota = state.allotment.disk.map(bytes);
            drop(state);
            let limitation = quota.and_then(|quota| limitation(measured, quota));
            if let Some(limitation) = limitation
                && rules.enforcement == Enforcement::Enforced
            {
                inbox.put(Input::Event(Event::ContainerLimited {
                    launch_id: tenant.launch_id,
                    limitation: Box::new(limitation),
                }));
            }
        }
        // Collected meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(sandbox = %sandbox.display(), %error, "cannot be measured");
        }
    }
}

/// What is told of a sandbox, if it is more than its quota.
fn limitation(measured: Measured, quota: Bytes) -> Option<Limitation> {
    let message = match measured.whole {
        Whole::Yes if measured.bytes <= quota.0 => return None,
        Whole::Yes => format!(
            "Disk usage ({}) exceeds quota ({quota})",
            Bytes(measured.bytes)
        ),
        Whole::TooDeep => {
            format!("Disk usage cannot be measured: folders are nested more than {DEPTH} deep")
        }
    };
    let megabytes = quota.0 as f64 / f64::from(1 << 20);
    Some(Limitation {
        cause: LimitationCause::Disk,
        message,
        resources: vec![exceeded("disk", megabytes)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_within_its_quota_up_to_the_last_byte() {
        let measured = |bytes| Measured {
            bytes,
            whole: Whole::Yes,
        };
        assert_eq!(limitation(measured(1 << 20), Bytes::mib(1)), None);
        let over = limitation(measured((1 << 20) + 1024), Bytes::mib(1)).unwrap();
        assert_eq!(over.message, "Disk usage (1025KB) exceeds quota (1MB)");
        assert_eq!(over.cause, LimitationCause::Disk);
    }
}
