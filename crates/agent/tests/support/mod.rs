//! A master of words only, and an agent process under its hands.
#![allow(
    dead_code,
    unreachable_pub,
    missing_debug_implementations,
    clippy::unwrap_used
)]

pub mod groups;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mezz_http::session::{self, Carrier, Receiver, Sender, Session, SessionConfig};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{
    AcknowledgeUpdate, Admitted, KillTask, Registered, RunTask, RunTasks,
};
use mezz_proto::v1::{self, TaskState, TaskStatus};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub const FRAMEWORK: &str = "fw-0000";
pub const AGENT: &str = "test-S0";
const PATIENCE: Duration = Duration::from_secs(20);

/// One session with an agent.
pub struct Link {
    pub sender: Sender,
    pub receiver: Receiver<tokio::io::ReadHalf<Carrier>>,
    pub channel: u32,
    pub registration: Body,
}

/// A master that takes one agent at a time.
pub struct FakeMaster {
    pub address: String,
    carriers: mpsc::UnboundedReceiver<Carrier>,
}

impl FakeMaster {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (send, carriers) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let send = send.clone();
                let upgrade =
                    service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
                        let send = send.clone();
                        async move {
                            assert_eq!(request.uri().path(), session::PATH);
                            tokio::spawn(async move {
                                let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
                                let _ = send.send(session::accepted(upgraded).unwrap());
                            });
                            let response = hyper::Response::builder()
                                .status(101)
                                .header("Connection", "Upgrade")
                                .header("Upgrade", session::PROTOCOL);
                            Ok::<_, hyper::Error>(
                                response.body(Full::new(bytes::Bytes::new())).unwrap(),
                            )
                        }
                    });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), upgrade)
                    .with_upgrades();
                tokio::spawn(connection);
            }
        });
        Self { address, carriers }
    }

    /// Takes the next session through hello, admission and registration.
    pub async fn accept(&mut self) -> Link {
        loop {
            let carrier = tokio::time::timeout(PATIENCE, self.carriers.recv())
                .await
                .expect("an agent dials")
                .unwrap();
            if let Some(link) = take_in(carrier).await {
                return link;
            }
        }
    }
}

/// `None` if the agent died meanwhile.
async fn take_in(carrier: Carrier) -> Option<Link> {
    let (sender, mut receiver) = Session::new(carrier, SessionConfig::default());
    let (channel, hello) = receiver.next().await.ok()??;
    assert!(matches!(hello, Body::Hello(_)), "{hello:?}");
    let admitted = Admitted {
        cluster_id: "test".into(),
        epoch: 1,
        mezz_version: "0".into(),
        window: None,
        ping_timeout_ms: 600_000,
    };
    sender.send(channel, Body::Admitted(admitted)).ok()?;
    let (_, registration) = tokio::time::timeout(PATIENCE, receiver.next())
        .await
        .unwrap()
        .ok()??;
    assert!(
        matches!(registration, Body::Register(_) | Body::Reregister(_)),
        "{registration:?}"
    );
    let master = v1::MasterInfo {
        id: "m".into(),
        ip: 0,
        port: 5050,
        hostname: Some("localhost".into()),
        ..v1::MasterInfo::default()
    };
    let registered = Registered {
        agent_id: v1::AgentId {
            value: AGENT.into(),
        },
        master,
    };
    sender.send(channel, Body::Registered(registered)).ok()?;
    Some(Link {
        sender,
        receiver,
        channel,
        registration,
    })
}

impl Link {
    pub fn run(&self, framework: &v1::FrameworkInfo, tasks: Vec<v1::TaskInfo>) {
        let tasks = tasks
            .into_iter()
            .map(|task| RunTask {
                launch_token: token(&task.task_id.value),
                task,
                instance: None,
            })
            .collect();
        let framework_id = v1::FrameworkId {
            value: FRAMEWORK.into(),
        };
        let body = Body::RunTasks(RunTasks {
            framework_id,
            framework: Some(framework.clone()),
            tasks,
        });
        // The agent may have died on purpose.
        let _ = self.sender.send(self.channel, body);
    }

