//! The turns of the core's thread for launches that are prepared before they go to the warden.

use std::path::Path;
use std::sync::Arc;

use mezz_agent_core::{
    ContainerFacts, ContainerId, Event, ExecutorRecord, Launch, LaunchId, Role, Surroundings,
};
use mezz_launch_plan::LaunchPlan;
use mezz_warden::{Request, crash_point};

use crate::driver::Driver;
use crate::isolators::Claim;
use crate::launcher::LaunchError;
use crate::log_rotation::LogLimits;
use crate::preparing::{Ending, Finished, Job, Prepared, Wanted, Way};

impl Driver {
    /// Makes the sandbox and what lies in it, then has the rest prepared.
    pub(crate) fn begin_to_prepare(&mut self, mut launch: Launch, way: Way, limits: LogLimits) {
        let launch_id = launch.launch_id;
        let sandbox = self.launcher.sandbox(&launch.sandbox);
        let made = self.furnish_sandbox(&mut launch, &sandbox);
        if let Err(error) = made {
            self.launch_failed(launch_id, error.to_string());
            return;
        }
        let owner = self.launcher.owner(launch.user.as_deref()).cloned();
        let job = Job {
            launch,
            sandbox,
            owner,
            limits,
        };
        self.preparer.start(job, way);
    }

    fn furnish_sandbox(&mut self, launch: &mut Launch, sandbox: &Path) -> Result<(), LaunchError> {
        let files = self.materials.resolve(launch)?;
        self.launcher.make(launch)?;
        let owner = self.launcher.owner(launch.user.as_deref());
        self.materials
            .write_files(launch.launch_id, sandbox, files, owner)?;
        Ok(())
    }

    /// A preparation has ended.
    pub(crate) fn on_prepared(
        &mut self,
        launch_id: LaunchId,
        outcome: Result<Box<Prepared>, String>,
    ) {
        match self.preparer.finished(launch_id, outcome) {
            Finished::Later => {}
            Finished::Failed(message) => {
                self.materials.forget(launch_id);
                self.handle(Event::ContainerLaunchFailed { launch_id, message });
            }
            Finished::Ready {
                wanted,
                limits,
                prepared,
            } => self.launch_prepared(wanted, limits, *prepared),
        }
    }

    fn launch_prepared(&mut self, wanted: Arc<Wanted>, limits: LogLimits, prepared: Prepared) {
        let (launch_id, role) = (wanted.launch_id(), wanted.launch.role);
        crash_point("agent.after_prepare");
        let facts = prepared.facts();
        if *facts != ContainerFacts::default() {
            let facts = Box::new(facts.clone());
            self.handle(Event::ContainerDescribed { launch_id, facts });
        }
        let sandbox = wanted.sandbox.clone();
        let mut launch = match Arc::try_unwrap(wanted) {
            Ok(wanted) => wanted.launch,
            Err(shared) => shared.launch.clone(),
        };
        let claim = Claim::of(&mut launch).enforced_by(prepared.enforcer());
        let planned = self.launcher.plan(launch, prepared).and_then(|mut plan| {
            self.isolators.join(claim, &sandbox, &mut plan)?;
            Ok(plan)
        });
        match planned {
            Ok(plan) => {
                crash_point("agent.after_sandbox");
                self.send_to_warden(plan, role, &sandbox, limits);
            }
            Err(error) => {
                self.preparer.ended(launch_id);
                self.materials.forget(launch_id);
                let message = error.to_string();
                self.handle(Event::ContainerLaunchFailed { launch_id, message });
            }
        }
    }

    /// The warden has started a container; the core is told at once, or when more is known.
    pub(crate) fn on_started(&mut self, launch_id: LaunchId, pid: u32) {
        if !self.preparer.started(launch_id, pid) {
            self.handle(Event::ContainerStarted { launch_id, pid });
        }
    }

