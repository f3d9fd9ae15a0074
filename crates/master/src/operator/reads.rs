//! The answers of the GET_* calls, made from a view.

use std::collections::BTreeMap;

use mezz_core::key::{AgentKey, FrameworkKey};
use mezz_core::records::{
    AgentRecord, AgentState, FrameworkRecord, FrameworkState, OfferRecord, TaskList,
};
use mezz_core::time::Wall;
use mezz_proto::v1;
use mezz_proto::v1::master::call::Type as CallType;
use mezz_proto::v1::master::response::get_agents::Agent;
use mezz_proto::v1::master::response::get_frameworks::Framework;
use mezz_proto::v1::master::{Response as Answer, response};
use prost::Message as _;

use super::role_reads::{roles, weights};
use crate::options::VERSION;
use crate::shared::Shared;
use crate::view::View;

/// The answer of a reading call; `None` when the call does not read or is not built. The large ones are made in
/// [`super::large`].
pub(super) fn answer(shared: &Shared, view: &View, kind: CallType) -> Option<Answer> {
    of_master(shared, view, kind).or_else(|| of_cluster(view, kind))
}

fn of(kind: response::Type) -> Answer {
    Answer {
        r#type: Some(kind as i32),
        ..Answer::default()
    }
}

/// What is asked of the master itself.
fn of_master(shared: &Shared, view: &View, kind: CallType) -> Option<Answer> {
    Some(match kind {
        CallType::GetHealth => Answer {
            get_health: Some(response::GetHealth { healthy: true }),
            ..of(response::Type::GetHealth)
        },
        CallType::GetFlags => Answer {
            get_flags: Some(flags(shared)),
            ..of(response::Type::GetFlags)
        },
        CallType::GetVersion => Answer {
            get_version: Some(version()),
            ..of(response::Type::GetVersion)
        },
        CallType::GetMetrics => {
            let metrics = crate::metrics::snapshot(shared, view)
                .into_iter()
                .map(|(name, value)| v1::Metric {
                    name,
                    value: Some(value),
                })
                .collect();
            Answer {
                get_metrics: Some(response::GetMetrics { metrics }),
                ..of(response::Type::GetMetrics)
            }
        }
        CallType::GetLoggingLevel => Answer {
            get_logging_level: Some(response::GetLoggingLevel {
                level: shared.logging.get(),
            }),
            ..of(response::Type::GetLoggingLevel)
        },
        CallType::GetMaster => Answer {
            get_master: Some(master(shared, view)),
            ..of(response::Type::GetMaster)
        },
        _ => return None,
    })
}

/// What is asked of the cluster.
fn of_cluster(view: &View, kind: CallType) -> Option<Answer> {
    Some(match kind {
        CallType::GetAgents => Answer {
            get_agents: Some(agents(view)),
            ..of(response::Type::GetAgents)
        },
        CallType::GetFrameworks => Answer {
            get_frameworks: Some(frameworks(view)),
            ..of(response::Type::GetFrameworks)
        },
        CallType::GetExecutors => Answer {
            get_executors: Some(executors(view)),
            ..of(response::Type::GetExecutors)
        },
        CallType::GetOperations => Answer {
            get_operations: Some(response::GetOperations::default()),
            ..of(response::Type::GetOperations)
        },
        CallType::GetRoles => Answer {
            get_roles: Some(roles(view)),
            ..of(response::Type::GetRoles)
        },
        CallType::GetWeights => Answer {
            get_weights: weights(view),
            ..of(response::Type::GetWeights)
        },
        CallType::GetQuota => Answer {
            get_quota: Some(response::GetQuota::default()),
            ..of(response::Type::GetQuota)
        },
        CallType::GetMaintenanceStatus => Answer {
            get_maintenance_status: Some(response::GetMaintenanceStatus::default()),
            ..of(response::Type::GetMaintenanceStatus)
        },
        CallType::GetMaintenanceSchedule => Answer {
            get_maintenance_schedule: Some(response::GetMaintenanceSchedule::default()),
            ..of(response::Type::GetMaintenanceSchedule)
        },
        _ => return None,
    })
}

