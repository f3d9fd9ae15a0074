//! What each effect means outside.

use mezz_agent_core::{Durability, Effect, ExecutorRecord, Fact, Launch, PodSandbox};
use mezz_launch_plan::LaunchId;
use mezz_warden::{Request, SignalScope, crash_point};

use crate::driver::{AgentExit, Driver, DriverError};
use crate::isolators::Claim;
use crate::launcher::LaunchError;
use crate::preparing::{Need, Signaled};

impl Driver {
    /// Performs everything in hand: all checkpoints in one append, then the rest in order.
    pub(crate) fn perform(&mut self) -> Result<(), DriverError> {
        let mut effects = std::mem::take(&mut self.state.effects);
        let mut durability = None;
        for effect in &effects {
            if let Effect::Checkpoint {
                records,
                durability: wanted,
            } = effect
            {
                for record in records {
                    self.journal.add(record);
                }
                durability = durability.max(Some(*wanted));
            }
        }
        if let Some(durability) = durability {
            self.journal.commit(durability)?;
        }
        for effect in effects.drain(..) {
            self.perform_one(effect);
        }
        if self.state.effects.is_empty() {
            // Keeps the room of the batch for the next one.
            self.state.effects = effects;
        }
        Ok(())
    }

    fn perform_one(&mut self, effect: Effect) {
        match effect {
            Effect::Checkpoint {
                durability: Durability::Written | Durability::Synced,
                ..
            } => {}
            Effect::WakeAt { mono_ns } => self.state.wake_at = Some(mono_ns),
            Effect::DialMaster => self.master.dial(),
            Effect::HangUpMaster => self.master.hang_up(),
            Effect::ToMaster(body) => self.state.to_master.push(*body),
            Effect::ToExecutor { stream, event } => self.streams.send(stream, &event),
            Effect::CloseExecutorStream { stream } => self.streams.close(stream),
            Effect::Reply { request, outcome } => self.reply(request, outcome),
            Effect::MakePodSandbox(pod) => self.make_pod_sandbox(&pod),
            Effect::Fetch(fetch) => self.fetcher.start(*fetch),
            Effect::CancelFetch { launch_id } => self.fetcher.cancel(launch_id),
            Effect::Launch(launch) => self.launch(*launch),
            Effect::Resize {
                launch_id,
                allotment,
            } => self.isolators.resize(launch_id, *allotment),
            Effect::Probe(probe) => {
                let network = self.preparer.network(probe.launch_id);
                self.prober.start(*probe, network);
            }
            Effect::CancelProbe { id } => self.prober.cancel(id),
            Effect::Signal { launch_id, signal } => {
                let scope = match self.preparer.signaled(launch_id) {
                    Signaled::Tree => SignalScope::Tree,
                    Signaled::StandIn => SignalScope::Process,
                };
                self.signal(launch_id, signal, scope);
            }
            Effect::SignalMain { launch_id, signal } => {
                self.signal(launch_id, signal, SignalScope::Process);
            }
            Effect::AnswerContainer { request, answer } => {
                if let Some(waiting) = self.state.container_calls.remove(&request) {
                    // Whoever asked may be gone.
                    let _ = waiting.send(answer);
                }
            }
            Effect::RemoveSandbox { sandbox } => self.garbage.remove_now(&sandbox),
            // What is being prepared has no tree yet.
            Effect::KillTree { launch_id } if self.preparer.cancel(launch_id) => {}
            // It is elsewhere: its process comes after it.
            Effect::KillTree { launch_id } if self.preparer.kill(launch_id) => {}
            Effect::KillTree { launch_id } => self.kill_tree(launch_id),
            Effect::EndStray { launch_id } if self.preparer.cancel(launch_id) => {
                self.materials.forget(launch_id);
            }
            Effect::EndStray { launch_id } => {
                self.materials.forget(launch_id);
                self.end_stray(LaunchId(launch_id.0));
            }
            Effect::AcknowledgeExit { launch_id } => self.acknowledge_exit(launch_id),
            Effect::ScheduleSandboxRemoval { sandbox } => self.garbage.schedule(&sandbox),
            Effect::Emit(fact) => self.on_fact(fact),
            Effect::Stop { exit_code, message } => {
                self.state.stop = Some(AgentExit {
                    code: exit_code,
                    message,
                });
            }
        }
    }