    pub fn kill(&self, task: &str) {
        let body = KillTask {
            framework_id: v1::FrameworkId {
                value: FRAMEWORK.into(),
            },
            task_id: v1::TaskId { value: task.into() },
            kill_policy: None,
        };
        self.sender
            .send(self.channel, Body::KillTask(body))
            .unwrap();
    }

    pub fn acknowledge(&self, status: &TaskStatus) {
        let body = AcknowledgeUpdate {
            framework_id: v1::FrameworkId {
                value: FRAMEWORK.into(),
            },
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone().unwrap(),
        };
        self.sender
            .send(self.channel, Body::AcknowledgeUpdate(body))
            .unwrap();
    }

    /// The next body that is not a ping.
    pub async fn next(&mut self) -> Body {
        loop {
            let (_, body) = tokio::time::timeout(PATIENCE, self.receiver.next())
                .await
                .expect("the agent speaks")
                .unwrap()
                .expect("the session stands");
            if !matches!(body, Body::Ping(_) | Body::Pong(_)) {
                return body;
            }
        }
    }

    /// The next status update, not acknowledged.
    pub async fn update(&mut self) -> TaskStatus {
        loop {
            if let Body::StatusUpdate(update) = self.next().await {
                return update.status;
            }
        }
    }

    /// Acknowledges updates until every one of `tasks` has reached a terminal state; returns all by task.
    pub async fn finish(&mut self, tasks: &[&str]) -> BTreeMap<String, Vec<TaskStatus>> {
        let mut seen: BTreeMap<String, Vec<TaskStatus>> = BTreeMap::new();
        while !tasks.iter().all(|task| {
            seen.get(*task)
                .is_some_and(|statuses| statuses.iter().any(|status| is_terminal(status.state())))
        }) {
            let status = self.update().await;
            self.acknowledge(&status);
            let statuses = seen.entry(status.task_id.value.clone()).or_default();
            if statuses.iter().all(|known| known.uuid != status.uuid) {
                statuses.push(status);
            }
        }
        seen
    }

    /// Acknowledges updates until the task is in this state.
    pub async fn until(&mut self, task: &str, state: TaskState) -> TaskStatus {
        loop {
            let status = self.update().await;
            self.acknowledge(&status);
            if status.task_id.value == task && status.state() == state {
                return status;
            }
            assert!(
                !(status.task_id.value == task && is_terminal(status.state())),
                "{status:?}"
            );
        }
    }
}

pub fn is_terminal(state: TaskState) -> bool {
    !matches!(
        state,
        TaskState::TaskStaging
            | TaskState::TaskStarting
            | TaskState::TaskRunning
            | TaskState::TaskKilling
    )
}

pub fn states(statuses: &[TaskStatus]) -> Vec<&'static str> {
    statuses
        .iter()
        .map(|status| status.state().as_str_name())
        .collect()
}

fn token(id: &str) -> u64 {
    id.bytes().fold(14_695_981_039_346_656_037, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(1_099_511_628_211)
    })
}

pub fn framework(checkpoint: bool) -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "root".into(),
        name: "test".into(),
        id: Some(v1::FrameworkId {
            value: FRAMEWORK.into(),
        }),
        checkpoint: Some(checkpoint),
        roles: vec!["*".into()],
        capabilities: vec![v1::framework_info::Capability {
            r#type: Some(v1::framework_info::capability::Type::MultiRole.into()),
        }],
        ..v1::FrameworkInfo::default()
    }
}

