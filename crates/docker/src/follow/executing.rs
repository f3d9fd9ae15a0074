//! A command in a container that runs, in the hands of a process of the host.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use super::ExecSpec;
use super::running::copy;
use super::signals;
use crate::engine::Engine;
use crate::error::EngineError;

/// The pause before the Engine is asked again how the command ended.
const PAUSE: Duration = Duration::from_millis(10);
/// How often, after its output has ended.
const ATTEMPTS: u32 = 500;

/// Runs the command; the exit code is the command's.
pub(super) async fn run(engine: &Engine, spec: &ExecSpec) -> Result<u8, String> {
    let words = |error: EngineError| error.to_string();
    let mut signals = signals::listen().map_err(|error: io::Error| error.to_string())?;
    let id = engine
        .make_exec(&spec.container, &spec.command, &spec.environment)
        .await
        .map_err(words)?;
    let output = engine.start_exec(&id).await.map_err(words)?;
    let copying = copy(output);
    tokio::pin!(copying);
    loop {
        tokio::select! {
            () = &mut copying => break,
            told = signals.recv() => {
                if told.is_some() {
                    // The Engine has no way to end it; it is a process of this host.
                    end(engine.exec_state(&id).await.map_err(words)?.pid);
                }
            }
        }
    }
    for _ in 0..ATTEMPTS {
        let state = engine.exec_state(&id).await.map_err(words)?;
        if let (false, Some(code)) = (state.running, state.exit_code) {
            return Ok(u8::try_from(code & 0xff).unwrap_or(u8::MAX));
        }
        sleep(PAUSE).await;
    }
    Err("the command has closed its output and does not end".to_owned())
}

fn end(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 1) {
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::KILL);
    }
}
