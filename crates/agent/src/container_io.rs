//! Input and output of containers whose far ends we hold: sessions, and whatever runs on a terminal.
//!
//! Owns the descriptors, who reads and who writes. What a terminal shows goes into the sandbox's `stdout` as well. The
//! warden has copies of all of them, so that nothing ends with the agent but sessions.

mod channel;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mezz_agent_core::LaunchId;
use tokio::runtime::Handle;
use tokio::sync::Notify;

pub(crate) use channel::{Channel, InputError, InputHold, Output, OutputStream, Size};

/// What will come with the start of a container.
#[derive(Debug)]
pub(crate) enum Expected {
    /// The far ends of its three streams.
    Pipes,
    /// A terminal; what it shows goes here too.
    Terminal { log: Option<File> },
}

#[derive(Debug)]
enum Entry {
    Expected(Expected),
    Open(Arc<Channel>),
}

/// All of them.
#[derive(Debug)]
pub(crate) struct ContainerIo {
    runtime: Handle,
    entries: Mutex<BTreeMap<LaunchId, Entry>>,
    changed: Notify,
}

impl ContainerIo {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            entries: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LaunchId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A container is about to be started, or to be taken up.
    pub(crate) fn expect(&self, launch_id: LaunchId, expected: Expected) {
        self.lock().insert(launch_id, Entry::Expected(expected));
    }

    /// It has started.
    pub(crate) fn started(&self, launch_id: LaunchId, descriptors: Vec<OwnedFd>) {
        if descriptors.is_empty() {
            return;
        }
        let mut entries = self.lock();
        let Some(Entry::Expected(_)) = entries.get(&launch_id) else {
            return;
        };
        let Some(Entry::Expected(expected)) = entries.remove(&launch_id) else {
            return;
        };
        let opened = {
            // The reactor that watches them is the runtime's.
            let _context = self.runtime.enter();
            match expected {
                Expected::Pipes => Channel::of_pipes(descriptors),
                Expected::Terminal { log } => Channel::of_terminal(descriptors, log),
            }
        };
        self.changed.notify_waiters();
        match opened {
            Ok(channel) => {
                let channel = Arc::new(channel);
                if channel.is_logged() {
                    channel.begin(&self.runtime);
                }
                entries.insert(launch_id, Entry::Open(channel));
            }
            Err(error) => {
                tracing::error!(%launch_id, %error, "the output of a container cannot be read");
            }
        }
    }

    /// The far ends of a container, if it has some; waits for those that are on their way from the warden.
    pub(crate) async fn find(&self, launch_id: LaunchId) -> Option<Arc<Channel>> {
        loop {
            let changed = self.changed.notified();
            match self.lock().get(&launch_id) {
                Some(Entry::Open(channel)) => return Some(Arc::clone(channel)),
                Some(Entry::Expected(_)) => {}
                None => return None,
            }
            changed.await;
        }
    }

    /// It has ended: what it has written can be read on by those who do.
    pub(crate) fn ended(&self, launch_id: LaunchId) {
        let mut entries = self.lock();
        let keep =
            matches!(entries.get(&launch_id), Some(Entry::Open(channel)) if !channel.is_begun());
        if !keep {
            entries.remove(&launch_id);
            self.changed.notify_waiters();
        }
    }

    /// Nobody will read it any more.
    pub(crate) fn forget(&self, launch_id: LaunchId) {
        self.lock().remove(&launch_id);
        self.changed.notify_waiters();
    }

    /// Adds somebody who reads what comes from now on; the first begins the reading.
    pub(crate) fn attach(&self, channel: &Arc<Channel>) -> tokio::sync::mpsc::Receiver<Output> {
        let reader = channel.add_reader();
        channel.begin(&self.runtime);
        reader
    }
}
