//! The life of a container in the hands of its process.

use std::io::Write as _;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::complain;
use super::report::{Ended, Reports};
use super::signals::{self, Told};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::inspect::Inspected;
use crate::output::{Channel, OutputStream};

/// The pause before an Engine that is gone is asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the last output may take to come after the end.
const LAST_OUTPUT: Duration = Duration::from_secs(10);

/// Starts the container and stays with it; the exit code is the container's.
pub(super) async fn run(engine: &Engine, container: &str, reports: &Reports) -> Result<u8, String> {
    let mut signals = signals::listen().map_err(|error| error.to_string())?;
    let output = start(engine, container).await?;
    let mut copying = tokio::spawn(copy(output));
    let (inspected, text) = engine
        .inspect(container)
        .await
        .map_err(|error| error.to_string())?;
    reports.running(&text);
    let code = loop {
        tokio::select! {
            code = engine.wait(container) => match code {
                Ok(code) => break code,
                Err(error) => match come_back(engine, container, error).await? {
                    Some(code) => break code,
                    None => follow_again(engine, container, &mut copying).await,
                },
            },
            () = pass_on(engine, container, &inspected, &mut signals) => {}
        }
    };
    // What the container wrote last may still be on its way.
    let _ = timeout(LAST_OUTPUT, copying).await;
    let oom_killed = match engine.inspect(container).await {
        Ok((inspected, _)) => inspected.state.oom_killed,
        Err(_) => false,
    };
    reports.ended(&Ended::Exited { code, oom_killed });
    Ok(u8::try_from(code & 0xff).unwrap_or(u8::MAX))
}

/// Its output is listened to before it has begun, so that nothing of it is lost.
async fn start(engine: &Engine, container: &str) -> Result<OutputStream, String> {
    let output = engine.attach(container).await;
    let output = output.map_err(|error| error.to_string())?;
    let started = engine.start(container).await;
    started.map_err(|error| error.to_string())?;
    Ok(output)
}

/// Passes output on until it ends.
pub(super) async fn copy(mut output: OutputStream) {
    loop {
        match output.next().await {
            Ok(Some((channel, piece))) => {
                // A full disk costs output, not the task.
                let _ = match channel {
                    Channel::Out => std::io::stdout().write_all(&piece),
                    Channel::Err => std::io::stderr().write_all(&piece),
                };
                if channel == Channel::Out {
                    let _ = std::io::stdout().flush();
                }
            }
            Ok(None) => return,
            Err(error) => return complain(&error.to_string()),
        }
    }
}

/// Passes one signal on. Ends only when there is one.
async fn pass_on(
    engine: &Engine,
    container: &str,
    inspected: &Inspected,
    signals: &mut UnboundedReceiver<Told>,
) {
    let Some(told) = signals.recv().await else {
        return std::future::pending().await;
    };
    let signal = match told {
        Told::Stop => inspected.stop_signal(),
        Told::Signal(name) => name,
    };
    if let Err(error) = engine.signal(container, signal).await {
        complain(&format!("{signal} could not be passed on: {error}"));
    }
}

/// The Engine broke off. Asks it until it answers: what it says is the end of the container, or none if that runs.
async fn come_back(
    engine: &Engine,
    container: &str,
    error: EngineError,
) -> Result<Option<i64>, String> {
    if !error.is_of_connection() {
        return Err(error.to_string());
    }
    loop {
        match engine.inspect(container).await {
            Ok((inspected, _)) if inspected.state.running => return Ok(None),
            Ok((inspected, _)) => return Ok(Some(inspected.state.exit_code)),
            Err(error) if error.is_of_connection() => sleep(PAUSE).await,
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// An Engine that was restarted under a running container has forgotten who listened.
async fn follow_again(engine: &Engine, container: &str, copying: &mut JoinHandle<()>) {
    if !copying.is_finished() {
        return;
    }
    match engine.attach(container).await {
        Ok(output) => *copying = tokio::spawn(copy(output)),
        Err(error) => complain(&format!("the output is no longer followed: {error}")),
    }
}
