//! A master in this process, and an agent that does what a test tells it.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::sync::mpsc;
use std::time::Duration;

use mezz_http::session::{Sender, Session, SessionConfig, dial};
use mezz_master::{MasterHandle, MasterOptions};
use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use mezz_testkit::http_client::Client;

const PATIENCE: Duration = Duration::from_secs(10);

/// A running master; stopped on drop.
pub struct TestMaster {
    pub runtime: tokio::runtime::Runtime,
    handle: Option<MasterHandle>,
    pub address: String,
}

impl TestMaster {
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub fn start_with(change: impl FnOnce(&mut MasterOptions)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let backend = mezz_store::open_memory().unwrap();
        let mut options = MasterOptions::new(backend, "127.0.0.1:0".parse().unwrap());
        change(&mut options);
        let handle = runtime.block_on(async {
            let handle = mezz_master::run(options).await.unwrap();
            tokio::time::timeout(PATIENCE, handle.ready())
                .await
                .unwrap();
            handle
        });
        let address = handle.address().to_string();
        Self {
            runtime,
            handle: Some(handle),
            address,
        }
    }

    pub fn client(&self) -> Client {
        Client::new(self.address.clone())
    }

    pub fn agent(&self) -> FakeAgent {
        FakeAgent::register(self, "cpus:4;mem:4096;disk:1000;ports:[31000-31010]")
    }

    /// Reads a path until it satisfies the condition.
    pub fn wait_for(
        &self,
        path: &str,
        condition: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let value = self.client().get(path).unwrap().json();
            if condition(&value) {
                return value;
            }
            assert!(std::time::Instant::now() < deadline, "{path} stays {value}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for TestMaster {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.runtime.block_on(handle.shutdown());
        }
    }
}

/// An agent over a real session.
pub struct FakeAgent {
    pub id: String,
    sender: Sender,
    bodies: mpsc::Receiver<Body>,
}

impl FakeAgent {
    pub fn register(master: &TestMaster, resources: &str) -> Self {
        Self::register_at(master, resources, 5051)
    }

    pub fn register_at(master: &TestMaster, resources: &str, port: i32) -> Self {
        let (sender, bodies) = master.runtime.block_on(async {
            let carrier = dial(&master.address).await.unwrap();
            let (sender, mut receiver) = Session::new(carrier, SessionConfig::default());
            let (push, bodies) = mpsc::channel();
            tokio::spawn(async move {
                while let Ok(Some((_, body))) = receiver.next().await {
                    if push.send(body).is_err() {
                        break;
                    }
                }
            });
            (sender, bodies)
        });
        let mut fake = Self {
            id: String::new(),
            sender,
            bodies,
        };
        fake.send(Body::Hello(agent::Hello {
            protocol_version: 1,
            mezz_version: "0.1.0".into(),
            boot_id: "boot".into(),
            ..agent::Hello::default()
        }));
        fake.expect(|body| matches!(body, Body::Admitted(_)).then_some(()));
        let info = v1::AgentInfo {
            hostname: "localhost".into(),
            port: Some(port),
            resources: mezz_resource::parse_text(resources, "*")
                .unwrap()
                .to_proto(),
            checkpoint: Some(true),
            attributes: vec![
                text_attribute("rack", "r1"),
                text_attribute("zone", "west"),
                number_attribute("num", 3.0),
            ],
            ..v1::AgentInfo::default()
        };
        fake.send(Body::Register(agent::Register {
            agent: info,
            version: "1.11.0".into(),
            capabilities: vec![
                "MULTI_ROLE".into(),
                "HIERARCHICAL_ROLE".into(),
                "RESERVATION_REFINEMENT".into(),
            ],
            ip: Some("127.0.0.1".into()),
            ..agent::Register::default()
        }));
        fake.id = fake.expect(|body| match body {
            Body::Registered(registered) => Some(registered.agent_id.value),
            _ => None,
        });
        fake
    }

    pub fn send(&self, body: Body) {
        self.sender.send(1, body).unwrap();
    }

    /// The next body that fits; pings are answered and others skipped.
    pub fn expect<T>(&self, fits: impl Fn(Body) -> Option<T>) -> T {
        loop {
            let body = self
                .bodies
                .recv_timeout(PATIENCE)
                .expect("the master sends something in time");
            if matches!(body, Body::Ping(_)) {
                self.send(Body::Pong(agent::Pong {}));
            }
            if let Some(found) = fits(body) {
                return found;
            }
        }
    }

    pub fn expect_run(&self) -> agent::RunTasks {
        self.expect(|body| match body {
            Body::RunTasks(run) => Some(run),
            _ => None,
        })
    }

    /// Sends an update of a task; returns its uuid.
    pub fn update(&self, framework: &str, task: &str, state: v1::TaskState) -> Vec<u8> {
        let uuid: Vec<u8> = (0..16).map(|i| state as u8 * 16 + i).collect();
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: task.into() },
            state: state as i32,
            source: Some(v1::task_status::Source::Executor as i32),
            agent_id: Some(v1::AgentId {
                value: self.id.clone(),
            }),
            executor_id: Some(v1::ExecutorId { value: task.into() }),
            timestamp: Some(1_795_313_590.5),
            uuid: Some(uuid.clone().into()),
            container_status: Some(container_status()),
            ..v1::TaskStatus::default()
        };
        self.send(Body::StatusUpdate(agent::StatusUpdate {
            framework_id: v1::FrameworkId {
                value: framework.into(),
            },
            status,
            latest_state: Some(state as i32),
            executor_id: None,
        }));
        uuid
    }

    /// Ends the session as a crash does.
    pub fn disconnect(self) {
        self.sender.close();
    }
}

fn text_attribute(name: &str, value: &str) -> v1::Attribute {
    v1::Attribute {
        name: name.into(),
        r#type: v1::value::Type::Text as i32,
        text: Some(v1::value::Text {
            value: value.into(),
        }),
        ..v1::Attribute::default()
    }
}

fn number_attribute(name: &str, value: f64) -> v1::Attribute {
    v1::Attribute {
        name: name.into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..v1::Attribute::default()
    }
}

fn container_status() -> v1::ContainerStatus {
    let address = v1::network_info::IpAddress {
        protocol: Some(v1::network_info::Protocol::IPv4 as i32),
        ip_address: Some("127.0.0.1".into()),
    };
    v1::ContainerStatus {
        container_id: Some(v1::ContainerId {
            value: "092f0245-fd9c-4aab-8be1-bf1d351a6307".into(),
            parent: None,
        }),
        network_infos: vec![v1::NetworkInfo {
            ip_addresses: vec![address],
            ..v1::NetworkInfo::default()
        }],
        executor_pid: Some(5999),
        ..v1::ContainerStatus::default()
    }
}
