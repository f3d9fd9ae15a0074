//! The native ways into the container of a task: `POST /v1/tasks/{framework}/{task}/exec`, `…/attach` and
//! `…/ports/{port}`. Each becomes a tunnel.
//!
//! Owns what is asked for and the frames of a session; launching, killing and waiting are the core's.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use mezz_agent_core::{
    ContainerAnswer, ContainerCall, ContainerClass, ContainerLaunch, ContainerPath, LaunchId,
};
use mezz_http::session::Carrier;
use mezz_http::tunnel::{self, Decoder, Kind, encode};
use mezz_http::{Request, Response, respond};
use mezz_proto::v1::agent::call::LaunchContainer;
use mezz_proto::v1::environment::Variable;
use mezz_proto::v1::{CommandInfo, ContainerInfo, Environment, TtyInfo, container_info, tty_info};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::attach::{Session, close_input};
use super::{AgentHttp, container_calls, shown};
use crate::container_io::{Channel, InputHold, Output, OutputStream, Size};
use crate::inbox::Inbox;

/// Keeps silent connections open through proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a port may take to take a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// What is wanted of a task's container.
pub(super) enum Way {
    Exec,
    Attach,
    Port(u16),
}

impl Way {
    /// What the end of a path names.
    pub(super) fn of(words: &[String]) -> Option<Self> {
        match words {
            [one] if one == "exec" => Some(Self::Exec),
            [one] if one == "attach" => Some(Self::Attach),
            [one, port] if one == "ports" => port.parse().ok().map(Self::Port),
            _ => None,
        }
    }
}

/// The body of an exec.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The program and its arguments.
    command: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    user: Option<String>,
    /// A terminal of this size, if any.
    terminal: Option<Terminal>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terminal {
    rows: u16,
    columns: u16,
}

/// A task's container that runs.
struct Target {
    path: ContainerPath,
    launch_id: LaunchId,
    pid: u32,
}

pub(super) async fn answer(
    agent: &AgentHttp,
    mut request: Request,
    framework: &str,
    task: &str,
    way: Way,
) -> Result<Response, Response> {
    request.expect_method(&[Method::POST])?;
    tunnel::expect(&request)?;
    let body = request.read_body().await?;
    let target = target(agent, framework, task).await?;
    match way {
        Way::Exec => {
            let asked = serde_json::from_slice(&body).map_err(|error| {
                let hint = "GET /v1/openapi.json on the master describes it";
                problem(StatusCode::BAD_REQUEST, &format!("the body: {error}"), hint)
            })?;
            exec(agent, request, &target, asked).await
        }
        Way::Attach => attach(agent, request, &target).await,
        Way::Port(port) => forward(request, &target, port).await,
    }
}

fn problem(status: StatusCode, detail: &str, hint: &str) -> Response {
    let problem = respond::Problem {
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        detail: detail.to_owned(),
        why: Vec::new(),
        hint: Some(hint.to_owned()),
    };
    respond::problem(status, &problem)
}

async fn target(agent: &AgentHttp, framework: &str, task: &str) -> Result<Target, Response> {
    let records = agent.view().await?;
    let mut known = false;
    for (of, executor) in shown::executors(&records) {
        let mut tasks = executor.queued.iter().chain(&executor.tasks);
        if shown::framework_id(of) != framework
            || !tasks.any(|held| held.info.task_id.value == task)
        {
            continue;
        }
        known = true;
        if let Some(pid) = executor.pid {
            return Ok(Target {
                path: ContainerPath::of_root(&executor.container_id.to_string()),
                launch_id: executor.launch_id,
                pid,
            });
        }
    }
    Err(if known {
        let detail = format!("the container of task '{task}' does not run yet, or no more");
        let hint = "`mezz ps --all` shows its state, `mezz why` the reason";
        problem(StatusCode::CONFLICT, &detail, hint)
    } else {
        let detail = format!("this agent runs no task {framework}/{task}");
        let hint = "`mezz ps` lists what runs";
        problem(StatusCode::NOT_FOUND, &detail, hint)
    })
}

