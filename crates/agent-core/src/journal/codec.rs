//! The binary form of the journal's records: one union of all fields, of which each kind fills some.

use super::{CheckState, ExecutorKind, HealthState, KillCause, Membership, Record, RecordError};
use crate::facts::ContainerFacts;
use crate::ids::{ContainerId, LaunchId, TaskSerial, Uuid};
use crate::nested::Termination;
use bytes::Bytes;
use mezz_proto::agent_protocol::InstanceTerms;
use mezz_proto::v1::agent::call::LaunchContainer;
use mezz_proto::v1::{
    AgentInfo, CheckStatusInfo, ExecutorInfo, FrameworkInfo, TaskInfo, TaskStatus,
};
use prost::Message;
use std::sync::Arc;

/// The union of all fields, for decoding.
#[derive(Clone, PartialEq, prost::Message)]
struct Line {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(string, optional, tag = "2")]
    framework_id: Option<String>,
    #[prost(uint64, optional, tag = "3")]
    serial: Option<u64>,
    #[prost(fixed64, optional, tag = "4")]
    launch_id: Option<u64>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    container_id: Option<Bytes>,
    #[prost(uint64, optional, tag = "6")]
    launch_token: Option<u64>,
    #[prost(message, optional, tag = "7")]
    task: Option<TaskInfo>,
    #[prost(message, optional, tag = "8")]
    status: Option<TaskStatus>,
    #[prost(message, optional, tag = "9")]
    executor: Option<ExecutorInfo>,
    #[prost(message, optional, tag = "10")]
    framework: Option<FrameworkInfo>,
    #[prost(message, optional, tag = "11")]
    agent: Option<AgentInfo>,
    #[prost(bytes = "bytes", optional, tag = "12")]
    uuid: Option<Bytes>,
    #[prost(string, optional, tag = "13")]
    cluster_id: Option<String>,
    #[prost(uint64, optional, tag = "14")]
    epoch: Option<u64>,
    #[prost(string, optional, tag = "15")]
    boot_id: Option<String>,
    #[prost(uint64, optional, tag = "16")]
    grace_ns: Option<u64>,
    #[prost(uint32, optional, tag = "17")]
    executor_kind: Option<u32>,
    #[prost(uint32, optional, tag = "18")]
    kill_cause: Option<u32>,
    #[prost(uint64, optional, tag = "19")]
    started_wall_ns: Option<u64>,
    #[prost(bool, optional, tag = "20")]
    ever_healthy: Option<bool>,
    #[prost(uint32, optional, tag = "21")]
    failures: Option<u32>,
    #[prost(message, optional, tag = "22")]
    check_status: Option<CheckStatusInfo>,
    #[prost(message, optional, boxed, tag = "23")]
    terms: Option<Box<InstanceTerms>>,
    #[prost(message, repeated, tag = "24")]
    more_health: Vec<HealthLine>,
    #[prost(message, repeated, tag = "25")]
    more_statuses: Vec<CheckStatusInfo>,
    #[prost(fixed64, optional, tag = "26")]
    pod_launch_id: Option<u64>,
    #[prost(uint64, optional, tag = "27")]
    group: Option<u64>,
    #[prost(message, optional, boxed, tag = "30")]
    container: Option<Box<LaunchContainer>>,
    #[prost(int32, optional, tag = "31")]
    wait_status: Option<i32>,
    #[prost(string, optional, tag = "32")]
    message: Option<String>,
    #[prost(message, optional, boxed, tag = "40")]
    facts: Option<Box<ContainerFacts>>,
}

/// A health check beyond the first.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct HealthLine {
    #[prost(bool, tag = "1")]
    ever_healthy: bool,
    #[prost(uint32, tag = "2")]
    failures: u32,
}