fn flags(shared: &Shared) -> response::GetFlags {
    let flags = shared.flags.iter().map(|(name, value)| v1::Flag {
        name: name.clone(),
        value: Some(value.clone()),
    });
    response::GetFlags {
        flags: flags.collect(),
    }
}

fn version() -> response::GetVersion {
    let version_info = v1::VersionInfo {
        version: VERSION.into(),
        build_date: Some(String::new()),
        build_time: Some(0.0),
        build_user: Some(String::new()),
        ..v1::VersionInfo::default()
    };
    response::GetVersion { version_info }
}

/// Tasks, executors, frameworks and agents in one answer.
pub(super) fn state(view: &View) -> response::GetState {
    response::GetState {
        get_tasks: Some(tasks(view)),
        ..state_without_tasks(view)
    }
}

/// Executors, frameworks and agents.
pub(super) fn state_without_tasks(view: &View) -> response::GetState {
    response::GetState {
        get_tasks: None,
        get_executors: Some(executors(view)),
        get_frameworks: Some(frameworks(view)),
        get_agents: Some(agents(view)),
    }
}

fn tasks(view: &View) -> response::GetTasks {
    let mut answer = response::GetTasks::default();
    for (_, task) in view.records.tasks.iter() {
        // The core encodes the records itself; one that does not decode has no fields to show.
        let wire = v1::Task::decode(&*task.wire).unwrap_or_default();
        match task.list {
            TaskList::Live => answer.tasks.push(wire),
            TaskList::Unreachable => answer.unreachable_tasks.push(wire),
            TaskList::Completed => answer.completed_tasks.push(wire),
        }
    }
    answer
}

pub(super) fn executors(view: &View) -> response::GetExecutors {
    let executors =
        view.records
            .executors
            .iter()
            .map(|(_, executor)| response::get_executors::Executor {
                executor_info: (*executor.info).clone(),
                agent_id: v1::AgentId {
                    value: view
                        .records
                        .agents
                        .get(executor.agent.index())
                        .map(|agent| agent.id.to_string())
                        .unwrap_or_default(),
                },
            });
    response::GetExecutors {
        executors: executors.collect(),
        ..response::GetExecutors::default()
    }
}

fn agents(view: &View) -> response::GetAgents {
    let mut answer = response::GetAgents::default();
    for (_, record) in view.records.agents.iter() {
        match record.state {
            AgentState::Connected | AgentState::Disconnected => answer.agents.push(agent(record)),
            AgentState::Recovered => answer.recovered_agents.push(agent_info(record)),
            AgentState::Unreachable | AgentState::Gone | AgentState::Removed => {}
        }
    }
    answer
}

pub(super) fn agent_info(record: &AgentRecord) -> v1::AgentInfo {
    v1::AgentInfo {
        id: Some(v1::AgentId {
            value: record.id.to_string(),
        }),
        // Every agent checkpoints; Mesos still tells so in its old field.
        checkpoint: Some(true),
        ..record.whole_info()
    }
}

/// One agent as GET_AGENTS and AGENT_ADDED show it.
pub(super) fn agent(record: &AgentRecord) -> Agent {
    let capabilities = record
        .capabilities
        .iter()
        .filter_map(|name| v1::agent_info::capability::Type::from_str_name(name))
        .map(|kind| v1::agent_info::Capability {
            r#type: Some(kind as i32),
        })
        .collect();
    Agent {
        agent_info: agent_info(record),
        active: record.is_active(),
        deactivated: Some(record.deactivated),
        version: record.version.to_string(),
        pid: Some(record.pid()),
        registered_time: Some(time(record.registered_at)),
        reregistered_time: record.reregistered_at.map(time),
        total_resources: record.total.to_proto_endpoint(),
        allocated_resources: record.used.to_proto_endpoint(),
        offered_resources: record.offered.to_proto_endpoint(),
        capabilities,
        ..Agent::default()
    }
}

fn time(wall: Wall) -> v1::TimeInfo {
    v1::TimeInfo {
        nanoseconds: wall.nanoseconds(),
    }
}