pub fn shell(id: &str, command: &str) -> v1::TaskInfo {
    let resource = |name: &str, value| v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        allocation_info: Some(v1::resource::AllocationInfo {
            role: Some("*".into()),
        }),
        ..v1::Resource::default()
    };
    v1::TaskInfo {
        name: id.into(),
        task_id: v1::TaskId { value: id.into() },
        agent_id: v1::AgentId {
            value: AGENT.into(),
        },
        resources: vec![resource("cpus", 0.1), resource("mem", 32.0)],
        command: Some(v1::CommandInfo {
            value: Some(command.into()),
            ..v1::CommandInfo::default()
        }),
        ..v1::TaskInfo::default()
    }
}

/// An agent process; killed when dropped, and with the last one of a work directory its warden and its tasks.
pub struct Agent {
    pub child: Child,
    pub url: String,
    _home: Home,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

static HOMES: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

/// One of the agents, dead or alive, that a work directory had in this test.
struct Home(Option<PathBuf>);

impl Home {
    fn of(work_dir: Option<&Path>) -> Self {
        if let Some(work_dir) = work_dir {
            let mut homes = HOMES.lock().unwrap_or_else(PoisonError::into_inner);
            *homes.entry(work_dir.to_owned()).or_default() += 1;
        }
        Self(work_dir.map(Path::to_owned))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let Some(work_dir) = &self.0 else { return };
        let mut homes = HOMES.lock().unwrap_or_else(PoisonError::into_inner);
        let left = homes.get_mut(work_dir).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            end_warden(&work_dir.join("warden").join("socket"));
        }
    }
}

fn end_warden(socket: &Path) {
    let Ok(mut connection) = mezz_warden::Connection::connect(socket, u64::MAX) else {
        return;
    };
    let _ = connection.send_batch(&[mezz_warden::Request::Shutdown {
        launches: mezz_warden::ShutdownLaunches::Kill,
    }]);
    // Its end closes the connection.
    while let Ok(Some(_)) = connection.receive(PATIENCE) {}
}

pub fn binary() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples")
        .join("agentd")
}

impl Agent {
    pub fn start(master: &str, work_dir: Option<&Path>, more: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary());
        command
            .args(["--master", master])
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(work_dir) = work_dir {
            command.arg("--work-dir").arg(work_dir);
        }
        for (name, value) in more {
            if let Some(variable) = name.strip_prefix('$') {
                command.env(variable, value)
            } else {
                command.args([name, value])
            };
        }
        let mut child = command.spawn().expect("examples/agentd is built");
        let mut errors = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut url = String::new();
        let mut line = String::new();
        while std::io::BufRead::read_line(&mut errors, &mut line).unwrap() > 0 {
            if let Some(ready) = line.trim().strip_prefix("ready ") {
                ready.clone_into(&mut url);
                break;
            }
            eprint!("{line}");
            line.clear();
        }
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::stderr()));
        Self {
            child,
            url,
            _home: Home::of(work_dir),
        }
    }

    /// The process id of its warden.
    pub fn warden(&self) -> i32 {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()))
            .unwrap()
            .flatten();
        let children = threads.map(|thread| {
            std::fs::read_to_string(thread.path().join("children")).unwrap_or_default()
        });
        children
            .into_iter()
            .find_map(|text| text.split_whitespace().next()?.parse().ok())
            .expect("the agent has a warden")
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub async fn wait(&mut self) -> std::process::ExitStatus {
        for _ in 0..2000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the agent does not end");
    }

    /// Dies at once, its tasks do not.
    pub fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, &[], "").await
    }

    pub async fn json(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let response = self.open(method, path, headers, body.to_owned()).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    pub async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> hyper::Response<hyper::body::Incoming> {
        self.open_bytes(method, path, headers, body.into_bytes())
            .await
    }

    pub async fn open_bytes(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> hyper::Response<hyper::body::Incoming> {
        let address = self.url.strip_prefix("http://").unwrap();
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut requests, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("Host", address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        requests
            .send_request(request.body(Full::new(bytes::Bytes::from(body))).unwrap())
            .await
            .unwrap()
    }
}