async fn exec(
    agent: &AgentHttp,
    request: Request,
    target: &Target,
    asked: Asked,
) -> Result<Response, Response> {
    let path = target.path.child(&format!("exec-{}", uuid::Uuid::new_v4()));
    let launch = launch(&path, asked);
    let answer = container_calls::ask(agent, ContainerCall::Launch(Box::new(launch))).await?;
    let launch_id = match answer {
        ContainerAnswer::Launched { launch_id } => launch_id,
        ContainerAnswer::Refused(text) => {
            let hint = "the command is looked up in the container, by its PATH";
            return Err(problem(StatusCode::UNPROCESSABLE_ENTITY, &text, hint));
        }
        other => {
            let text = format!("it cannot be started: {other:?}");
            return Err(problem(StatusCode::CONFLICT, &text, "try again"));
        }
    };
    let session = Session::new(agent, path.clone(), launch_id);
    let channel = session.channel().await?;
    let talk = Talk {
        inbox: Arc::clone(&agent.inbox),
        output: agent.container_io.attach(&channel),
        hold: channel.hold_input(),
        channel,
        path,
        launch_id,
    };
    tokio::spawn(async move {
        if let Some(carrier) = tunnel::opened(request).await {
            talk.run(carrier).await;
        }
        drop(session);
    });
    Ok(tunnel::switching())
}

fn launch(path: &ContainerPath, asked: Asked) -> ContainerLaunch {
    let Asked {
        command,
        environment,
        user,
        terminal,
    } = asked;
    let variable = |(name, value)| Variable {
        name,
        value: Some(value),
        ..Variable::default()
    };
    let variables = environment.into_iter().map(variable).collect();
    let tty = terminal.map(|size| ContainerInfo {
        r#type: container_info::Type::Mesos.into(),
        tty_info: Some(TtyInfo {
            window_size: Some(tty_info::WindowSize {
                rows: size.rows.into(),
                columns: size.columns.into(),
            }),
        }),
        ..ContainerInfo::default()
    });
    let wanted = LaunchContainer {
        container_id: path.to_id(),
        command: Some(CommandInfo {
            shell: Some(false),
            value: command.first().cloned(),
            arguments: command,
            environment: Some(Environment { variables }),
            user,
            ..CommandInfo::default()
        }),
        container: tty,
        ..LaunchContainer::default()
    };
    ContainerLaunch {
        path: path.clone(),
        class: ContainerClass::Session,
        wanted: Arc::new(wanted),
    }
}

async fn attach(
    agent: &AgentHttp,
    request: Request,
    target: &Target,
) -> Result<Response, Response> {
    let found = agent.container_io.find(target.launch_id).await;
    let channel = found.ok_or_else(|| {
        let detail = "the task has no terminal to attach to";
        let hint = "`mezz logs --follow` shows its output, `mezz exec` runs a command beside it";
        problem(StatusCode::NOT_IMPLEMENTED, detail, hint)
    })?;
    let talk = Talk {
        inbox: Arc::clone(&agent.inbox),
        output: agent.container_io.attach(&channel),
        // Others may watch, one may write.
        hold: channel.hold_input(),
        channel,
        path: target.path.clone(),
        launch_id: target.launch_id,
    };
    tokio::spawn(async move {
        if let Some(carrier) = tunnel::opened(request).await {
            talk.run(carrier).await;
        }
    });
    Ok(tunnel::switching())
}

/// One who talks to a container.
struct Talk {
    inbox: Arc<Inbox>,
    channel: Arc<Channel>,
    hold: Option<InputHold>,
    output: mpsc::Receiver<Output>,
    path: ContainerPath,
    launch_id: LaunchId,
}

impl Talk {
    /// Talks until the container has ended, or the other side has gone.
    async fn run(self, carrier: Carrier) {
        let (reader, writer) = tokio::io::split(carrier);
        let Self {
            inbox,
            channel,
            hold,
            output,
            path,
            launch_id,
        } = self;
        let wait = ContainerCall::Wait { path: path.clone() };
        let ended = inbox.container_call(wait);
        let input = Incoming {
            inbox: &inbox,
            channel: &channel,
            hold: hold.as_ref(),
            path: &path,
            launch_id,
        };
        tokio::select! {
            // An error is that of a reader who has gone.
            _ = outgoing(writer, output, ended) => {}
            () = input.read(reader) => {}
        }
    }
}

async fn outgoing(
    mut writer: WriteHalf<Carrier>,
    mut output: mpsc::Receiver<Output>,
    ended: impl Future<Output = Option<ContainerAnswer>>,
) -> std::io::Result<()> {
    tokio::pin!(ended);
    let mut end = None;
    loop {
        let alive = tokio::time::sleep(KEEP_ALIVE);
        let frame = tokio::select! {
            piece = output.recv() => match piece {
                Some(Output { stream: OutputStream::Stdout, data }) => encode(Kind::Stdout, &data),
                Some(Output { stream: OutputStream::Stderr, data }) => encode(Kind::Stderr, &data),
                None => break,
            },
            answer = &mut ended, if end.is_none() => {
                end = Some(answer);
                continue;
            }
            () = alive => encode(Kind::Alive, &[]),
        };
        writer.write_all(&frame).await?;
    }
    let end = match end {
        Some(end) => end,
        None => ended.await,
    };
    let last = match end {
        Some(ContainerAnswer::Ended(termination)) => match termination.wait_status {
            Some(status) => status.to_be_bytes().to_vec(),
            None => termination.message.unwrap_or_default().into_bytes(),
        },
        _ => b"the agent does not know how it ended".to_vec(),
    };
    writer.write_all(&encode(Kind::Exit, &last)).await?;
    writer.shutdown().await
}

