//! Turns SIGINT and SIGTERM of a running `mezz run` into kills of its task. It listens on a thread of its own, since the
//! verb itself is blocked in reading output.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::client::api::Api;
use crate::output::talk;

/// What a signal does; each one is more urgent than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    Polite,
    AtOnce,
    LeaveIt,
}

/// Wrappers such as timeout(1) signal both the process and its group: what comes so close together is meant once.
const ONCE: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
struct State {
    task: Option<String>,
    signals: u32,
}

/// The listener; dropped with the process.
#[derive(Clone, Debug)]
pub(crate) struct Interrupts {
    master: String,
    state: Arc<Mutex<State>>,
}

impl Interrupts {
    /// Begins to listen. From now on a signal does not end this process.
    pub(crate) fn listen(master: &str) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let (interrupt, terminate) = {
            let _context = runtime.enter();
            (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            )
        };
        let interrupts = Self {
            master: master.to_owned(),
            state: Arc::default(),
        };
        let listener = interrupts.clone();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(listener.hear(interrupt, terminate)))?;
        Ok(interrupts)
    }

    /// Names the task to kill; a signal that came before it existed takes effect now.
    pub(crate) fn watch(&self, task: &str) {
        let signals = {
            let mut state = self.state();
            state.task = Some(task.to_owned());
            state.signals
        };
        if signals > 0 {
            self.kill(task, urgency(signals));
        }
    }

    async fn hear(self, mut interrupt: Signal, mut terminate: Signal) {
        let mut last: Option<Instant> = None;
        loop {
            let number = tokio::select! {
                _ = interrupt.recv() => 2,
                _ = terminate.recv() => 15,
            };
            if last
                .replace(Instant::now())
                .is_some_and(|last| last.elapsed() < ONCE)
            {
                continue;
            }
            let (task, signals) = {
                let mut state = self.state();
                state.signals += 1;
                (state.task.clone(), state.signals)
            };
            match (task, urgency(signals)) {
                (_, Urgency::LeaveIt) => std::process::exit(128 + number),
                (Some(task), urgency) => self.kill(&task, urgency),
                (None, _) => {}
            }
        }
    }

    fn kill(&self, task: &str, urgency: Urgency) {
        let grace = match urgency {
            Urgency::Polite => {
                talk::note(&format!("killing task {task}; once more kills it at once"));
                None
            }
            Urgency::AtOnce | Urgency::LeaveIt => {
                talk::note(&format!("killing task {task} at once; once more leaves it"));
                Some(0.0)
            }
        };
        let killed = Api::new(&self.master).and_then(|mut api| api.kill_task(task, grace));
        if let Err(error) = killed {
            talk::client_error(&error);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn urgency(signals: u32) -> Urgency {
    match signals {
        0 | 1 => Urgency::Polite,
        2 => Urgency::AtOnce,
        _ => Urgency::LeaveIt,
    }
}
