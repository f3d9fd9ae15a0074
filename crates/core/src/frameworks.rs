//! The life of a framework: subscription, failover, update, disconnection, removal.

use std::sync::Arc;

use mezz_proto::v1;

use crate::effect::{Effect, Effects};
use crate::event::{Subscribe, TimerKey};
use crate::fact::{Fact, OfferEnd};
use crate::framework_info::{failover_timeout_ns, roles};
use crate::key::{FrameworkKey, StreamKey};
use crate::master::Master;
use crate::metrics::{Counter, FrameworkMetrics};
use crate::records::{FrameworkRecord, FrameworkState};
use crate::state::Connection;
use crate::validation;
use crate::wire;

impl Master {
    pub(crate) fn on_subscribe(&mut self, call: Subscribe, effects: &mut Effects) {
        let framework = match self.subscriber(&call) {
            Ok(framework) => framework,
            Err(message) => {
                effects.to_framework(call.stream, wire::error(message));
                effects.list.push(Effect::CloseStream(call.stream));
                return;
            }
        };
        let connection = Connection {
            stream: call.stream,
            stream_id: call.stream_id,
        };
        match framework {
            Some(key) => self.resubscribe(key, connection, call.subscribe, effects),
            None => self.register(connection, call.subscribe, effects),
        }
    }

    /// The framework that a SUBSCRIBE is for (none: a new one), or why it is refused.
    fn subscriber(&self, call: &Subscribe) -> Result<Option<FrameworkKey>, String> {
        let info = &call.subscribe.framework_info;
        validation::framework(info)?;
        let wanted = roles(info);
        validation::suppressed_roles(&wanted, &call.subscribe.suppressed_roles)?;
        self.compile_constraints(&wanted, call.subscribe.offer_constraints.as_ref())?;
        if let Some(whitelist) = &self.config.role_whitelist
            && let Some(role) = wanted
                .iter()
                .find(|role| !whitelist.contains(*role) && *role != "*")
        {
            return Err(format!(
                "Role '{role}' is not present in the master's --roles"
            ));
        }
        if !self.config.root_submissions && info.user == "root" {
            return Err(
                "User 'root' is not allowed to run frameworks without --root_submissions".into(),
            );
        }
        if let (Some(principal), Some(own)) = (&call.principal, &info.principal)
            && principal != own
        {
            return Err(format!(
                "Authenticated principal '{principal}' does not match principal '{own}' set in `FrameworkInfo`"
            ));
        }
        let id = info.id.as_ref().map_or("", |id| id.value.as_str());
        let Some(key) = self.index.frameworks.get(id).copied() else {
            return Ok(None);
        };
        let known = self.framework(key);
        if known.state == FrameworkState::Completed || known.built_in {
            return Err("Framework has been removed".into());
        }
        if known.info.principal != info.principal {
            return Err("Changing framework's principal is not allowed.".into());
        }
        Ok(Some(key))
    }

    fn register(
        &mut self,
        connection: Connection,
        subscribe: v1::scheduler::call::Subscribe,
        effects: &mut Effects,
    ) {
        self.records
            .metrics
            .count(Counter::MessagesRegisterFramework);
        let mut info = subscribe.framework_info;
        if info.id.as_ref().is_none_or(|id| id.value.is_empty()) {
            let id = format!("{}-{:04}", self.master_id(), self.numbers.framework);
            self.numbers.framework += 1;
            info.id = Some(wire::framework_id_of(&id));
        }
        let key = self.insert_framework(info, FrameworkState::Active, false);
        let record = self.framework_mut(key);
        record.suppressed_roles = subscribe.suppressed_roles.into();
        record.offer_constraints = subscribe.offer_constraints.map(Arc::new);
        self.sched_add_framework(key, true);
        self.emit(Fact::FrameworkAdded { framework: key }, effects);
        self.connect(key, connection, effects);
    }

    /// Makes the record; the ledger hears of it from the caller.
    pub(crate) fn insert_framework(
        &mut self,
        info: v1::FrameworkInfo,
        state: FrameworkState,
        built_in: bool,
    ) -> FrameworkKey {
        let key = FrameworkKey(self.free.frameworks.take());
        let id: Arc<str> = info.id.as_ref().map_or("", |id| id.value.as_str()).into();
        let record = FrameworkRecord {
            key,
            id: Arc::clone(&id),
            info: Arc::new(info),
            state,
            built_in,
            suppressed_roles: Arc::default(),
            offer_constraints: None,
            registered_at: self.now.wall,
            reregistered_at: None,
            unregistered_at: None,
            used: mezz_resource::Resources::default(),
            offered: mezz_resource::Resources::default(),
            metrics: FrameworkMetrics::default(),
        };
        self.records.frameworks.insert(key.index(), record);
        self.index.frameworks.insert(id, key);
        self.frameworks.entry(key).or_default();
        key
    }

