//! The agent's process: the real core, its journal, its session; what is written survives the process.

use std::collections::{BTreeMap, BTreeSet};

use mezz_agent_core::{
    AgentCore, Config, Effect, Event, LaunchId, Now, Record, Recovery, StopRequest,
};
use mezz_core::is_terminal;
use mezz_proto::agent_protocol::Frame;
use mezz_proto::{decode_binary, v1};
use prost::Message;

use crate::master_node::WALL_ZERO_NS;
use crate::network::{MILLISECOND, Peer, SECOND};
use crate::processes::Container;
use crate::schedule::{End, Occurrence};
use crate::world::World;

/// One machine.
#[derive(Debug)]
pub(crate) struct AgentNode {
    pub(crate) core: Option<Box<AgentCore>>,
    pub(crate) life: u64,
    pub(crate) containers: BTreeMap<LaunchId, Container>,
    pub(crate) last_report_ns: u64,
    pub(crate) next_request: u64,
    /// No dial succeeds before.
    pub(crate) unreachable_until_ns: u64,
    /// How often its machine has started anew.
    pub(crate) boots: u64,
    /// Effects that it performs before it is killed.
    pub(crate) fuse: Option<u64>,
    /// Uuids of terminal updates that reached the journal, with framework and task, and the agent id of then.
    pub(crate) promised: BTreeMap<Vec<u8>, (String, String)>,
    /// Serials of tasks by framework and task id, as the journal says.
    serials: BTreeMap<u64, (String, String)>,
    resources: String,
    journal: Vec<Vec<u8>>,
    link: Option<u64>,
    index: usize,
}

impl AgentNode {
    pub(crate) fn new(index: usize) -> Self {
        Self {
            core: None,
            life: 0,
            containers: BTreeMap::new(),
            last_report_ns: 0,
            next_request: 0,
            unreachable_until_ns: 0,
            boots: 0,
            fuse: None,
            promised: BTreeMap::new(),
            serials: BTreeMap::new(),
            resources: format!("cpus:{};mem:4096;disk:1000;ports:[31000-31999]", 2 + index),
            journal: Vec::new(),
            link: None,
            index,
        }
    }

    fn config(&self, seed: u64) -> Config {
        let resources = mezz_resource::parse_text(&self.resources, "*").expect("well formed above");
        let agent = v1::AgentInfo {
            hostname: format!("host-{}", self.index),
            port: Some(5051),
            resources: resources.to_proto(),
            ..v1::AgentInfo::default()
        };
        Config::new(agent, "/work", "127.0.0.1", 5051, seed)
    }
}

impl World {
    pub(crate) fn start_agent(&mut self, agent: usize) {
        let seed = self.rng.number();
        let containers = self.known_containers(agent);
        let node = &mut self.agents[agent];
        if node.core.is_some() {
            return;
        }
        node.life += 1;
        node.link = None;
        node.fuse = None;
        node.last_report_ns = self.now_ns;
        node.core = Some(Box::new(AgentCore::new(node.config(seed))));
        let records: Result<Vec<Record>, _> = node
            .journal
            .iter()
            .map(|line| Record::decode(line))
            .collect();
        let boot_id = format!("boot-{}", node.boots);
        self.summary.agent_lives += 1;
        self.note(|| format!("agent {agent} starts"));
        match records {
            Ok(records) => {
                let recovery = Recovery {
                    limited: Vec::new(),
                    records,
                    boot_id,
                    containers,
                };
                self.agent_event(agent, Event::Recovered(Box::new(recovery)));
            }
            Err(error) => self.fail(format!("agent {agent} cannot read its journal: {error}")),
        }
    }

    /// The process is gone; the warden and what survives stay.
    pub(crate) fn kill_agent(&mut self, agent: usize, back_within_ns: u64) {
        if self.agents[agent].core.take().is_none() {
            return;
        }
        self.note(|| format!("agent {agent} dies"));
        let life = self.agents[agent].life;
        self.agents[agent].link = None;
        self.network.drop_all(
            self.now_ns,
            End::Peer,
            |link| link.peer == Peer::Agent(agent) && link.peer_life == life,
            &mut self.rng,
            &mut self.schedule,
        );
        self.end_what_does_not_survive(agent);
        self.close_executor_streams(agent);
        self.soon(back_within_ns, Occurrence::AgentStart { agent });
    }

