//! What simulated agents, frameworks and tasks look like.

use bytes::Bytes;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{Frame, Register, Reregister};
use mezz_proto::v1;
use prost::Message as _;

/// What a task carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskShape {
    /// As in Mesos's own benchmarks: two scalars, ten labels, no status.
    MesosBenchmark,
    /// As in a cluster that runs: four resources, four labels, and the status of its start.
    Usual,
}

impl TaskShape {
    /// What an agent with this kind of tasks offers.
    fn agent_resources(self) -> Vec<v1::Resource> {
        match self {
            Self::MesosBenchmark => vec![scalar("cpus", 20.0), scalar("mem", 10_240.0)],
            Self::Usual => vec![
                scalar("cpus", 24.0),
                scalar("mem", 65_536.0),
                scalar("disk", 100_000.0),
                ports(31_000, 32_000),
            ],
        }
    }
}

fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..v1::Resource::default()
    }
}

fn ports(begin: u64, end: u64) -> v1::Resource {
    v1::Resource {
        name: "ports".into(),
        r#type: v1::value::Type::Ranges as i32,
        ranges: Some(v1::value::Ranges {
            range: vec![v1::value::Range { begin, end }],
        }),
        ..v1::Resource::default()
    }
}

fn allocated(mut resource: v1::Resource) -> v1::Resource {
    resource.allocation_info = Some(v1::resource::AllocationInfo {
        role: Some("*".into()),
    });
    resource
}

fn agent_info(number: usize, id: Option<&str>, shape: TaskShape) -> v1::AgentInfo {
    v1::AgentInfo {
        hostname: format!("node-{number:05}.example.com"),
        port: Some(5051),
        resources: shape.agent_resources(),
        id: id.map(|id| v1::AgentId { value: id.into() }),
        ..v1::AgentInfo::default()
    }
}

fn capabilities() -> Vec<String> {
    ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT"]
        .map(String::from)
        .to_vec()
}

/// A new agent.
pub fn register(number: usize, shape: TaskShape) -> Bytes {
    encoded(Body::Register(Register {
        agent: agent_info(number, None, shape),
        version: env!("CARGO_PKG_VERSION").into(),
        capabilities: capabilities(),
        ip: Some("127.0.0.1".into()),
        token: Some(Bytes::copy_from_slice(&(number as u64).to_be_bytes())),
    }))
}

/// What an agent that comes back brings with it.
#[derive(Clone, Debug)]
pub struct Burden {
    pub shape: TaskShape,
    /// Frameworks with running tasks; the same on every agent.
    pub frameworks: usize,
    pub running_per_framework: usize,
    /// Frameworks that are over, with finished tasks.
    pub completed_frameworks: usize,
    pub finished_per_framework: usize,
}

/// The framework with this number, as agents report it.
fn reported_framework(number: usize) -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        id: Some(framework_id(number)),
        failover_timeout: Some(604_800.0),
        ..framework_info(&format!("framework-{number}"), true)
    }
}

fn framework_id(number: usize) -> v1::FrameworkId {
    v1::FrameworkId {
        value: format!("0f8fad5b-d9cb-469f-a165-70867728950e-{number:04}"),
    }
}

/// An agent that comes back under its id.
pub fn reregister(number: usize, id: &str, burden: &Burden) -> Bytes {
    let tasks = |frameworks: std::ops::Range<usize>, each: usize, state| {
        frameworks
            .flat_map(move |framework| (0..each).map(move |one| (framework, one)))
            .map(|(framework, one)| task(burden.shape, number, id, framework, one, state))
            .map(|task| Bytes::from(prost::Message::encode_to_vec(&task)))
            .collect()
    };
    let all = burden.frameworks + burden.completed_frameworks;
    encoded(Body::Reregister(Reregister {
        agent: agent_info(number, Some(id), burden.shape),
        version: env!("CARGO_PKG_VERSION").into(),
        capabilities: capabilities(),
        ip: Some("127.0.0.1".into()),
        tasks: tasks(
            0..burden.frameworks,
            burden.running_per_framework,
            v1::TaskState::TaskRunning,
        ),
        executors: Vec::new(),
        frameworks: (0..burden.frameworks).map(reported_framework).collect(),
        completed_frameworks: (burden.frameworks..all).map(reported_framework).collect(),
        completed_tasks: tasks(
            burden.frameworks..all,
            burden.finished_per_framework,
            v1::TaskState::TaskFinished,
        ),
    }))
}