/// What comes from the other side.
struct Incoming<'a> {
    inbox: &'a Arc<Inbox>,
    channel: &'a Channel,
    hold: Option<&'a InputHold>,
    path: &'a ContainerPath,
    launch_id: LaunchId,
}

impl Incoming<'_> {
    /// Returns when the other side has gone.
    async fn read(self, mut reader: ReadHalf<Carrier>) {
        let mut decoder = Decoder::default();
        let mut buffer = vec![0; 32 << 10];
        loop {
            match decoder.next() {
                Ok(Some(frame)) => self.take(frame.kind, &frame.data).await,
                Ok(None) => match reader.read(&mut buffer).await {
                    Ok(count) if count > 0 => decoder.push(&buffer[..count]),
                    _ => return,
                },
                Err(error) => return tracing::debug!(%error, "a session is given up"),
            }
        }
    }

    async fn take(&self, kind: Kind, data: &[u8]) {
        match (kind, data) {
            (Kind::Stdin, data) => {
                if let Some(hold) = self.hold {
                    // A program that reads no more is no fault.
                    let _ = self.channel.write(hold, data).await;
                }
            }
            (Kind::EndOfStdin, _) => close_input(self.inbox, self.channel, self.launch_id),
            (Kind::Resize, &[a, b, c, d]) => {
                let size = Size {
                    rows: u16::from_be_bytes([a, b]),
                    columns: u16::from_be_bytes([c, d]),
                };
                // Without a terminal there is nothing to resize.
                let _ = self.channel.resize(size);
            }
            (Kind::Signal, &[a, b, c, d]) => {
                let (path, signal) = (self.path.clone(), i32::from_be_bytes([a, b, c, d]));
                let (answer, _) = tokio::sync::oneshot::channel();
                self.inbox
                    .put_container_call(ContainerCall::Kill { path, signal }, answer);
            }
            _ => {}
        }
    }
}

/// A port in the network of a container.
async fn forward(request: Request, target: &Target, port: u16) -> Result<Response, Response> {
    let pid = target.pid;
    let connected = tokio::task::spawn_blocking(move || connect_within(pid, port)).await;
    let connected = connected.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    let stream = connected
        .and_then(|stream| {
            stream.set_nonblocking(true)?;
            TcpStream::from_std(stream)
        })
        .map_err(|error| {
            let detail = format!("nothing takes connections at port {port} of the task: {error}");
            let hint = "`mezz exec TASK -- ss -ltn` shows what it listens on";
            problem(StatusCode::BAD_GATEWAY, &detail, hint)
        })?;
    tokio::spawn(async move {
        if let Some(mut carrier) = tunnel::opened(request).await {
            let mut stream = stream;
            // Whoever breaks off ends it.
            let _ = tokio::io::copy_bidirectional(&mut carrier, &mut stream).await;
        }
    });
    Ok(tunnel::switching())
}

/// Connects on a thread of its own, which ends in the network that it has entered.
fn connect_within(pid: u32, port: u16) -> std::io::Result<std::net::TcpStream> {
    let file = format!("/proc/{pid}/ns/net");
    let own = std::fs::metadata("/proc/thread-self/ns/net")?;
    let theirs = std::fs::metadata(&file)?;
    let connect = move || {
        let v4 = (Ipv4Addr::LOCALHOST, port).into();
        let v6 = (std::net::Ipv6Addr::LOCALHOST, port).into();
        std::net::TcpStream::connect_timeout(&v4, CONNECT)
            .or_else(|error| std::net::TcpStream::connect_timeout(&v6, CONNECT).map_err(|_| error))
    };
    if (own.dev(), own.ino()) == (theirs.dev(), theirs.ino()) {
        return connect();
    }
    let namespace = std::fs::File::open(file)?;
    let enter = move || {
        use std::os::fd::AsFd as _;
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(namespace.as_fd(), kind)?;
        connect()
    };
    let thread = std::thread::Builder::new().name("port-forward".to_owned());
    let entered = thread.spawn(enter)?;
    entered
        .join()
        .unwrap_or_else(|_| Err(std::io::Error::other("the thread has died")))
}
