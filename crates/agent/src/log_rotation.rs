//! Rotation of the output files of running tasks, for those with a limit.
//!
//! Owns the thread that looks at the files, and what readers must know of a rotation: the number of bytes that left a
//! file at its front. A task keeps writing to the same file throughout. Without a limit nothing is looked at.

mod files;
mod rules;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mezz_agent_core::LaunchId;

pub(crate) use files::{Turned, passed};
pub(crate) use rules::{LogLimits, LogRule, LogRuleError};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often while they grow fast.
const LOOK_SOON: Duration = Duration::from_millis(100);

/// One output file with a limit.
#[derive(Debug)]
pub(crate) struct Watched {
    sandbox: PathBuf,
    name: &'static str,
    rule: LogRule,
    turned: Mutex<Turned>,
}

impl Watched {
    /// While this is held, nothing leaves the file.
    pub(crate) fn hold(&self) -> MutexGuard<'_, Turned> {
        self.turned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Inside {
    launches: BTreeMap<LaunchId, Vec<Arc<Watched>>>,
    stopped: bool,
}

#[derive(Debug, Default)]
struct Shared {
    inside: Mutex<Inside>,
    changed: Condvar,
}

/// The files that are watched. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogRotation {
    shared: Arc<Shared>,
    limits: LogLimits,
}

impl LogRotation {
    pub(crate) fn new(limits: LogLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Starts looking; the thread sleeps while nothing has a limit.
    pub(crate) fn start(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new()
            .name("log-rotation".to_owned())
            .spawn(move || shared.run())
            .map(drop)
    }

    /// What the environment of a container says of its output.
    pub(crate) fn limits<'a>(
        &self,
        environment: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<LogLimits, LogRuleError> {
        self.limits.with(environment)
    }

    /// From now on the files of this launch keep their limits.
    pub(crate) fn watch(&self, launch_id: LaunchId, sandbox: &Path, limits: LogLimits) {
        let of = |name, rule: Option<LogRule>| {
            rule.map(|rule| {
                Arc::new(Watched {
                    sandbox: sandbox.to_owned(),
                    name,
                    rule,
                    turned: Mutex::new(Turned::recall(sandbox, name)),
                })
            })
        };
        let files: Vec<_> = [of("stdout", limits.stdout), of("stderr", limits.stderr)]
            .into_iter()
            .flatten()
            .collect();
        if !files.is_empty() {
            self.shared.lock().launches.insert(launch_id, files);
            self.shared.changed.notify_all();
        }
    }

    /// The launch has ended.
    pub(crate) fn forget(&self, launch_id: LaunchId) {
        self.shared.lock().launches.remove(&launch_id);
    }

    /// The watched file of a launch.
    pub(crate) fn find(&self, launch_id: LaunchId, name: &str) -> Option<Arc<Watched>> {
        let inside = self.shared.lock();
        let files = inside.launches.get(&launch_id)?;
        files.iter().find(|file| file.name == name).cloned()
    }

    pub(crate) fn stop(&self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut pause = LOOK;
        while self.rest(pause) {
            let files: Vec<_> = self.lock().launches.values().flatten().cloned().collect();
            let mut fast = false;
            for file in files {
                match files::turn(&file.sandbox, file.name, &file.rule, &file.turned) {
                    Ok(turned) => fast |= turned,
                    // A task may have removed or replaced its own output file: that is its affair.
                    Err(error) => tracing::debug!(
                        sandbox = %file.sandbox.display(), file = file.name, %error, "not rotated"
                    ),
                }
            }
            pause = if fast { LOOK_SOON } else { LOOK };
        }
    }

    /// Sleeps, and as long as there is nothing to look at; `false` at the end.
    fn rest(&self, pause: Duration) -> bool {
        let idle = |inside: &mut Inside| inside.launches.is_empty() && !inside.stopped;
        let inside = self
            .changed
            .wait_while(self.lock(), idle)
            .unwrap_or_else(PoisonError::into_inner);
        let (inside, _) = self
            .changed
            .wait_timeout_while(inside, pause, |inside| !inside.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        !inside.stopped
    }
}
