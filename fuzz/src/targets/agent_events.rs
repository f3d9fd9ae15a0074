//! Sequences of events into the agent's core, a new life from its own journal included.

use mezz_agent_core::{
    AgentCore, Config, Effect, Event, FetchOutcome, KnownContainer, KnownContainerState, LaunchId,
    Now, Record, Recovery, RequestId, StopRequest, StreamId,
};
use mezz_proto::agent_protocol::Frame;
use mezz_proto::v1::AgentInfo;
use mezz_proto::v1::executor::Call;
use mezz_proto::{decode_binary, v1};
use prost::Message as _;

use super::script::{self, Step};

const MASTER: u8 = 0;
const EXECUTOR: u8 = 1;
const CONTAINER: u8 = 3;
const TIME: u8 = 4;
const RESTART: u8 = 5;
const CONNECTED: u8 = 7;

struct World {
    core: AgentCore,
    now: Now,
    wake_at: Option<u64>,
    journal: Vec<Record>,
    launches: Vec<LaunchId>,
    next: u64,
}

pub(crate) fn check(data: &[u8]) {
    played(data);
}

fn played(data: &[u8]) -> World {
    let mut world = World {
        core: AgentCore::new(config()),
        now: Now {
            mono_ns: 1,
            wall_ns: 1_700_000_000_000_000_000,
        },
        wake_at: None,
        journal: Vec::new(),
        launches: Vec::new(),
        next: 0,
    };
    world.restart("boot-1", &[]);
    for step in script::steps(data).take(200) {
        world.step(step);
    }
    world
}

fn config() -> Config {
    let agent = AgentInfo {
        hostname: "host".into(),
        port: Some(5051),
        ..AgentInfo::default()
    };
    Config::new(agent, "/agent", "127.0.0.1", 5051, 42)
}

impl World {
    fn feed(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.core.handle(self.now, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::WakeAt { mono_ns } => self.wake_at = Some(mono_ns),
                Effect::Checkpoint { records, .. } => self.journal.extend(records),
                Effect::Launch(launch) => self.launches.push(launch.launch_id),
                _ => {}
            }
        }
    }

    fn step(&mut self, step: Step<'_>) {
        match step.kind % 8 {
            MASTER => {
                let frame = Frame::decode(step.body).ok();
                if let Some(body) = frame.and_then(|frame| frame.body) {
                    self.feed(Event::FromMaster(Box::new(body)));
                }
            }
            EXECUTOR => {
                if let Ok(call) = decode_binary::<Call>(step.body) {
                    self.next += 1;
                    let request = RequestId(self.next);
                    let call = Box::new(call);
                    self.feed(Event::ExecutorCall { request, call });
                }
            }
            2 => self.feed(Event::ExecutorStreamClosed {
                stream: StreamId(u64::from(step.number)),
            }),
            CONTAINER => self.container(step),
            TIME => self.pass(u64::from(step.number) * 100_000_000),
            RESTART => self.restart(
                if step.number.is_multiple_of(4) {
                    "boot-2"
                } else {
                    "boot-1"
                },
                step.body,
            ),
            6 => self.feed(match step.number % 8 {
                0 => Event::Stop(StopRequest::Leave),
                1 => Event::Stop(StopRequest::Drain),
                _ => Event::MasterDisconnected {
                    reason: "gone".into(),
                },
            }),
            _ => self.feed(Event::MasterConnected),
        }
    }

    fn launch_id(&self, number: u8) -> LaunchId {
        let known = self
            .launches
            .get(usize::from(number / 8) % self.launches.len().max(1));
        known.copied().unwrap_or(LaunchId(u64::from(number)))
    }

    fn container(&mut self, step: Step<'_>) {
        let launch_id = self.launch_id(step.number);
        let text = String::from_utf8_lossy(step.body).into_owned();
        self.feed(match step.number % 8 {
            0 => Event::Fetched {
                launch_id,
                outcome: FetchOutcome::Done,
            },
            1 => Event::Fetched {
                launch_id,
                outcome: FetchOutcome::Failed { message: text },
            },
            2 | 3 => Event::ContainerStarted { launch_id, pid: 77 },
            4 => Event::ContainerLaunchFailed {
                launch_id,
                message: text,
            },
            5 => Event::WardenLost {
                containers: Vec::new(),
            },
            _ => Event::ContainerExited {
                launch_id,
                wait_status: i32::from(step.number),
            },
        });
    }

    fn pass(&mut self, span_ns: u64) {
        let end = self.now.mono_ns + span_ns;
        for _ in 0..200 {
            let Some(at) = self.wake_at.filter(|at| *at <= end) else {
                break;
            };
            self.wake_at = None;
            self.advance(at.max(self.now.mono_ns));
            self.feed(Event::Wake);
        }
        self.advance(end);
    }

    fn advance(&mut self, at: u64) {
        self.now.wall_ns += at - self.now.mono_ns;
        self.now.mono_ns = at;
    }

    /// A new life with the journal; the warden knows the containers that the bytes name.
    fn restart(&mut self, boot_id: &str, bytes: &[u8]) {
        self.core = AgentCore::new(config());
        self.wake_at = None;
        let containers = bytes.iter().map(|byte| KnownContainer {
            launch_id: self.launch_id(*byte),
            state: if byte.is_multiple_of(2) {
                KnownContainerState::Running { pid: 77 }
            } else {
                KnownContainerState::Exited {
                    wait_status: i32::from(*byte),
                }
            },
        });
        let mut containers: Vec<KnownContainer> = containers.collect();
        containers.sort_by_key(|container| container.launch_id);
        containers.dedup_by_key(|container| container.launch_id);
        let recovery = Recovery {
            records: self.journal.clone(),
            boot_id: boot_id.into(),
            containers,
            limited: Vec::new(),
        };
        self.feed(Event::Recovered(Box::new(recovery)));
    }
}