impl Record {
    /// Appends the binary form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        use prost::encoding::{fixed64, message, string, uint32, uint64};
        uint32::encode(1, &self.kind(), out);
        match self {
            Self::Identity {
                agent,
                cluster_id,
                epoch,
                boot_id,
            } => {
                if let Some(agent) = agent {
                    message::encode(11, agent.as_ref(), out);
                }
                if let Some(cluster_id) = cluster_id {
                    string::encode(13, cluster_id, out);
                }
                uint64::encode(14, epoch, out);
                string::encode(15, boot_id, out);
            }
            Self::Framework { info } => message::encode(10, info.as_ref(), out),
            Self::FrameworkForgotten { framework_id } => string::encode(2, framework_id, out),
            Self::ExecutorLaunched {
                framework_id,
                info,
                container_id,
                launch_id,
            } => {
                string::encode(2, framework_id, out);
                fixed64::encode(4, &launch_id.0, out);
                encode_container(*container_id, out);
                message::encode(9, info.as_ref(), out);
            }
            Self::ExecutorEnded { launch_id } | Self::ContainerForgotten { launch_id } => {
                fixed64::encode(4, &launch_id.0, out);
            }
            Self::ContainerLaunched { launch_id, launch } => {
                fixed64::encode(4, &launch_id.0, out);
                message::encode(30, launch.as_ref(), out);
            }
            Self::ContainerEnded {
                launch_id,
                termination,
            } => {
                fixed64::encode(4, &launch_id.0, out);
                if let Some(wait_status) = &termination.wait_status {
                    prost::encoding::int32::encode(31, wait_status, out);
                }
                if let Some(message) = &termination.message {
                    string::encode(32, message, out);
                }
            }
            Self::ContainerDescribed { launch_id, facts } => {
                fixed64::encode(4, &launch_id.0, out);
                message::encode(40, facts.as_ref(), out);
            }
            Self::RegistrationToken { token } => prost::encoding::bytes::encode(12, token, out),
            Self::TaskLaunched { .. }
            | Self::KillRequested { .. }
            | Self::Checked { .. }
            | Self::Update { .. }
            | Self::Acknowledged { .. } => self.encode_of_task(out),
        }
    }

    fn encode_of_task(&self, out: &mut Vec<u8>) {
        use prost::encoding::{fixed64, message, string, uint32, uint64};
        match self {
            Self::TaskLaunched {
                serial,
                framework_id,
                info,
                terms,
                launch_token,
                launch_epoch,
                kind,
                launch_id,
                container_id,
                member,
            } => {
                string::encode(2, framework_id, out);
                uint64::encode(3, &serial.0, out);
                fixed64::encode(4, &launch_id.0, out);
                encode_container(*container_id, out);
                uint64::encode(6, launch_token, out);
                message::encode(7, info.as_ref(), out);
                if let Some(epoch) = launch_epoch {
                    uint64::encode(14, epoch, out);
                }
                uint32::encode(17, &kind_number(*kind), out);
                if let Some(terms) = terms {
                    message::encode(23, terms.as_ref(), out);
                }
                if let Some(member) = member {
                    fixed64::encode(26, &member.pod.0, out);
                    uint64::encode(27, &member.group, out);
                }
            }
            Self::KillRequested {
                serial,
                grace_ns,
                cause,
            } => {
                uint64::encode(3, &serial.0, out);
                uint64::encode(16, grace_ns, out);
                uint32::encode(18, &cause_number(*cause), out);
            }
            Self::Checked { serial, state } => {
                uint64::encode(3, &serial.0, out);
                uint64::encode(19, &state.started_wall_ns, out);
                encode_checks(state, out);
            }
            Self::Update { serial, status } => {
                uint64::encode(3, &serial.0, out);
                message::encode(8, status.as_ref(), out);
            }
            Self::Acknowledged { serial, uuid } => {
                uint64::encode(3, &serial.0, out);
                prost::encoding::bytes::encode(12, uuid, out);
            }
            _ => {}
        }
    }

    /// Reads one record back.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let line =
            Line::decode(bytes).map_err(|error| RecordError::Malformed(error.to_string()))?;
        Self::from_line(line)
    }

    fn kind(&self) -> u32 {
        match self {
            Self::Identity { .. } => 1,
            Self::Framework { .. } => 2,
            Self::FrameworkForgotten { .. } => 3,
            Self::ExecutorLaunched { .. } => 4,
            Self::ExecutorEnded { .. } => 5,
            Self::TaskLaunched { .. } => 6,
            Self::KillRequested { .. } => 7,
            Self::Update { .. } => 8,
            Self::Acknowledged { .. } => 9,
            Self::RegistrationToken { .. } => 10,
            Self::Checked { .. } => 11,
            Self::ContainerLaunched { .. } => 30,
            Self::ContainerEnded { .. } => 31,
            Self::ContainerForgotten { .. } => 32,
            Self::ContainerDescribed { .. } => 20,
        }
    }

    fn from_line(line: Line) -> Result<Self, RecordError> {
        let kind = line.kind;
        let missing = |field| RecordError::MissingField { kind, field };
        Ok(match kind {
            1 => Self::Identity {
                agent: line.agent.map(Arc::new),
                cluster_id: line.cluster_id,
                epoch: line.epoch.ok_or(missing("epoch"))?,
                boot_id: line.boot_id.ok_or(missing("boot_id"))?,
            },
            2 => Self::Framework {
                info: Arc::new(line.framework.ok_or(missing("framework"))?),
            },
            3 => Self::FrameworkForgotten {
                framework_id: line.needed_framework_id()?,
            },
            4 => Self::ExecutorLaunched {
                framework_id: line.needed_framework_id()?,
                container_id: line.needed_container_id()?,
                launch_id: line.needed_launch_id()?,
                info: Arc::new(line.executor.ok_or(missing("executor"))?),
            },
            5 => Self::ExecutorEnded {
                launch_id: line.needed_launch_id()?,
            },
            10 => Self::RegistrationToken {
                token: line.uuid.ok_or(missing("token"))?,
            },
            30 => Self::ContainerLaunched {
                launch_id: line.needed_launch_id()?,
                launch: Arc::new(*line.container.ok_or(missing("container"))?),
            },
            31 => Self::ContainerEnded {
                launch_id: line.needed_launch_id()?,
                termination: Termination {
                    wait_status: line.wait_status,
                    message: line.message,
                },
            },
            32 => Self::ContainerForgotten {
                launch_id: line.needed_launch_id()?,
            },
            20 => Self::ContainerDescribed {
                launch_id: line.needed_launch_id()?,
                facts: line.facts.ok_or(missing("facts"))?,
            },
            6..=9 | 11 => return Self::of_task(line),
            other => return Err(RecordError::UnknownKind(other)),
        })
    }

    fn of_task(line: Line) -> Result<Self, RecordError> {
        let kind = line.kind;
        let missing = |field| RecordError::MissingField { kind, field };
        let serial = line.serial.map(TaskSerial).ok_or(missing("serial"))?;
        Ok(match kind {
            6 => Self::TaskLaunched {
                serial,
                framework_id: line.needed_framework_id()?,
                container_id: line.needed_container_id()?,
                launch_id: line.needed_launch_id()?,
                member: line.member(),
                info: Arc::new(line.task.ok_or(missing("task"))?),
                terms: line.terms,
                launch_token: line.launch_token.ok_or(missing("launch_token"))?,
                launch_epoch: line.epoch,
                kind: kind_of(line.executor_kind.ok_or(missing("executor_kind"))?),
            },
            7 => Self::KillRequested {
                serial,
                grace_ns: line.grace_ns.ok_or(missing("grace_ns"))?,
                // Journals of earlier versions know of one cause only.
                cause: cause_of(line.kill_cause.unwrap_or(0)),
            },
            8 => Self::Update {
                serial,
                status: Arc::new(line.status.ok_or(missing("status"))?),
            },
            9 => Self::Acknowledged {
                serial,
                uuid: line.uuid.ok_or(missing("uuid"))?,
            },
            11 => Self::Checked {
                serial,
                state: CheckState {
                    started_wall_ns: line.started_wall_ns.ok_or(missing("started_wall_ns"))?,
                    health: line.health(),
                    statuses: line
                        .check_status
                        .into_iter()
                        .chain(line.more_statuses)
                        .collect(),
                },
            },
            other => return Err(RecordError::UnknownKind(other)),
        })
    }
}

