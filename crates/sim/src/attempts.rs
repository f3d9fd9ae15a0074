//! What has really been started on the machines: no task twice, and no attempt beside an earlier one of its index, or after
//! one of whose success its agent has told, unless that one was given up by the rule of its job.

use std::collections::{BTreeMap, BTreeSet};

use mezz_agent_core::{Launch, Role};
use mezz_core::records::AgentState;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1::TaskState;
use mezz_state::time::Wall;
use mezz_workload::records::{InstanceRecord, Owner, Phase, Records};

use crate::network::SECOND;
use crate::user_specs::{LOST_AFTER_S, PATIENT};
use crate::world::World;

/// An attempt of an index of a run, as its process is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) task: String,
    /// Job, run and index.
    pub(crate) index: [String; 3],
}

impl Attempt {
    pub(crate) fn of(launch: &Launch) -> Option<Self> {
        let variable = |name: &str| {
            let found = launch.environment.iter().rev().find(|(own, _)| own == name);
            found.map(|(_, value)| value.clone())
        };
        Some(Self {
            task: variable("MEZZ_INSTANCE")?,
            index: [
                variable("MEZZ_JOB")?,
                variable("MEZZ_RUN")?,
                variable("MEZZ_INDEX")?,
            ],
        })
    }
}

/// What the machines and the records have shown so far.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    /// Instances that were started somewhere.
    started: BTreeSet<String>,
    /// Attempts that may be alive although the next one has begun.
    given_up: BTreeSet<String>,
    /// The index of each attempt that was started.
    attempts: BTreeMap<String, [String; 3]>,
    /// Indices whose agent has told of success: by which task, and on which agent.
    done: BTreeMap<[String; 3], (String, usize)>,
    /// Instances of services whose place was free for others when their agent could not be reached.
    pub(crate) let_go: BTreeSet<String>,
}

impl World {
    /// A container of an instance of ours begins.
    pub(crate) fn witness_start(&mut self, agent: usize, launch: &Launch) {
        let own = launch
            .environment
            .iter()
            .find(|(name, _)| name == "MEZZ_INSTANCE");
        let Some((_, task)) = own.filter(|_| launch.role == Role::Main) else {
            return;
        };
        if !self.witness.started.insert(task.clone()) {
            return self.fail(format!("{task} was started twice, now on agent {agent}"));
        }
        let Some(attempt) = Attempt::of(launch) else {
            return;
        };
        if let Some((done, on)) = self.witness.done.get(&attempt.index)
            && !self.witness.given_up.contains(done)
            && !self.is_declared_gone(*on)
        {
            let broken =
                format!("{task} was started, and agent {on} had told of success of {done}");
            return self.fail(broken);
        }
        let index = attempt.index.clone();
        self.witness.attempts.insert(task.clone(), index);
        let others = self.agents.iter().enumerate().flat_map(|(agent, node)| {
            let alive = node.containers.values().filter(|one| one.exit.is_none());
            alive.filter_map(move |one| Some((agent, one.attempt.as_ref()?)))
        });
        let beside = others
            .filter(|(_, other)| other.index == attempt.index)
            .find(|(on, other)| {
                !self.witness.given_up.contains(&other.task) && !self.is_declared_gone(*on)
            });
        if let Some((on, other)) = beside {
            let broken = format!(
                "{task} was started on agent {agent}, and {} still runs on agent {on}",
                other.task
            );
            self.fail(broken);
        }
    }

    /// An agent tells a master something.
    pub(crate) fn witness_update(&mut self, agent: usize, body: &Body) {
        let Body::StatusUpdate(update) = body else {
            return;
        };
        let task = &update.status.task_id.value;
        let is_done = update.status.state() == TaskState::TaskFinished;
        let index = self.witness.attempts.get(task).filter(|_| is_done);
        if let Some(index) = index.cloned() {
            self.witness.done.insert(index, (task.clone(), agent));
        }
    }

    /// Whether an operator has declared the agent gone as which a machine knows itself.
    fn is_declared_gone(&self, agent: usize) -> bool {
        let core = self.agents[agent].core.as_ref();
        core.is_some_and(|core| {
            core.agent_id()
                .is_none_or(|id| self.gone_agents.contains(id))
        })
    }

    /// Notes which attempts may be given up, before and after an event of the master.
    pub(crate) fn witness_records(&mut self, before: &Records) {
        let Some(core) = &self.master.core else {
            return;
        };
        let records = core.records();
        let now = Wall(crate::master_node::WALL_ZERO_NS + self.now_ns);
        let is_lost = |agent: &str| {
            let known = records.agents.iter().find(|(_, one)| *one.id == *agent);
            known.is_none_or(|(_, one)| matches!(one.state, AgentState::Gone | AgentState::Removed))
        };
        let both = before.instances.iter().chain(records.work.instances.iter());
        for (_, one) in both {
            if one.phase == Phase::Unreachable && one.ending.is_some() {
                self.witness.let_go.insert(one.id.to_string());
            }
            let is_ours = matches!(one.owner, Owner::Run { .. });
            if is_ours && (is_overdue(&records.work, one, now) || is_lost(&one.agent.id)) {
                self.witness.given_up.insert(one.id.to_string());
            }
        }
    }
}

fn is_overdue(work: &Records, one: &InstanceRecord, now: Wall) -> bool {
    let object = work.objects.get(one.object.index());
    let is_patient = object.is_some_and(|own| PATIENT.contains(&own.name.as_str()));
    let since = one
        .unreachable_since
        .filter(|_| one.phase == Phase::Unreachable);
    !is_patient && since.is_some_and(|since| since.0 + LOST_AFTER_S * SECOND <= now.0)
}
