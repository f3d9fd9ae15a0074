//! The process of the host that stands for a machine: it runs the monitor, passes requests to end on as a press of the
//! power button, and ends as the guest did.
//!
//! It is told what to do by a file. Whoever kills it with the rest of its tree ends the machine as well.

use crate::ending::{Ended, NOT_STARTED, Seen, exit_code};
use crate::invocation::Control;
use crate::qmp::{self, Told};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the process is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandIn {
    /// The monitor.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub arguments: Vec<String>,
    /// How it is asked to end.
    pub control: Control,
}

/// Stands for the machine that the file tells of. Blocks until that has ended.
pub fn run(file: &Path) -> ExitCode {
    match told(file).and_then(|spec| serve(&spec)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(NOT_STARTED)
        }
    }
}

fn told(file: &Path) -> io::Result<StandIn> {
    Ok(serde_json::from_slice(&std::fs::read(file)?)?)
}

fn serve(spec: &StandIn) -> io::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut requests = Requests::new()?;
        let (mut child, mut line) = start(spec)?;
        let mut seen = Seen::default();
        let mut asked = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                told = line.next() => {
                    note(&told, &mut seen);
                    // Before, there was no button to press.
                    if told == Told::Done && std::mem::take(&mut asked) {
                        ask(&spec.control, &child, &mut line).await;
                    }
                }
                () = requests.next() => match spec.control {
                    Control::Qmp if !seen.started => asked = true,
                    _ => ask(&spec.control, &child, &mut line).await,
                },
            }
        };
        // What it said last may have been read by nobody yet.
        while let Line::Open { .. } = line {
            note(&line.next().await, &mut seen);
        }
        Ok(exit_code(&spec.control, seen, ended(status)))
    })
}

fn note(told: &Told, seen: &mut Seen) {
    match told {
        Told::Done => seen.started = true,
        Told::Panicked => seen.panicked = true,
        Told::Refused(why) => complain(why),
        Told::Greeting | Told::Nothing => {}
    }
}

fn start(spec: &StandIn) -> io::Result<(Child, Line)> {
    let mut command = Command::new(&spec.program);
    command.args(&spec.arguments).stdin(Stdio::null());
    command.kill_on_drop(true);
    let (own, other) = match spec.control {
        Control::Signal(_) => (None, None),
        Control::Qmp => {
            let (own, other) = line_of_its_own()?;
            let chardev = format!("socket,id=control,fd={}", other.as_raw_fd());
            command.args(["-chardev", &chardev, "-mon", "chardev=control,mode=control"]);
            (Some(own), Some(other))
        }
    };
    let child = command.spawn().map_err(|error| {
        io::Error::new(error.kind(), format!("{}: {error}", spec.program.display()))
    })?;
    drop(other);
    Ok((child, Line::open(own)?))
}

/// The second end is inherited, by its number.
fn line_of_its_own() -> io::Result<(StdStream, OwnedFd)> {
    let (own, other) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::io::fcntl_setfd(&other, rustix::io::FdFlags::empty())?;
    let own = StdStream::from(own);
    own.set_nonblocking(true)?;
    Ok((own, other))
}

/// What the monitor says, and is told.
enum Line {
    Open {
        lines: Lines<BufReader<OwnedReadHalf>>,
        writer: OwnedWriteHalf,
    },
    Closed,
}

impl Line {
    fn open(stream: Option<StdStream>) -> io::Result<Self> {
        let Some(stream) = stream else {
            return Ok(Self::Closed);
        };
        let (reader, writer) = UnixStream::from_std(stream)?.into_split();
        let lines = BufReader::new(reader).lines();
        Ok(Self::Open { lines, writer })
    }

    /// What is told next; never comes once the other end is closed, or there is none.
    async fn next(&mut self) -> Told {
        let Self::Open { lines, writer } = self else {
            return std::future::pending().await;
        };
        let Ok(Some(text)) = lines.next_line().await else {
            *self = Self::Closed;
            return Told::Nothing;
        };
        let told = qmp::read(&text);
        if told == Told::Greeting {
            // A monitor that is gone meanwhile needs no answer.
            let _ = writer.write_all(qmp::HELLO.as_bytes()).await;
        }
        told
    }
}

async fn ask(control: &Control, child: &Child, line: &mut Line) {
    match (control, line) {
        (Control::Qmp, Line::Open { writer, .. }) => {
            // Gone is gone.
            let _ = writer.write_all(qmp::POWER_BUTTON.as_bytes()).await;
        }
        (Control::Qmp, Line::Closed) => {}
        (Control::Signal(number), _) => {
            let pid = child.id().and_then(|id| i32::try_from(id).ok());
            let pid = pid.and_then(rustix::process::Pid::from_raw);
            let signal = rustix::process::Signal::from_named_raw(*number);
            if let (Some(pid), Some(signal)) = (pid, signal) {
                // It was not waited for yet: the number is still its own.
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    }
}

/// Signals that ask a program to end.
struct Requests([Signal; 4]);

impl Requests {
    fn new() -> io::Result<Self> {
        let on = |kind| signal(kind);
        Ok(Self([
            on(SignalKind::terminate())?,
            on(SignalKind::interrupt())?,
            on(SignalKind::hangup())?,
            on(SignalKind::quit())?,
        ]))
    }

    async fn next(&mut self) {
        let [terminate, interrupt, hangup, quit] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            _ = quit.recv() => {}
        }
    }
}

fn ended(status: ExitStatus) -> Ended {
    let small = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exited(small(code)),
        (None, Some(signal)) => Ended::Signalled(small(signal)),
        (None, None) => Ended::Exited(NOT_STARTED),
    }
}

/// Where the task's own errors go.
fn complain(message: &str) {
    use std::io::Write as _;
    // Whoever reads it may be gone.
    let _ = writeln!(io::stderr(), "vm: {message}");
}