    /// The machine starts anew: its disk is what it was, its processes and the warden are gone.
    pub(crate) fn reboot(&mut self, agent: usize) {
        self.kill_agent(agent, 60 * SECOND);
        let node = &mut self.agents[agent];
        if node.core.is_none() {
            node.boots += 1;
            node.containers.clear();
            self.note(|| format!("the machine of agent {agent} starts anew"));
        }
    }

    pub(crate) fn agent_event(&mut self, agent: usize, event: Event) {
        let now = Now {
            mono_ns: self.now_ns,
            wall_ns: WALL_ZERO_NS + self.now_ns,
        };
        let Some(core) = self.agents[agent].core.as_mut() else {
            return;
        };
        let mut effects = Vec::new();
        let told = event.clone();
        core.handle(now, event, &mut effects);
        self.summary.events += 1;
        if let Err(broken) = core.check_invariants() {
            return self.fail(format!("agent {agent}: {broken}\nafter {told:?}"));
        }
        let life = self.agents[agent].life;
        for effect in effects {
            if let Some(fuse) = &mut self.agents[agent].fuse {
                if *fuse == 0 {
                    return self.kill_agent(agent, 10 * SECOND);
                }
                *fuse -= 1;
            }
            self.agent_effect(agent, effect);
            if self.agents[agent].core.is_none() || self.agents[agent].life != life {
                return;
            }
        }
    }

    fn agent_effect(&mut self, agent: usize, effect: Effect) {
        let life = self.agents[agent].life;
        match effect {
            Effect::Checkpoint { records, .. } => self.write_journal(agent, &records),
            Effect::WakeAt { mono_ns } => {
                self.schedule.at(
                    mono_ns.max(self.now_ns),
                    Occurrence::AgentWake { agent, life },
                );
            }
            Effect::DialMaster => {
                self.soon(20 * MILLISECOND, Occurrence::AgentDialled { agent, life });
            }
            Effect::HangUpMaster => {
                let link = self.agents[agent].link.take();
                if let Some(link) = link {
                    self.close(link, End::Peer);
                }
                self.report(
                    agent,
                    MILLISECOND,
                    Event::MasterDisconnected {
                        reason: "hung up".into(),
                    },
                );
            }
            Effect::ToMaster(body) => {
                if let Some(link) = self.agents[agent].link {
                    self.witness_update(agent, &body);
                    let frame = Frame {
                        body: Some(*body),
                        ..Frame::default()
                    };
                    self.send(link, End::Master, frame.encode_to_vec());
                }
            }
            Effect::ToExecutor { stream, event } => self.executor_hears(agent, stream, &event),
            Effect::CloseExecutorStream { stream } => self.executor_loses(agent, stream),
            Effect::Fetch(fetch) => self.fetch(agent, fetch.launch_id),
            Effect::Launch(launch) => self.launch_container(agent, *launch),
            Effect::Probe(probe) => self.probe(agent, &probe),
            Effect::Signal { launch_id, signal } => self.signal_container(agent, launch_id, signal),
            Effect::KillTree { launch_id } => self.kill_container(agent, launch_id),
            // The model's warden loses nothing, so a stray one is at most a container that has ended.
            Effect::AcknowledgeExit { launch_id } | Effect::EndStray { launch_id } => {
                self.agents[agent].containers.remove(&launch_id);
            }
            Effect::Stop { exit_code, message } => self.agent_stops(agent, exit_code, &message),
            Effect::Emit(fact) => self.note(|| format!("agent {agent}: {fact:?}")),
            Effect::CancelFetch { .. }
            | Effect::CancelProbe { .. }
            | Effect::MakePodSandbox(_)
            | Effect::Reply { .. }
            | Effect::Resize { .. }
            // Nobody asks for containers inside of others here.
            | Effect::SignalMain { .. }
            | Effect::RemoveSandbox { .. }
            | Effect::AnswerContainer { .. }
            | Effect::ScheduleSandboxRemoval { .. } => {}
        }
    }

    fn agent_stops(&mut self, agent: usize, exit_code: u8, message: &str) {
        self.note(|| format!("agent {agent} stops with {exit_code}: {message}"));
        if exit_code != 0 {
            return self.fail(format!("agent {agent} gave up: {message}"));
        }
        if let Some(link) = self.agents[agent].link.take() {
            self.close(link, End::Peer);
        }
        self.kill_agent(agent, 20 * SECOND);
    }

