//! Registration with the master: dialling, greeting, registering, silence, and whom to obey.

use crate::agent::{AgentCore, Identity, Phase, Turn};
use crate::effect::{Durability, Effect, Fact};
use crate::journal::Record;
use crate::session_state::SessionState;
use crate::timers::TimerKey;
use bytes::Bytes;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::refused::Action;
use mezz_proto::agent_protocol::{Admitted, Hello, Ping, Pong, Refused, Register, Registered};
use mezz_proto::v1::AgentInfo;
use std::sync::Arc;

/// The version of the session protocol that we speak.
const PROTOCOL_VERSION: u32 = 1;
const MAX_BACKOFF_NS: u64 = 60_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

impl AgentCore {
    pub(crate) fn is_registered(&self) -> bool {
        self.session.state == SessionState::Registered
    }

    pub(crate) fn dial(&mut self, turn: &mut Turn<'_>) {
        if self.session.state == SessionState::Idle && matches!(self.phase, Phase::Running) {
            self.session.state = SessionState::Dialling;
            turn.push(Effect::DialMaster);
        }
    }

    pub(crate) fn on_master_connected(&mut self, turn: &mut Turn<'_>) {
        if self.session.state != SessionState::Dialling {
            turn.push(Effect::HangUpMaster);
            return;
        }
        self.session.state = SessionState::Greeted;
        self.expect_ping(turn);
        turn.push(Effect::ToMaster(Box::new(Body::Hello(Hello {
            protocol_version: PROTOCOL_VERSION,
            mezz_version: self.config.mezz_version.clone(),
            cluster_id: self.identity.cluster_id.clone(),
            epoch: Some(self.identity.epoch),
            agent_id: self.identity.agent.id.clone(),
            boot_id: self.identity.boot_id.clone(),
            authentication: None,
            window: Some(self.config.window),
        }))));
    }

    pub(crate) fn on_master_disconnected(&mut self, turn: &mut Turn<'_>, reason: String) {
        if self.session.state == SessionState::Idle {
            return;
        }
        self.records = None;
        self.session.state = SessionState::Idle;
        self.timers.cancel(TimerKey::MasterSilence);
        self.pause_updates();
        turn.push(Effect::Emit(Fact::MasterLost { reason }));
        let factor_ns = u64::try_from(self.config.registration_backoff_factor.as_nanos())
            .unwrap_or(MAX_BACKOFF_NS);
        let limit = factor_ns
            .saturating_mul(1 << self.session.attempts.min(16))
            .min(MAX_BACKOFF_NS);
        self.session.attempts = self.session.attempts.saturating_add(1);
        let wait = self.rng.up_to(limit).max(self.session.retry_after_ns);
        self.session.retry_after_ns = 0;
        self.timers
            .set(TimerKey::Dial, turn.now.mono_ns.saturating_add(wait));
    }

    /// No ping for the ping timeout: the session is as good as dead.
    pub(crate) fn on_master_silence(&mut self, turn: &mut Turn<'_>) {
        self.hang_up(turn);
    }

    pub(crate) fn hang_up(&mut self, turn: &mut Turn<'_>) {
        if matches!(
            self.session.state,
            SessionState::Idle | SessionState::HangingUp
        ) {
            return;
        }
        self.records = None;
        self.session.state = SessionState::HangingUp;
        self.timers.cancel(TimerKey::MasterSilence);
        self.pause_updates();
        turn.push(Effect::HangUpMaster);
    }

    fn expect_ping(&mut self, turn: &Turn<'_>) {
        self.timers.set(
            TimerKey::MasterSilence,
            turn.now
                .mono_ns
                .saturating_add(self.session.ping_timeout_ns),
        );
    }

    pub(crate) fn on_master_message(&mut self, turn: &mut Turn<'_>, body: Body) {
        if matches!(
            self.session.state,
            SessionState::Idle | SessionState::Dialling | SessionState::HangingUp
        ) {
            return;
        }
        match body {
            Body::Ping(ping) => self.on_ping(turn, ping),
            Body::Admitted(admitted) => self.on_admitted(turn, admitted),
            Body::Refused(refused) => self.on_refused(turn, &refused),
            Body::Registered(registered) => self.on_registered(turn, registered),
            Body::ShutdownAgent(shutdown) => self.on_shutdown_agent(turn, shutdown.message),
            other if self.session.state == SessionState::Registered => self.on_order(turn, other),
            _ => turn.ignored(
                "message of a master under which this agent has not registered".to_owned(),
            ),
        }
    }

    fn on_order(&mut self, turn: &mut Turn<'_>, body: Body) {
        match body {
            Body::RunTasks(_) | Body::RunGroup(_) if self.phase != Phase::Running => {
                turn.ignored("launches for an agent that is ending".to_owned());
            }
            Body::RunTasks(run) => self.on_run_tasks(turn, run),
            Body::RunGroup(run) => self.on_run_group(turn, run),
            Body::KillTask(kill) => self.on_kill_task(turn, &kill),
            Body::AcknowledgeUpdate(acknowledgement) => {
                self.on_acknowledge_update(turn, &acknowledgement);
            }
            Body::FrameworkMessage(message) => self.on_framework_message(turn, message),
            Body::ShutdownExecutor(shutdown) => self.on_shutdown_executor(turn, &shutdown),
            Body::ShutdownFramework(shutdown) => {
                self.on_shutdown_framework(turn, &shutdown.framework_id.value);
            }
            Body::UpdateFramework(update) => self.on_update_framework(turn, update.framework),
            _ => turn.ignored("message that only an agent sends".to_owned()),
        }
    }

