//! The warden and the operating system of one machine: containers that start, end and outlive the agent.

use mezz_agent_core::{
    Event, FetchOutcome, KnownContainer, KnownContainerState, Launch, LaunchId, Probe,
    ProbeOutcome, ProbeTarget, Role, Survival,
};

use crate::attempts::Attempt;
use crate::executor_model::Executor;
use crate::network::{MILLISECOND, SECOND};
use crate::schedule::Occurrence;
use crate::world::{Weather, World};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// One container.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) survival: Survival,
    pub(crate) role: Role,
    pub(crate) started_ns: u64,
    /// Raw wait(2) status, once it has ended.
    pub(crate) exit: Option<i32>,
    /// A custom executor, when it is one.
    pub(crate) executor: Option<Executor>,
    /// What it is an attempt of.
    pub(crate) attempt: Option<Attempt>,
}

/// The program that a custom executor of the simulation runs.
pub(crate) const EXECUTOR_PROGRAM: &str = "executor";
/// A task that ends only when it is killed.
pub(crate) const SERVICE_PROGRAM: &str = "serve";

impl World {
    pub(crate) fn launch_container(&mut self, agent: usize, launch: Launch) {
        let launch_id = launch.launch_id;
        let refused = self.rng.chance(25);
        let after = self.rng.span(20 * MILLISECOND, 2 * SECOND);
        if refused {
            let event = Event::ContainerLaunchFailed {
                launch_id,
                message: "no such program".into(),
            };
            return self.report(agent, after, event);
        }
        self.witness_start(agent, &launch);
        let program = match &launch.command {
            mezz_agent_core::Command::Shell(program)
            | mezz_agent_core::Command::Argv { program, .. } => program.clone(),
        };
        let executor = (program == EXECUTOR_PROGRAM).then(|| Executor::new(&launch));
        let custom = executor.is_some();
        let container = Container {
            survival: launch.survival,
            role: launch.role,
            started_ns: self.now_ns,
            exit: None,
            executor,
            attempt: Attempt::of(&launch).filter(|_| launch.role == Role::Main),
        };
        self.agents[agent].containers.insert(launch_id, container);
        self.report(agent, after, Event::ContainerStarted { launch_id, pid: 7 });
        if custom {
            let first = self.rng.span(300 * MILLISECOND, 90 * SECOND);
            self.schedule.at(
                self.now_ns + after + first,
                Occurrence::ExecutorStep { agent, launch_id },
            );
        } else if program != SERVICE_PROGRAM {
            let run = match launch.role {
                Role::Main => self.rng.span(4 * SECOND, 60 * SECOND),
                Role::Probe | Role::Session => self.rng.span(100 * MILLISECOND, 8 * SECOND),
            };
            let wait_status = if self.rng.chance(800) { 0 } else { 256 };
            // It may end before the start is reported.
            self.schedule.at(
                self.now_ns + run,
                Occurrence::ContainerExit {
                    agent,
                    launch_id,
                    wait_status,
                },
            );
        }
    }

    pub(crate) fn container_exits(&mut self, agent: usize, launch_id: LaunchId, wait_status: i32) {
        let Some(container) = self.agents[agent].containers.get_mut(&launch_id) else {
            return;
        };
        if container.exit.is_some() {
            return;
        }
        container.exit = Some(wait_status);
        let stream = container.executor.as_mut().and_then(Executor::end);
        let after = self.rng.span(5 * MILLISECOND, SECOND);
        self.report(
            agent,
            after,
            Event::ContainerExited {
                launch_id,
                wait_status,
            },
        );
        if let Some(stream) = stream {
            self.report(agent, after, Event::ExecutorStreamClosed { stream });
        }
    }

    pub(crate) fn signal_container(&mut self, agent: usize, launch_id: LaunchId, signal: i32) {
        let Some(container) = self.agents[agent].containers.get(&launch_id) else {
            return;
        };
        if signal == SIGTERM && container.executor.is_none() && self.rng.chance(700) {
            let wait_status = if self.rng.chance(800) { SIGTERM } else { 0 };
            self.soon(
                SECOND,
                Occurrence::ContainerExit {
                    agent,
                    launch_id,
                    wait_status,
                },
            );
        }
    }

    pub(crate) fn kill_container(&mut self, agent: usize, launch_id: LaunchId) {
        self.soon(
            50 * MILLISECOND,
            Occurrence::ContainerExit {
                agent,
                launch_id,
                wait_status: SIGKILL,
            },
        );
    }

    pub(crate) fn fetch(&mut self, agent: usize, launch_id: LaunchId) {
        let outcome = if self.rng.chance(100) && self.weather == Weather::Stormy {
            FetchOutcome::Failed {
                message: "not found".into(),
            }
        } else {
            FetchOutcome::Done
        };
        let after = self.rng.span(500 * MILLISECOND, 10 * SECOND);
        self.report(agent, after, Event::Fetched { launch_id, outcome });
    }

    /// Most probes find their task well; some take long, and are given up.
    pub(crate) fn probe(&mut self, agent: usize, probe: &Probe) {
        let id = probe.id;
        let well = self.rng.chance(800) || self.has_users() && self.weather == Weather::Calm;
        let outcome = match &probe.target {
            ProbeTarget::Tcp { .. } if well => ProbeOutcome::Connected,
            ProbeTarget::Http { .. } if well => ProbeOutcome::Status(200),
            ProbeTarget::Http { .. } if self.rng.chance(500) => ProbeOutcome::Status(503),
            _ => ProbeOutcome::Failed,
        };
        let after = self.rng.span(MILLISECOND, 3 * SECOND);
        self.report(agent, after, Event::Probed { id, outcome });
    }

    /// Tells the present life of an agent something, after a while and after what was told before.
    pub(crate) fn report(&mut self, agent: usize, after_ns: u64, event: Event) {
        let node = &mut self.agents[agent];
        let at = (self.now_ns + after_ns).max(node.last_report_ns);
        node.last_report_ns = at;
        let life = node.life;
        self.schedule.at(
            at,
            Occurrence::AgentReport {
                agent,
                life,
                event: Box::new(event),
            },
        );
    }

    /// The warden notices that the agent is gone.
    pub(crate) fn end_what_does_not_survive(&mut self, agent: usize) {
        let ended: Vec<LaunchId> = self.agents[agent]
            .containers
            .iter()
            .filter(|(_, container)| {
                container.survival == Survival::EndWithAgent && container.exit.is_none()
            })
            .map(|(launch_id, _)| *launch_id)
            .collect();
        for launch_id in ended {
            self.container_exits(agent, launch_id, SIGKILL);
        }
    }

    pub(crate) fn known_containers(&self, agent: usize) -> Vec<KnownContainer> {
        let containers = self.agents[agent].containers.iter();
        let known = containers.map(|(launch_id, container)| KnownContainer {
            launch_id: *launch_id,
            state: match container.exit {
                Some(wait_status) => KnownContainerState::Exited { wait_status },
                None => KnownContainerState::Running { pid: 7 },
            },
        });
        known.collect()
    }
}