    fn write_journal(&mut self, agent: usize, records: &[Record]) {
        let node = &mut self.agents[agent];
        for record in records {
            let mut line = Vec::new();
            record.encode(&mut line);
            node.journal.push(line);
            match record {
                Record::Identity { agent: None, .. } => node.promised.clear(),
                Record::FrameworkForgotten { framework_id } => {
                    node.promised
                        .retain(|_, (framework, _)| framework != framework_id);
                }
                Record::TaskLaunched {
                    serial,
                    framework_id,
                    info,
                    ..
                } => {
                    node.serials
                        .insert(serial.0, (framework_id.clone(), info.task_id.value.clone()));
                }
                Record::Update { serial, status } if is_terminal(status.state()) => {
                    if let (Some(place), Some(uuid)) = (node.serials.get(&serial.0), &status.uuid) {
                        node.promised.insert(uuid.to_vec(), place.clone());
                    }
                }
                _ => {}
            }
        }
    }

    /// Compaction: the journal becomes the shortest one that leads to the same state.
    pub(crate) fn compact_journal(&mut self, agent: usize) {
        let node = &mut self.agents[agent];
        let Some(core) = &node.core else { return };
        node.journal = core
            .snapshot()
            .iter()
            .map(|record| {
                let mut line = Vec::new();
                record.encode(&mut line);
                line
            })
            .collect();
    }

    pub(crate) fn wake_agent(&mut self, agent: usize, life: u64) {
        if self.agents[agent].life == life {
            self.agent_event(agent, Event::Wake);
        }
    }

    pub(crate) fn agent_dialled(&mut self, agent: usize, life: u64) {
        let node = &self.agents[agent];
        if node.life != life || node.core.is_none() {
            return;
        }
        if self.master.core.is_none() || self.now_ns < node.unreachable_until_ns {
            return self.agent_event(
                agent,
                Event::MasterDisconnected {
                    reason: "refused".into(),
                },
            );
        }
        let link = self
            .network
            .open(Peer::Agent(agent), life, self.master.life);
        self.agents[agent].link = Some(link);
        self.agent_event(agent, Event::MasterConnected);
    }

    pub(crate) fn agent_report(&mut self, agent: usize, life: u64, event: Event) {
        if self.agents[agent].life == life {
            self.agent_event(agent, event);
        }
    }

    pub(crate) fn agent_hears(&mut self, agent: usize, link: u64, bytes: &[u8]) {
        if self.agents[agent].link != Some(link) {
            return;
        }
        match decode_binary::<Frame>(bytes) {
            Ok(Frame {
                body: Some(body), ..
            }) => self.agent_event(agent, Event::FromMaster(Box::new(body))),
            other => self.fail(format!("the master sent what is no frame: {other:?}")),
        }
    }

    pub(crate) fn agent_loses(&mut self, agent: usize, link: u64) {
        if self.agents[agent].link == Some(link) {
            self.agents[agent].link = None;
            self.agent_event(
                agent,
                Event::MasterDisconnected {
                    reason: "the connection broke".into(),
                },
            );
        }
    }

    pub(crate) fn stop_agent(&mut self, agent: usize, request: StopRequest) {
        self.note(|| format!("agent {agent} is asked to stop: {request:?}"));
        self.agent_event(agent, Event::Stop(request));
    }

    /// Tasks that an agent holds, by framework and task, with their states.
    pub(crate) fn held_tasks(&mut self, agent: usize) -> BTreeMap<(String, String), v1::TaskState> {
        let Some(core) = self.agents[agent].core.as_mut() else {
            return BTreeMap::new();
        };
        let mut held = BTreeMap::new();
        for framework in &core.records().frameworks {
            let id = framework
                .info
                .id
                .as_ref()
                .map(|id| id.value.clone())
                .unwrap_or_default();
            for executor in &framework.executors {
                for task in executor.tasks.iter().chain(&executor.queued) {
                    held.insert((id.clone(), task.info.task_id.value.clone()), task.state);
                }
            }
        }
        held
    }

    /// Launches that an agent's records show.
    pub(crate) fn known_launches(&mut self, agent: usize) -> BTreeSet<LaunchId> {
        let Some(core) = self.agents[agent].core.as_mut() else {
            return BTreeSet::new();
        };
        let records = core.records();
        let executors = records
            .frameworks
            .iter()
            .flat_map(|framework| &framework.executors);
        let containers = executors.flat_map(|executor| executor.containers());
        containers.map(|container| container.launch_id).collect()
    }
}