/// A registration, tasks of both kinds, their ends and a restart.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut life = Vec::new();
    script::write(&mut life, CONNECTED, 0, &[]);
    for body in crate::seeds::master_greeting() {
        script::write(&mut life, MASTER, 0, &body);
    }
    let mut seeds = vec![life.clone()];
    for numbers in [[0, 2, 6], [0, 4, 6], [1, 2, 5]] {
        let mut seed = life.clone();
        for number in numbers {
            script::write(&mut seed, CONTAINER, number, b"why");
            script::write(&mut seed, TIME, 20, &[]);
        }
        for call in crate::seeds::golden("executor-call") {
            script::write(&mut seed, EXECUTOR, 0, &call);
        }
        script::write(&mut seed, RESTART, 1, &[0, 1]);
        script::write(&mut seed, CONNECTED, 0, &[]);
        script::write(&mut seed, TIME, 200, &[]);
        seeds.push(seed);
    }
    seeds.extend(executors());
    seeds
}

/// Calls of an executor that the agent knows.
fn executors() -> Vec<Vec<u8>> {
    let mut seed = Vec::new();
    script::write(&mut seed, CONNECTED, 0, &[]);
    for body in crate::seeds::master_greeting() {
        script::write(&mut seed, MASTER, 0, &body);
    }
    script::write(&mut seed, CONTAINER, 10, &[]);
    for text in [
        r#"{"type":"SUBSCRIBE","framework_id":{"value":"F"},"executor_id":{"value":"e"},"subscribe":{}}"#,
        r#"{"type":"UPDATE","framework_id":{"value":"F"},"executor_id":{"value":"e"},"update":{"status":
        {"task_id":{"value":"u"},"state":"TASK_RUNNING","source":"SOURCE_EXECUTOR","uuid":"AAAAAAAAAAAAAAAAAAAAAA=="}}}"#,
        r#"{"type":"MESSAGE","framework_id":{"value":"F"},"executor_id":{"value":"e"},"message":{"data":"YQ=="}}"#,
    ] {
        let call = mezz_proto::from_json::<v1::executor::Call>(text.as_bytes());
        let call = call.expect("a seed is well formed").encode_to_vec();
        script::write(&mut seed, EXECUTOR, 0, &call);
        script::write(&mut seed, TIME, 5, &[]);
    }
    vec![seed]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_launches_a_command_and_an_executor() {
        assert_eq!(played(&seeds()[0]).launches.len(), 2);
    }
}
