//! The run: everything there is, the loop over what happens, and the trace that tells a failure.

use std::collections::{BTreeSet, VecDeque};

use crate::agent_node::AgentNode;
use crate::attempts::Witness;
use crate::disk::Disk;
use crate::fire_times::Reigns;
use crate::framework_node::FrameworkNode;
use crate::master_node::MasterNode;
use crate::network::{Network, Peer, SECOND};
use crate::pauses::{Deposed, Unread};
use crate::recorded::Recorded;
use crate::rng::Rng;
use crate::schedule::{End, Occurrence, Schedule};
use crate::users::Users;

const TRACE_LINES: usize = 400;

/// How large a run is.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Seconds of virtual time in which things go wrong.
    pub chaos_s: u64,
    /// Print the trace as it grows.
    pub verbose: bool,
    /// After every so many events the master goes on as what its snapshot restores; 0: never.
    pub restore_every: u64,
    /// Whether [`World::run_recorded`] has something to tell.
    pub recording: Recording,
    pub users: Users,
}

/// Whether a run is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recording {
    #[default]
    Off,
    On,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            chaos_s: 120,
            verbose: false,
            restore_every: 0,
            recording: Recording::Off,
            users: Users::Nobody,
        }
    }
}

/// What a run has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events that master and agents handled.
    pub events: u64,
    /// Tasks that frameworks asked for.
    pub launched: u64,
    /// Status updates that frameworks received.
    pub updates: u64,
    /// Lives of the master.
    pub master_lives: u64,
    /// Lives of all agents.
    pub agent_lives: u64,
}

/// Whether faults still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Stormy,
    /// Everything is whole; what runs may end, nothing new begins.
    Calm,
}

/// A cluster and its surroundings.
#[derive(Debug)]
pub struct World {
    pub(crate) settings: Settings,
    pub(crate) rng: Rng,
    pub(crate) now_ns: u64,
    pub(crate) schedule: Schedule,
    pub(crate) network: Network,
    pub(crate) disk: Disk,
    pub(crate) master: MasterNode,
    pub(crate) deposed: Deposed,
    pub(crate) agents: Vec<AgentNode>,
    pub(crate) frameworks: Vec<FrameworkNode>,
    pub(crate) weather: Weather,
    pub(crate) summary: Summary,
    /// Ids of agents that an operator declared gone or that stopped for good.
    pub(crate) gone_agents: BTreeSet<String>,
    /// Ids of frameworks that a master has removed.
    pub(crate) removed_frameworks: BTreeSet<String>,
    pub(crate) broken: Option<String>,
    pub(crate) recorded: Recorded,
    pub(crate) witness: Witness,
    pub(crate) reigns: Reigns,
    trace: VecDeque<String>,
}

impl World {
    /// A cluster that is about to start.
    pub fn new(seed: u64, settings: Settings) -> Self {
        let mut rng = Rng::new(seed);
        let agents = (0..=rng.index(4)).map(AgentNode::new).collect();
        let frameworks = (0..=rng.index(4))
            .map(|index| FrameworkNode::new(index, &mut rng))
            .collect();
        let mut world = Self {
            settings,
            rng,
            now_ns: SECOND,
            schedule: Schedule::default(),
            network: Network::default(),
            disk: Disk::default(),
            master: MasterNode::default(),
            deposed: Deposed::default(),
            agents,
            frameworks,
            weather: Weather::Stormy,
            summary: Summary::default(),
            gone_agents: BTreeSet::new(),
            removed_frameworks: BTreeSet::new(),
            broken: None,
            recorded: Recorded::default(),
            witness: Witness::default(),
            reigns: Reigns::default(),
            trace: VecDeque::new(),
        };
        world.soon(SECOND, Occurrence::MasterStart);
        for agent in 0..world.agents.len() {
            world.soon(3 * SECOND, Occurrence::AgentStart { agent });
        }
        if settings.users == Users::Crons {
            world.frameworks.truncate(1);
            world.frameworks[0].over = true;
        }
        let frameworks = match settings.users {
            Users::Crons => 0,
            _ => world.frameworks.len(),
        };
        for framework in 0..frameworks {
            world.soon(5 * SECOND, Occurrence::FrameworkDial { framework });
            world.soon(8 * SECOND, Occurrence::FrameworkTurn { framework });
        }
        world.soon(20 * SECOND, Occurrence::Fault);
        if settings.users != Users::Nobody {
            world.soon(10 * SECOND, Occurrence::UserTurn);
        }
        world
    }

    /// Runs it to its end; what is broken comes with the trace before it.
    pub fn run(self) -> Result<Summary, String> {
        self.run_recorded().0
    }