    /// More is known of a container that was started.
    pub(crate) fn on_described(&mut self, launch_id: LaunchId, facts: Box<ContainerFacts>) {
        if let Some(pid) = self.preparer.told(launch_id) {
            self.handle(Event::ContainerDescribed { launch_id, facts });
            self.handle(Event::ContainerStarted { launch_id, pid });
        }
    }

    /// A container has ended, or what stood for it: that it started is told first.
    pub(crate) fn on_exited(&mut self, launch_id: LaunchId, wait_status: i32) {
        let started = self.preparer.told(launch_id);
        let ending = self.preparer.ending(launch_id);
        if let Ending::NotStarted(message) = ending {
            self.handle(Event::ContainerLaunchFailed { launch_id, message });
            self.acknowledge_exit(launch_id);
            return;
        }
        if let Some(pid) = started {
            let facts = self.preparer.known(launch_id);
            if facts != ContainerFacts::default() {
                let facts = Box::new(facts);
                self.handle(Event::ContainerDescribed { launch_id, facts });
            }
            self.handle(Event::ContainerStarted { launch_id, pid });
        }
        match ending {
            Ending::Limited(limitation) => self.handle(Event::ContainerLimited {
                launch_id,
                limitation,
            }),
            Ending::Told | Ending::NotStarted(_) => self.explain_end(launch_id, wait_status),
        }
        self.handle(Event::ContainerExited {
            launch_id,
            wait_status,
        });
    }

    /// What the kernel has ended says so itself only by its group.
    pub(crate) fn explain_end(&mut self, launch_id: LaunchId, wait_status: i32) {
        if let Some(limitation) = self.isolators.limitation(launch_id, wait_status) {
            self.handle(Event::ContainerLimited {
                launch_id,
                limitation: Box::new(limitation),
            });
        }
    }

    /// Recovery is complete: what was prepared for those that live is kept.
    pub(crate) fn keep_prepared(&mut self) {
        let records = self.core.records();
        let executors = records
            .frameworks
            .iter()
            .flat_map(|framework| &framework.executors);
        let living = executors.filter(|executor| executor.pid.is_some());
        let living = living
            .map(|executor| {
                let surroundings = surroundings(executor);
                (executor.launch_id, executor.container_id, surroundings)
            })
            .chain(self.living_others())
            .collect();
        self.preparer.recovered(living);
    }

    fn living_others(&mut self) -> Vec<(LaunchId, ContainerId, Surroundings)> {
        let records = self.core.records();
        let living = records
            .containers
            .iter()
            .filter(|container| container.pid.is_some());
        living
            .map(|container| {
                let surroundings = Surroundings::of(container.wanted.container.as_ref(), None);
                let container_id = ContainerId::of_launch(container.launch_id);
                (container.launch_id, container_id, surroundings)
            })
            .collect()
    }

    /// A launch that was asked for in this turn cannot be done.
    pub(crate) fn launch_failed(&mut self, launch_id: LaunchId, message: String) {
        self.materials.forget(launch_id);
        self.isolators.release(launch_id);
        let failed = Event::ContainerLaunchFailed { launch_id, message };
        self.state.follow_up.push(failed);
    }

    /// Everything is there: the warden is to start it.
    pub(crate) fn send_to_warden(
        &mut self,
        plan: LaunchPlan,
        role: Role,
        sandbox: &Path,
        limits: LogLimits,
    ) {
        let launch_id = LaunchId(plan.launch_id.0);
        self.state.live.insert(launch_id);
        self.expect_far_ends(&plan, role, sandbox);
        match role {
            Role::Session => {}
            Role::Main => self.rotation.watch(launch_id, sandbox, limits),
            // It writes into its task's file, which is watched already.
            Role::Probe => {
                self.state.checking.insert(launch_id);
            }
        }
        self.state.requests.push(Request::Launch(Box::new(plan)));
    }
}

fn surroundings(executor: &ExecutorRecord) -> Surroundings {
    let info = executor.info();
    Surroundings::of(info.container.as_deref(), info.labels.as_ref())
}