impl Line {
    /// The first has fields of its own, as long as there was one at most.
    fn health(&self) -> Vec<HealthState> {
        let first = self.ever_healthy.map(|ever_healthy| HealthState {
            ever_healthy,
            failures: self.failures.unwrap_or_default(),
        });
        let more = self.more_health.iter().map(|line| HealthState {
            ever_healthy: line.ever_healthy,
            failures: line.failures,
        });
        first.into_iter().chain(more).collect()
    }

    fn member(&self) -> Option<Membership> {
        Some(Membership {
            pod: LaunchId(self.pod_launch_id?),
            group: self.group?,
        })
    }

    fn missing(&self, field: &'static str) -> RecordError {
        let kind = self.kind;
        RecordError::MissingField { kind, field }
    }

    fn needed_framework_id(&self) -> Result<String, RecordError> {
        let id = self.framework_id.clone();
        id.ok_or_else(|| self.missing("framework_id"))
    }

    fn needed_launch_id(&self) -> Result<LaunchId, RecordError> {
        let id = self.launch_id.map(LaunchId);
        id.ok_or_else(|| self.missing("launch_id"))
    }

    fn needed_container_id(&self) -> Result<ContainerId, RecordError> {
        let id = self.container_id.as_deref().and_then(decode_container);
        id.ok_or_else(|| self.missing("container_id"))
    }
}

fn encode_checks(state: &CheckState, out: &mut Vec<u8>) {
    use prost::encoding::{message, uint32};
    if let Some((first, more)) = state.health.split_first() {
        prost::encoding::bool::encode(20, &first.ever_healthy, out);
        uint32::encode(21, &first.failures, out);
        for health in more {
            let line = HealthLine {
                ever_healthy: health.ever_healthy,
                failures: health.failures,
            };
            message::encode(24, &line, out);
        }
    }
    if let Some((first, more)) = state.statuses.split_first() {
        message::encode(22, first, out);
        for status in more {
            message::encode(25, status, out);
        }
    }
}

fn kind_number(kind: ExecutorKind) -> u32 {
    match kind {
        ExecutorKind::Command => 0,
        ExecutorKind::Custom => 1,
        ExecutorKind::Default => 2,
    }
}

fn kind_of(number: u32) -> ExecutorKind {
    match number {
        0 => ExecutorKind::Command,
        2 => ExecutorKind::Default,
        _ => ExecutorKind::Custom,
    }
}

fn cause_number(cause: KillCause) -> u32 {
    match cause {
        KillCause::Asked => 0,
        KillCause::Unhealthy => 1,
        KillCause::Overdue => 2,
    }
}

fn cause_of(number: u32) -> KillCause {
    match number {
        1 => KillCause::Unhealthy,
        2 => KillCause::Overdue,
        _ => KillCause::Asked,
    }
}

fn encode_container(container_id: ContainerId, out: &mut Vec<u8>) {
    prost::encoding::bytes::encode(5, &container_id.0.0.to_vec(), out);
}

fn decode_container(bytes: &[u8]) -> Option<ContainerId> {
    bytes.try_into().ok().map(|bytes| ContainerId(Uuid(bytes)))
}
