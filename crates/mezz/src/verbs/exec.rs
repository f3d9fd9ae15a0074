//! `mezz exec` and `mezz attach`: a command in the container of a task, or the terminal of the task itself.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read, stderr, stdin, stdout};
use std::thread;

use mezz_http::tunnel::Kind;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::follow;
use crate::client::api::{Api, LogQuery};
use crate::client::error::ClientError;
use crate::client::follow::Sinks;
use crate::client::http::percent_encoded;
use crate::client::identify::task_id;
use crate::client::session::{End, Sender, Session};
use crate::debug_args::{AttachArgs, ExecArgs};
use crate::exit::Exit;
use crate::output::raw_terminal::{self, RawTerminal};
use crate::output::talk;

/// A program of that name is not in the container, as shells have it.
const NOT_FOUND: u8 = 127;
/// It is there and cannot be run.
const NOT_RUN: u8 = 126;
/// What ends an attachment: Ctrl-P and Ctrl-Q.
const DETACH: [u8; 2] = [0x10, 0x11];

/// The path of a way into a task's container.
pub(super) fn target(id: &str, way: &str) -> String {
    let parts: Vec<String> = id.split('/').map(percent_encoded).collect();
    format!("/v1/tasks/{}/{way}", parts.join("/"))
}

/// Whether what is typed is looked at for the keys that detach.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    All,
    Detach,
}

/// Runs a command, and exits as it does.
pub(crate) fn exec(master: &str, args: &ExecArgs) -> Result<Exit, ClientError> {
    if args.tty && !stdin().is_terminal() {
        return Err(ClientError::Usage(
            "--tty: the input is no terminal; leave it out to pipe something in".to_owned(),
        ));
    }
    let mut api = Api::new(master)?;
    let id = task_id(&mut api, &args.task)?;
    let mut environment = BTreeMap::new();
    if args.tty {
        let term = std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned());
        environment.insert("TERM".to_owned(), term);
    }
    for variable in &args.env {
        let (name, value) = variable
            .split_once('=')
            .ok_or_else(|| ClientError::Usage(format!("--env '{variable}': write NAME=VALUE")))?;
        environment.insert(name.to_owned(), value.to_owned());
    }
    let terminal = args.tty.then(|| {
        let (rows, columns) = raw_terminal::size();
        json!({ "rows": rows, "columns": columns })
    });
    let body = json!({
        "command": args.command,
        "environment": environment,
        "user": args.user,
        "terminal": terminal,
    });
    let opened = open(&api, &id, &body);
    let mut session = match opened {
        Err(ClientError::Refused(problem)) if problem.status == 422 => {
            let absent = problem.detail.contains("No such file");
            talk::client_error(&ClientError::Refused(problem));
            return Ok(Exit::Task(if absent { NOT_FOUND } else { NOT_RUN }));
        }
        opened => opened?,
    };
    let sender = session.sender()?;
    let raw = args.tty.then(RawTerminal::enter).flatten();
    if args.interactive || args.tty {
        pass_input(sender.clone(), Keys::All);
    } else {
        // A program that reads finds the end, not somebody else's keys. It may have ended already.
        let _ = sender.send(Kind::EndOfStdin, &[]);
    }
    pass_signals(sender, args.tty);
    let end = session.run(&mut stdout().lock(), &mut stderr().lock());
    drop(raw);
    Ok(ended(end?))
}

/// Opens a session with a command in a task's container.
pub(super) fn open(api: &Api, id: &str, body: &Value) -> Result<Session, ClientError> {
    Session::open(api, &target(id, "exec"), body.to_string().as_bytes())
}

/// Attaches to the terminal of a task; without one there is only its output.
pub(crate) fn attach(master: &str, args: &AttachArgs) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
    let id = task_id(&mut api, &args.task)?;
    let opened = Session::open(&api, &target(&id, "attach"), b"");
    let mut session = match opened {
        Err(ClientError::Refused(problem)) if problem.status == 501 => {
            talk::note(&format!("{id} has no terminal: only its output is shown"));
            let query = LogQuery {
                stream: "both",
                follow: true,
                tail: Some(0),
            };
            let mut sinks = Sinks {
                stdout: &mut stdout().lock(),
                stderr: &mut stderr().lock(),
            };
            return follow::to_the_end(&mut api, &id, query, &mut sinks).map(|_| Exit::Ok);
        }
        opened => opened?,
    };
    let sender = session.sender()?;
    let on_terminal = stdin().is_terminal();
    let raw = (on_terminal && !args.no_stdin)
        .then(RawTerminal::enter)
        .flatten();
    if !args.no_stdin {
        if on_terminal {
            talk::note("attached; Ctrl-P Ctrl-Q leaves it running");
            // A program that draws its screen does so again.
            let (rows, columns) = raw_terminal::size();
            let _ = sender.send(Kind::Resize, &size_bytes(rows, columns));
        }
        pass_input(sender.clone(), Keys::Detach);
        pass_signals(sender, true);
    }
    let end = session.run(&mut stdout().lock(), &mut stderr().lock());
    drop(raw);
    Ok(ended(end?))
}

fn ended(end: End) -> Exit {
    if let Some(code) = end.code() {
        return Exit::Task(code);
    }
    if let End::Unknown(why) = end
        && !why.is_empty()
    {
        talk::note(&why);
    }
    Exit::NotLaunched
}

/// Passes on what is typed or piped in, on a thread of its own: it ends with the process.
fn pass_input(sender: Sender, keys: Keys) {
    let pass = move || {
        let mut buffer = [0; 16 << 10];
        let mut held = false;
        loop {
            let count = match stdin().lock().read(&mut buffer) {
                Ok(count) if count > 0 => count,
                _ => break,
            };
            let mut data = buffer[..count].to_vec();
            if keys == Keys::Detach {
                if held {
                    data.insert(0, DETACH[0]);
                }
                if data.windows(2).any(|two| two == DETACH) {
                    raw_terminal::restore();
                    std::process::exit(0);
                }
                held = data.last() == Some(&DETACH[0]);
                if held {
                    data.pop();
                }
            }
            if sender.send(Kind::Stdin, &data).is_err() {
                return;
            }
        }
        // It may have ended already.
        let _ = sender.send(Kind::EndOfStdin, &[]);
    };
    // Without the thread there is no input; the output is shown all the same.
    let _ = thread::Builder::new().name("input".to_owned()).spawn(pass);
}

fn size_bytes(rows: u16, columns: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (rows.to_be_bytes(), columns.to_be_bytes());
    [a, b, c, d]
}

/// Passes on changes of the window, and without a terminal what would end this process.
fn pass_signals(sender: Sender, tty: bool) {
    let listen = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build();
        if let Ok(runtime) = runtime {
            // Signals that cannot be heard do what they always do.
            let _ = runtime.block_on(hear(sender, tty));
        }
    };
    let _ = thread::Builder::new()
        .name("signals".to_owned())
        .spawn(listen);
}

async fn hear(sender: Sender, tty: bool) -> std::io::Result<()> {
    let mut window = signal(SignalKind::window_change())?;
    let (mut interrupt, mut terminate, mut quit) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::quit())?,
    );
    loop {
        let number: i32 = tokio::select! {
            _ = window.recv() => {
                if tty {
                    let (rows, columns) = raw_terminal::size();
                    sender.send(Kind::Resize, &size_bytes(rows, columns))?;
                }
                continue;
            }
            _ = interrupt.recv() => 2,
            _ = quit.recv() => 3,
            _ = terminate.recv() => 15,
        };
        sender.send(Kind::Signal, &number.to_be_bytes())?;
    }
}
