//! One run of a plugin's program: with a deadline, and with no more of its output than fits.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpgid, getpgrp, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use crate::error::PluginFault;
use crate::plugin_error::PluginError;

/// What a plugin may print; a result is a few hundred bytes.
const OUTPUT_BYTES: usize = 1 << 20;
/// How much of what it said is told.
const SAID_BYTES: usize = 2000;
/// How long after its end what it printed may still come in, from a child that it left behind.
const DRAIN: Duration = Duration::from_secs(1);

/// Ends the whole group of a plugin that is given up, also when the call itself is given up.
struct Group {
    leader: Option<Pid>,
}

impl Group {
    fn end(&mut self) {
        if let Some(leader) = self.leader.take() {
            // It may have ended by itself in the meantime.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }

    /// The plugin has ended: its number may soon be another's.
    fn release(&mut self) {
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs a program to its end and gives what it printed.
pub(crate) async fn run(
    program: &Path,
    environment: &[(&str, String)],
    input: File,
    deadline: Duration,
) -> Result<Vec<u8>, PluginFault> {
    let mut child = Command::new(program)
        .env_clear()
        .envs(environment.iter().map(|(key, value)| (key, value)))
        .current_dir("/")
        .stdin(Stdio::from(input))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(PluginFault::Run)?;
    let leader = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group {
        leader: leader.and_then(Pid::from_raw),
    };
    let ended = tokio::time::timeout(deadline, to_its_end(&mut child)).await;
    match ended {
        Ok(Ok((status, output, errors))) => {
            group.release();
            judged(status, output, &errors)
        }
        Ok(Err(fault)) => {
            group.end();
            let _ = child.wait().await;
            Err(fault)
        }
        Err(_) => {
            group.end();
            let _ = child.wait().await;
            Err(PluginFault::Deadline(deadline.as_millis()))
        }
    }
}

/// Kills the groups of all processes whose standard input is this file, and says how many processes there were.
pub(crate) fn end_readers_of(input: &Path) -> usize {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return 0;
    };
    let mut ended = 0;
    for process in processes.flatten() {
        let name = process.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            continue;
        };
        let reads = std::fs::read_link(process.path().join("fd/0")).is_ok_and(|file| file == input);
        if !reads {
            continue;
        }
        // Every plugin leads a group of its own, so this can never be the agent's.
        if let Ok(group) = getpgid(Some(pid))
            && group != getpgrp()
        {
            ended += usize::from(kill_process_group(group, Signal::KILL).is_ok());
        }
    }
    ended
}

/// Both outputs are read while the plugin runs, so that it never waits for us.
async fn to_its_end(child: &mut Child) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), PluginFault> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let status = {
        let reading = async {
            tokio::try_join!(read(stdout, &mut output), read(stderr, &mut errors)).map(drop)
        };
        tokio::pin!(reading);
        let ended = tokio::select! {
            read = &mut reading => Err(read?),
            status = child.wait() => Ok(status),
        };
        match ended {
            Err(()) => child.wait().await,
            Ok(status) => {
                // A child that the plugin left behind may hold its output open.
                if let Ok(read) = tokio::time::timeout(DRAIN, reading).await {
                    read?;
                }
                status
            }
        }
    };
    let status = status.map_err(PluginFault::Run)?;
    Ok((status, output, errors))
}

async fn read(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> Result<(), PluginFault> {
    let Some(from) = from else {
        return Ok(());
    };
    let limit = u64::try_from(OUTPUT_BYTES).unwrap_or(u64::MAX);
    let mut limited = from.take(limit + 1);
    loop {
        // Piece by piece, so that what came is there even if the rest never does.
        match limited.read_buf(into).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(PluginFault::Run(error)),
        }
    }
    if into.len() > OUTPUT_BYTES {
        return Err(PluginFault::TooMuch(OUTPUT_BYTES));
    }
    Ok(())
}

/// An error object goes to the standard output; some plugins use the other one.
fn judged(status: ExitStatus, output: Vec<u8>, errors: &[u8]) -> Result<Vec<u8>, PluginFault> {
    if status.success() {
        return Ok(output);
    }
    let reported = PluginError::parse(&output).or_else(|| PluginError::parse(errors));
    Err(match reported {
        Some(error) => PluginFault::Reported(error),
        None => PluginFault::Ended {
            status: status.to_string(),
            said: said(&output, errors),
        },
    })
}

fn said(output: &[u8], errors: &[u8]) -> String {
    let texts: Vec<String> = [errors, output]
        .into_iter()
        .map(|bytes| {
            let from = bytes.len().saturating_sub(SAID_BYTES);
            String::from_utf8_lossy(&bytes[from..]).trim().to_owned()
        })
        .filter(|text| !text.is_empty())
        .collect();
    if texts.is_empty() {
        "nothing".to_owned()
    } else {
        texts.join("; ")
    }
}