fn task(
    shape: TaskShape,
    agent: usize,
    agent_id: &str,
    framework: usize,
    number: usize,
    state: v1::TaskState,
) -> v1::Task {
    let task_id = v1::TaskId {
        value: format!("service-{framework}.instance-{agent:05}-{number:04}.9a1b2c3d"),
    };
    let mut task = v1::Task {
        name: "service.example".into(),
        task_id,
        framework_id: framework_id(framework),
        agent_id: v1::AgentId {
            value: agent_id.into(),
        },
        state: state as i32,
        resources: vec![
            allocated(scalar("cpus", 0.1)),
            allocated(scalar("mem", 5.0)),
        ],
        ..v1::Task::default()
    };
    match shape {
        TaskShape::MesosBenchmark => task.labels = Some(labels(10)),
        TaskShape::Usual => {
            task.labels = Some(labels(4));
            task.user = Some("www-data".into());
            let port = 31_000 + (agent * 7 + framework * 101 + number * 13) as u64 % 1_000;
            task.resources.push(allocated(scalar("disk", 10.0)));
            task.resources.push(allocated(ports(port, port)));
            let status = status(&task, state);
            task.status_update_state = Some(state as i32);
            task.status_update_uuid.clone_from(&status.uuid);
            task.statuses.push(status);
        }
    }
    task
}

fn labels(count: usize) -> v1::Labels {
    let labels = (0..count).map(|number| v1::Label {
        key: format!("key{number}"),
        value: Some(format!("value{number}")),
    });
    v1::Labels {
        labels: labels.collect(),
    }
}

fn status(task: &v1::Task, state: v1::TaskState) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: task.task_id.clone(),
        state: state as i32,
        source: Some(v1::task_status::Source::Executor as i32),
        agent_id: Some(task.agent_id.clone()),
        executor_id: Some(v1::ExecutorId {
            value: task.task_id.value.clone(),
        }),
        timestamp: Some(1_780_000_000.123_456),
        uuid: Some(Bytes::copy_from_slice(&[7; 16])),
        container_status: Some(v1::ContainerStatus {
            container_id: Some(v1::ContainerId {
                value: "0f8fad5b-d9cb-469f-a165-70867728950e".into(),
                parent: None,
            }),
            network_infos: vec![v1::NetworkInfo {
                ip_addresses: vec![v1::network_info::IpAddress {
                    ip_address: Some("10.11.12.13".into()),
                    ..v1::network_info::IpAddress::default()
                }],
                ..v1::NetworkInfo::default()
            }],
            ..v1::ContainerStatus::default()
        }),
        ..v1::TaskStatus::default()
    }
}

pub fn framework_info(name: &str, checkpoint: bool) -> v1::FrameworkInfo {
    use v1::framework_info::capability::Type;
    v1::FrameworkInfo {
        user: "root".into(),
        name: name.into(),
        roles: vec!["*".into()],
        capabilities: [
            Type::MultiRole,
            Type::PartitionAware,
            Type::ReservationRefinement,
        ]
        .map(|kind| v1::framework_info::Capability {
            r#type: Some(kind as i32),
        })
        .to_vec(),
        checkpoint: Some(checkpoint),
        failover_timeout: Some(0.0),
        ..v1::FrameworkInfo::default()
    }
}

/// A body as it stands in a frame.
pub fn encoded(body: Body) -> Bytes {
    let frame = Frame {
        body: Some(body),
        ..Frame::default()
    };
    frame.encode_to_vec().into()
}