    fn on_ping(&mut self, turn: &mut Turn<'_>, ping: Ping) {
        self.expect_ping(turn);
        turn.push(Effect::ToMaster(Box::new(Body::Pong(Pong {}))));
        if !ping.connected && self.session.state == SessionState::Registered {
            self.pause_updates();
            self.register(turn);
        }
    }

    /// The permit to register, if this is a master to obey.
    fn on_admitted(&mut self, turn: &mut Turn<'_>, admitted: Admitted) {
        let stranger = self
            .identity
            .cluster_id
            .as_ref()
            .is_some_and(|known| *known != admitted.cluster_id);
        let refusal = if stranger {
            Some(format!(
                "master belongs to cluster {}, this agent to another",
                admitted.cluster_id
            ))
        } else if admitted.epoch < self.identity.epoch {
            Some(format!(
                "master has epoch {}, this agent has obeyed {}",
                admitted.epoch, self.identity.epoch
            ))
        } else {
            None
        };
        if let Some(message) = refusal {
            turn.ignored(message);
            self.hang_up(turn);
            return;
        }
        self.session.ping_timeout_ns = admitted.ping_timeout_ms.max(1).saturating_mul(NS_PER_MS);
        self.expect_ping(turn);
        if self.identity.cluster_id.is_none() || self.identity.epoch != admitted.epoch {
            self.identity.cluster_id = Some(admitted.cluster_id);
            self.identity.epoch = admitted.epoch;
            self.record_identity(turn);
        }
        self.forget_idle_frameworks(turn);
        self.register(turn);
    }

    fn register(&mut self, turn: &mut Turn<'_>) {
        self.session.state = SessionState::Registering;
        let agent = self.identity.agent.as_ref().clone();
        let version = self.config.mesos_version.clone();
        let capabilities = self.config.capabilities.clone();
        let body = if agent.id.is_some() {
            Body::Reregister(self.reregistration(agent, version, capabilities))
        } else {
            let token = Some(self.token_of_registration(turn));
            Body::Register(Register {
                agent,
                version,
                capabilities,
                ip: Some(self.config.ip.clone()),
                token,
            })
        };
        turn.push(Effect::ToMaster(Box::new(body)));
    }

    /// Durable before it is sent: should the answer be lost with us, our next life is known by it.
    fn token_of_registration(&mut self, turn: &mut Turn<'_>) -> Bytes {
        if let Some(token) = &self.registration_token {
            return token.clone();
        }
        let token = Bytes::copy_from_slice(&self.rng.uuid().0);
        self.registration_token = Some(token.clone());
        turn.push(Effect::Checkpoint {
            records: vec![Record::RegistrationToken {
                token: token.clone(),
            }],
            durability: Durability::Synced,
        });
        token
    }

    fn on_refused(&mut self, turn: &mut Turn<'_>, refused: &Refused) {
        turn.push(Effect::Emit(Fact::RefusedByMaster {
            message: refused.message.clone(),
        }));
        match Action::try_from(refused.action) {
            Ok(Action::Shutdown) => self.on_shutdown_agent(turn, refused.message.clone()),
            Ok(Action::Exit) => self.stop(
                turn,
                1,
                format!("the master refused this agent: {}", refused.message),
            ),
            Ok(Action::Retry) | Err(_) => {
                self.session.retry_after_ns = refused
                    .retry_after_ms
                    .unwrap_or(0)
                    .saturating_mul(NS_PER_MS);
                self.hang_up(turn);
            }
        }
    }

    fn on_registered(&mut self, turn: &mut Turn<'_>, registered: Registered) {
        if self.session.state != SessionState::Registering {
            turn.ignored("registration that was not asked for".to_owned());
            return;
        }
        let agent_id = registered.agent_id;
        match self.agent_id() {
            None => {
                self.identity.agent = Arc::new(AgentInfo {
                    id: Some(agent_id.clone()),
                    ..self.config.agent.clone()
                });
                self.registration_token = None;
                self.record_identity(turn);
            }
            Some(own) if own != agent_id.value => {
                turn.ignored(format!(
                    "registration under id {}, this agent is {own}",
                    agent_id.value
                ));
                self.hang_up(turn);
                return;
            }
            Some(_) => {}
        }
        self.session.state = SessionState::Registered;
        self.session.attempts = 0;
        self.session.master = Some(Arc::new(registered.master));
        self.records = None;
        turn.push(Effect::Emit(Fact::Registered {
            agent_id: agent_id.value,
        }));
        self.flush_updates(turn);
    }

    /// The master tells of a framework again before its first launch of a session.
    fn forget_idle_frameworks(&mut self, turn: &mut Turn<'_>) {
        let living = &self.framework_keys;
        for (framework_id, _) in self
            .known_frameworks
            .extract_if(.., |id, _| !living.contains_key(id))
            .filter(|(_, known)| known.recorded)
        {
            turn.checkpoint(Record::FrameworkForgotten {
                framework_id: framework_id.as_ref().to_owned(),
            });
        }
    }

    pub(crate) fn record_identity(&mut self, turn: &mut Turn<'_>) {
        self.records = None;
        turn.push(Effect::Checkpoint {
            records: vec![self.identity.record()],
            durability: Durability::Synced,
        });
    }

    /// Sends if a master has taken us in; otherwise re-registration will tell it.
    pub(crate) fn tell_master(&self, turn: &mut Turn<'_>, body: Body) {
        if self.is_registered() {
            turn.push(Effect::ToMaster(Box::new(body)));
        }
    }
}

impl Identity {
    pub(crate) fn record(&self) -> Record {
        Record::Identity {
            agent: self.agent.id.is_some().then(|| Arc::clone(&self.agent)),
            cluster_id: self.cluster_id.clone(),
            epoch: self.epoch,
            boot_id: self.boot_id.clone(),
        }
    }
}
