//! Signals that the process gets in the container's place.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

type Kind = fn() -> SignalKind;

/// Those that are passed on as they are.
const PASSED: &[(&str, Kind)] = &[
    ("SIGINT", SignalKind::interrupt),
    ("SIGQUIT", SignalKind::quit),
    ("SIGHUP", SignalKind::hangup),
    ("SIGUSR1", SignalKind::user_defined1),
    ("SIGUSR2", SignalKind::user_defined2),
    ("SIGWINCH", SignalKind::window_change),
    ("SIGALRM", SignalKind::alarm),
];

/// What the container is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// To end, by whatever signal asks it to.
    Stop,
    /// This signal.
    Signal(&'static str),
}

/// What arrives from now on.
pub(crate) fn listen() -> io::Result<mpsc::UnboundedReceiver<Told>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    pass(signal(SignalKind::terminate())?, Told::Stop, sender.clone());
    for (name, kind) in PASSED {
        pass(signal(kind())?, Told::Signal(name), sender.clone());
    }
    Ok(receiver)
}

fn pass(mut arriving: Signal, told: Told, to: mpsc::UnboundedSender<Told>) {
    tokio::spawn(async move {
        while arriving.recv().await.is_some() {
            if to.send(told).is_err() {
                return;
            }
        }
    });
}