pub(super) fn frameworks(view: &View) -> response::GetFrameworks {
    let mut offers: BTreeMap<FrameworkKey, Vec<v1::Offer>> = BTreeMap::new();
    let executors = executor_ids(view);
    for (_, record) in view.records.offers.iter() {
        offers
            .entry(record.framework)
            .or_default()
            .push(offer(view, record, &executors));
    }
    let mut answer = response::GetFrameworks::default();
    for (_, record) in view.records.frameworks.iter() {
        let mut shown = framework_without_offers(record);
        shown.offers = offers.remove(&record.key).unwrap_or_default();
        if record.state == FrameworkState::Completed {
            answer.completed_frameworks.push(shown);
        } else {
            answer.frameworks.push(shown);
        }
    }
    answer
}

/// One framework as FRAMEWORK_ADDED and FRAMEWORK_UPDATED show it.
pub(super) fn framework(view: &View, record: &FrameworkRecord) -> Framework {
    let offers = view
        .records
        .offers
        .iter()
        .filter(|(_, offer)| offer.framework == record.key);
    let executors = executor_ids(view);
    Framework {
        offers: offers
            .map(|(_, record)| offer(view, record, &executors))
            .collect(),
        ..framework_without_offers(record)
    }
}

fn framework_without_offers(record: &FrameworkRecord) -> Framework {
    let active = record.state == FrameworkState::Active;
    Framework {
        framework_info: (*record.info).clone(),
        active,
        connected: active,
        recovered: record.state == FrameworkState::Recovered,
        registered_time: Some(time(record.registered_at)),
        reregistered_time: Some(time(record.reregistered_at.unwrap_or(record.registered_at))),
        unregistered_time: record.unregistered_at.map(time),
        allocated_resources: record.used.to_proto_endpoint(),
        offered_resources: record.offered.to_proto_endpoint(),
        offer_constraints: Some(
            record
                .offer_constraints
                .as_deref()
                .cloned()
                .unwrap_or_default(),
        ),
        ..Framework::default()
    }
}

type ExecutorIds = BTreeMap<(FrameworkKey, AgentKey), Vec<v1::ExecutorId>>;

/// The custom executors of each framework on each agent.
fn executor_ids(view: &View) -> ExecutorIds {
    let mut ids = ExecutorIds::new();
    for (_, executor) in view.records.executors.iter() {
        let place = ids.entry((executor.framework, executor.agent)).or_default();
        place.push(v1::ExecutorId {
            value: executor.id.to_string(),
        });
    }
    ids
}

/// An outstanding offer with all that its framework saw.
fn offer(view: &View, record: &OfferRecord, executors: &ExecutorIds) -> v1::Offer {
    let framework = view.records.frameworks.get(record.framework.index());
    let mut offer = v1::Offer {
        id: v1::OfferId {
            value: record.id.to_string(),
        },
        framework_id: v1::FrameworkId {
            value: framework.map(|one| one.id.to_string()).unwrap_or_default(),
        },
        resources: record.resources.to_proto(),
        allocation_info: Some(v1::resource::AllocationInfo {
            role: Some(record.role.to_string()),
        }),
        executor_ids: executors
            .get(&(record.framework, record.agent))
            .cloned()
            .unwrap_or_default(),
        ..v1::Offer::default()
    };
    let executors = view.records.executors.iter().map(|(_, executor)| executor);
    offer.executor_ids = executors
        .filter(|executor| executor.agent == record.agent && executor.framework == record.framework)
        .map(|executor| v1::ExecutorId {
            value: executor.id.to_string(),
        })
        .collect();
    if let Some(agent) = view.records.agents.get(record.agent.index()) {
        offer.agent_id = v1::AgentId {
            value: agent.id.to_string(),
        };
        offer.hostname.clone_from(&agent.info.hostname);
        offer.domain.clone_from(&agent.info.domain);
        offer.attributes.clone_from(&agent.info.attributes);
        offer.url = Some(v1::Url {
            scheme: "http".into(),
            address: v1::Address {
                hostname: Some(agent.info.hostname.clone()),
                ip: Some(agent.ip.to_string()),
                port: agent.info.port(),
            },
            path: Some("/slave(1)".into()),
            ..v1::Url::default()
        });
    }
    offer
}

fn master(shared: &Shared, view: &View) -> response::GetMaster {
    let master = &view.records.master;
    response::GetMaster {
        master_info: Some(master.info.clone()),
        start_time: Some(shared.started_at.seconds()),
        elected_time: master.elected_at.map(Wall::seconds),
    }
}