    fn resubscribe(
        &mut self,
        key: FrameworkKey,
        connection: Connection,
        subscribe: v1::scheduler::call::Subscribe,
        effects: &mut Effects,
    ) {
        self.records
            .metrics
            .count(Counter::MessagesReregisterFramework);
        if let Some(old) = self.framework_live(key).connection.take() {
            self.index.streams.remove(&old.stream);
            self.cancel_timer(TimerKey::Heartbeat(old.stream), effects);
            effects.to_framework(old.stream, wire::error("Framework failed over"));
            effects.list.push(Effect::CloseStream(old.stream));
        }
        self.discard_offers(key, effects);
        self.cancel_timer(TimerKey::Failover(key), effects);
        let now = self.now.wall;
        self.replace_info(
            key,
            subscribe.framework_info,
            subscribe.suppressed_roles,
            subscribe.offer_constraints,
        );
        let record = self.framework_mut(key);
        record.state = FrameworkState::Active;
        record.reregistered_at = Some(now);
        self.sched.activate_framework(sched_key(key));
        self.emit(Fact::FrameworkUpdated { framework: key }, effects);
        self.connect(key, connection, effects);
        self.broadcast_framework(key, effects);
    }

    /// SUBSCRIBED goes out once the framework's id is durable; then the first heartbeat, since clients that
    /// read ahead see a record only when the next one begins.
    fn connect(&mut self, key: FrameworkKey, connection: Connection, effects: &mut Effects) {
        let token = self.persist_framework(key, None, effects);
        let stream = connection.stream;
        self.index.streams.insert(stream, key);
        self.framework_live(key).connection = Some(connection);
        let seconds = self.config.heartbeat_interval_ns as f64 / 1e9;
        let id = Arc::clone(&self.framework(key).id);
        let subscribed = wire::subscribed(&id, seconds, &self.records.master.info);
        self.send_event_after(key, subscribed, Some(token), effects);
        self.send_event_after(key, wire::heartbeat(), Some(token), effects);
        let at = self.now.mono.after(self.config.heartbeat_interval_ns);
        self.set_timer(TimerKey::Heartbeat(stream), at, effects);
        self.refresh_roles();
    }

    pub(crate) fn on_heartbeat_due(&mut self, stream: StreamKey, effects: &mut Effects) {
        let Some(key) = self.index.streams.get(&stream).copied() else {
            return;
        };
        self.send_event(key, wire::heartbeat(), effects);
        let at = self.now.mono.after(self.config.heartbeat_interval_ns);
        self.set_timer(TimerKey::Heartbeat(stream), at, effects);
    }

    pub(crate) fn on_stream_closed(&mut self, stream: StreamKey, effects: &mut Effects) {
        let Some(key) = self.index.streams.remove(&stream) else {
            return;
        };
        self.cancel_timer(TimerKey::Heartbeat(stream), effects);
        self.framework_live(key).connection = None;
        self.discard_offers(key, effects);
        self.sched.deactivate_framework(sched_key(key));
        self.framework_mut(key).state = FrameworkState::Disconnected;
        self.refresh_roles();
        self.emit(Fact::FrameworkDisconnected { framework: key }, effects);
        let timeout_ns = failover_timeout_ns(&self.framework(key).info);
        if timeout_ns == 0 {
            return self.remove_framework(key, effects);
        }
        self.persist_framework(key, Some(timeout_ns), effects);
        let at = self.now.mono.after(timeout_ns);
        self.set_timer(TimerKey::Failover(key), at, effects);
    }

    /// Takes all offers of a framework back without telling it (its stream is gone, or a new one begins).
    pub(crate) fn discard_offers(&mut self, key: FrameworkKey, effects: &mut Effects) {
        let offers: Vec<_> = self.framework_live(key).offers.iter().copied().collect();
        for offer in offers {
            self.return_offer(offer, OfferEnd::Discarded, None, effects);
        }
    }
}

pub(crate) fn sched_key(key: FrameworkKey) -> mezz_sched::FrameworkIndex {
    mezz_sched::FrameworkIndex(key.0)
}