    fn launch(&mut self, mut launch: Launch) {
        let (launch_id, role, user) = (launch.launch_id, launch.role, launch.user.clone());
        let environment = launch.environment.iter();
        let limits = self
            .rotation
            .limits(environment.map(|(name, value)| (name.as_str(), value.as_str())));
        let sandbox = self.launcher.sandbox(&launch.sandbox);
        crash_point("agent.before_sandbox");
        let limits = match (self.preparer.need(&launch), limits) {
            (Need::Nothing, limits) => limits,
            (Need::Prepared(way), Ok(limits)) => return self.begin_to_prepare(launch, way, limits),
            (Need::Prepared(_), Err(error)) => {
                return self.launch_failed(launch_id, error.to_string());
            }
            (Need::Unknown(message), _) => return self.launch_failed(launch_id, message),
        };
        let prepared = limits.map_err(LaunchError::from).and_then(|limits| {
            let files = self.materials.resolve(&mut launch)?;
            let claim = Claim::of(&mut launch);
            let mut plan = self.launcher.prepare(launch)?;
            self.isolators.join(claim, &sandbox, &mut plan)?;
            crash_point("agent.after_group");
            let owner = self.launcher.owner(user.as_deref());
            self.materials
                .write_files(launch_id, &sandbox, files, owner)?;
            Ok((plan, limits))
        });
        match prepared {
            Ok((plan, limits)) => {
                crash_point("agent.after_sandbox");
                self.send_to_warden(plan, role, &sandbox, limits);
            }
            Err(error) => self.launch_failed(launch_id, error.to_string()),
        }
    }

    /// The warden may forget an exit, and so may everybody else.
    pub(crate) fn acknowledge_exit(&mut self, launch_id: mezz_agent_core::LaunchId) {
        crash_point("agent.before_acknowledge_exit");
        self.state.live.remove(&launch_id);
        self.materials.forget(launch_id);
        self.isolators.release(launch_id);
        self.preparer.ended(launch_id);
        self.state.requests.push(Request::Acknowledge {
            launch_id: LaunchId(launch_id.0),
        });
    }

    fn signal(&mut self, launch_id: mezz_agent_core::LaunchId, signal: i32, scope: SignalScope) {
        self.state.requests.push(Request::Signal {
            launch_id: LaunchId(launch_id.0),
            signal,
            scope,
        });
    }

    /// Has the warden kill what it runs.
    pub(crate) fn kill_tree(&mut self, launch_id: mezz_agent_core::LaunchId) {
        self.state.requests.push(Request::KillTree {
            launch_id: LaunchId(launch_id.0),
        });
    }

    /// Without it tasks that share nothing run all the same; others say what they miss.
    fn make_pod_sandbox(&mut self, pod: &PodSandbox) {
        if let Err(error) = self.launcher.make_shared(&pod.sandbox, pod.user.as_deref()) {
            tracing::error!(sandbox = pod.sandbox, %error, "the sandbox of a pod cannot be made");
        }
    }

    fn end_stray(&mut self, launch_id: LaunchId) {
        match self.launcher.stray(launch_id) {
            Ok((usual, marker)) => {
                let core_id = mezz_agent_core::LaunchId(launch_id.0);
                let kill = self.isolators.kill_method(core_id, usual);
                self.isolators.release(core_id);
                self.state.requests.push(Request::KillStray {
                    launch_id,
                    kill,
                    marker,
                });
            }
            Err(error) => {
                tracing::error!(%launch_id, %error, "what is left of a container cannot be ended");
            }
        }
    }

    fn on_fact(&mut self, fact: Fact) {
        match fact {
            Fact::RecoveryCompleted { tasks } => {
                tracing::info!(tasks, "recovered");
                self.keep_prepared();
                let records = self.core.records();
                let executors = records
                    .frameworks
                    .iter()
                    .flat_map(|framework| &framework.executors);
                let containers = executors.clone().flat_map(|executor| executor.containers());
                containers
                    .clone()
                    .for_each(|container| self.take_up_again(container));
                self.take_up_terminals();
                let executors = records
                    .frameworks
                    .iter()
                    .flat_map(|framework| &framework.executors);
                let containers = executors.clone().flat_map(|executor| executor.containers());
                let sandboxes = executors.map(|executor| &executor.sandbox);
                let used = sandboxes
                    .chain(containers.map(|container| &container.sandbox))
                    .map(|sandbox| self.launcher.sandbox(sandbox))
                    .collect();
                if let Err(error) = self.garbage.adopt_leftovers(used) {
                    tracing::warn!(%error, "sandboxes of earlier lives stay until the next start");
                }
            }
            Fact::Registered { agent_id } => {
                tracing::info!(agent_id, "registered with the master");
                self.registered.send_replace(Some(agent_id));
            }
            Fact::MasterLost { reason } => tracing::warn!(reason, "no session with a master"),
            Fact::RefusedByMaster { message } => tracing::error!(message, "refused by the master"),
            Fact::Ignored { message } => tracing::debug!(message, "ignored"),
        }
    }

    /// A container of an earlier life keeps the limits of its output. It was launched, so they can be followed.
    fn take_up_again(&self, executor: &ExecutorRecord) {
        if executor.pid.is_none() {
            return;
        }
        let sandbox = self.launcher.sandbox(&executor.sandbox);
        self.isolators.adopt(
            executor.launch_id,
            &executor.container_id.to_string(),
            &sandbox,
        );
        let variables = executor.environment();
        let pairs = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        if let Ok(limits) = self.rotation.limits(pairs) {
            self.rotation.watch(executor.launch_id, &sandbox, limits);
        }
    }
}