    /// Runs it, and tells what was written down on the way.
    pub fn run_recorded(mut self) -> (Result<Summary, String>, Recorded) {
        let end_ns = self.settings.chaos_s * SECOND;
        self.run_until(end_ns);
        if self.broken.is_none() {
            self.end();
        }
        self.finish_recording();
        let recorded = std::mem::take(&mut self.recorded);
        let outcome = match self.broken.take() {
            None => Ok(self.summary),
            Some(broken) => {
                let trace: Vec<String> = self.trace.into_iter().collect();
                Err(format!("{}\n\nbroken: {broken}", trace.join("\n")))
            }
        };
        (outcome, recorded)
    }

    pub(crate) fn run_until(&mut self, end_ns: u64) {
        while self.broken.is_none() {
            let Some((at, occurrence)) = self.schedule.pop_until(end_ns) else {
                break;
            };
            self.now_ns = at;
            self.happen(occurrence);
        }
        self.now_ns = self.now_ns.max(end_ns);
    }

    /// Schedules something at a random moment within a span.
    pub(crate) fn soon(&mut self, within_ns: u64, occurrence: Occurrence) {
        let at = self.now_ns + self.rng.below(within_ns);
        self.schedule.at(at, occurrence);
    }

    pub(crate) fn fail(&mut self, broken: String) {
        self.broken.get_or_insert(broken);
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        let line = format!("{:>10.3} {}", self.now_ns as f64 / 1e9, line());
        if self.settings.verbose {
            eprintln!("{line}");
        }
        if self.trace.len() == TRACE_LINES {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }

    fn happen(&mut self, occurrence: Occurrence) {
        match occurrence {
            Occurrence::MasterStart => self.start_master(),
            Occurrence::MasterTimer {
                life,
                key,
                generation,
            } => self.fire_master_timer(life, key, generation),
            Occurrence::MasterResumes { life } => self.master_resumes(life),
            Occurrence::Fenced { life } => self.fenced(life),
            Occurrence::Synced { life, token } => self.synced(life, token),
            Occurrence::Deliver { link, to, bytes } => self.deliver(link, to, &bytes),
            Occurrence::Closed { link, at } => self.closed(link, at),
            Occurrence::AgentStart { agent } => self.start_agent(agent),
            Occurrence::AgentWake { agent, life } => self.wake_agent(agent, life),
            Occurrence::AgentDialled { agent, life } => self.agent_dialled(agent, life),
            Occurrence::AgentReport { agent, life, event } => {
                self.agent_report(agent, life, *event);
            }
            Occurrence::ContainerExit {
                agent,
                launch_id,
                wait_status,
            } => self.container_exits(agent, launch_id, wait_status),
            Occurrence::ExecutorStep { agent, launch_id } => self.executor_step(agent, launch_id),
            Occurrence::FrameworkDial { framework } => self.framework_dials(framework),
            Occurrence::FrameworkTurn { framework } => self.framework_turn(framework),
            Occurrence::Acknowledge {
                framework,
                task,
                uuid,
            } => self.framework_acknowledges(framework, &task, uuid),
            Occurrence::UserTurn => self.user_turn(),
            Occurrence::Fault => self.fault(),
        }
    }

    fn deliver(&mut self, link: u64, to: End, bytes: &[u8]) {
        if !self.network.delivers(self.now_ns, link, to) {
            return;
        }
        let Some(entry) = self.network.link(link) else {
            return;
        };
        let (peer, life) = (entry.peer, entry.master_life);
        if to == End::Master && self.is_deposed(life) {
            let bytes = bytes.to_vec();
            return self.tell_deposed(Unread::Delivery { link, peer, bytes });
        }
        match (to, peer) {
            (End::Master, Peer::Agent(agent)) => self.master_hears_agent(link, agent, bytes),
            (End::Master, Peer::Framework(framework)) => {
                self.master_hears_framework(link, framework, bytes);
            }
            (End::Peer, Peer::Agent(agent)) => self.agent_hears(agent, link, bytes),
            (End::Peer, Peer::Framework(framework)) => self.framework_hears(framework, link, bytes),
        }
    }

    fn closed(&mut self, link: u64, at: End) {
        let Some(entry) = self.network.link(link).cloned() else {
            return;
        };
        if !self.network.notice(link, at) {
            return;
        }
        match (at, entry.peer) {
            (End::Master, peer) if self.is_deposed(entry.master_life) => {
                self.tell_deposed(Unread::Closed { link, peer });
            }
            (End::Master, peer) => self.master_loses(link, entry.master_life, peer),
            (End::Peer, Peer::Agent(agent)) => self.agent_loses(agent, link),
            (End::Peer, Peer::Framework(framework)) => self.framework_loses(framework, link),
        }
    }
}
