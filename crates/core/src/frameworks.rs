//! The life of a framework: subscription, failover, update, disconnection, removal.

use std::collections::BTreeSet;
use std::sync::Arc;

use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use mezz_resource::{Quantities, Scalar};
use v1::framework_info::capability::Type as Capability;
use v1::task_status::Reason;

use crate::effect::{Effect, Effects, Reply};
use crate::event::{Subscribe, TimerKey};
use crate::fact::{Fact, OfferEnd};
use crate::framework_info::{failover_timeout_ns, has_capability, roles};
use crate::key::{FrameworkKey, RequestKey, StreamKey};
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

    /// Takes over a new `FrameworkInfo`; `user`, `checkpoint` and `principal` stay what they were.
    fn replace_info(
        &mut self,
        key: FrameworkKey,
        mut info: v1::FrameworkInfo,
        suppressed: Vec<String>,
        constraints: Option<v1::scheduler::OfferConstraints>,
    ) {
        let record = self.framework_mut(key);
        info.user.clone_from(&record.info.user);
        info.checkpoint = record.info.checkpoint;
        info.id.clone_from(&record.info.id);
        record.info = Arc::new(info);
        record.suppressed_roles = suppressed.into();
        record.offer_constraints = constraints.map(Arc::new);
        let spec = self.framework_spec(key);
        self.sched.update_framework(sched_key(key), spec);
        self.refresh_roles();
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

    pub(crate) fn on_failover_timeout(&mut self, key: FrameworkKey, effects: &mut Effects) {
        let waiting = self
            .records
            .frameworks
            .get(key.index())
            .map(|record| record.state);
        if matches!(
            waiting,
            Some(FrameworkState::Disconnected | FrameworkState::Recovered)
        ) {
            self.remove_framework(key, effects);
        }
    }

    pub(crate) fn on_teardown(&mut self, key: FrameworkKey, effects: &mut Effects) {
        self.records
            .metrics
            .count(Counter::MessagesUnregisterFramework);
        if let Some(connection) = self.framework_live(key).connection.take() {
            self.index.streams.remove(&connection.stream);
            self.cancel_timer(TimerKey::Heartbeat(connection.stream), effects);
            effects.list.push(Effect::CloseStream(connection.stream));
        }
        self.discard_offers(key, effects);
        self.remove_framework(key, effects);
    }

    /// Ends everything of a framework and moves it to the completed ones.
    pub(crate) fn remove_framework(&mut self, key: FrameworkKey, effects: &mut Effects) {
        self.cancel_timer(TimerKey::Failover(key), effects);
        let id = Arc::clone(&self.framework(key).id);
        let token = self.forget_framework(key, effects);
        let agents: BTreeSet<_> = self
            .agents
            .iter()
            .filter(|(_, live)| live.session.is_some())
            .map(|(agent, _)| *agent)
            .collect();
        for agent in agents {
            let body = Body::ShutdownFramework(agent::ShutdownFramework {
                framework_id: wire::framework_id_of(&id),
            });
            self.send_agent(agent, body, Some(token), effects);
        }
        let tasks: Vec<_> = self.framework_live(key).tasks.iter().copied().collect();
        for task in tasks {
            self.end_task_by_master(
                task,
                v1::TaskState::TaskKilled,
                Reason::FrameworkRemoved,
                format!("Framework {id} removed"),
                effects,
            );
        }
        let executors: Vec<_> = self.framework_live(key).executors.iter().copied().collect();
        for executor in executors {
            self.remove_executor(executor);
        }
        self.sched.remove_framework(sched_key(key));
        let now = self.now.wall;
        let record = self.framework_mut(key);
        record.state = FrameworkState::Completed;
        record.unregistered_at = Some(now);
        let info = Box::new((*record.info).clone());
        self.refresh_roles();
        self.emit(
            Fact::FrameworkRemoved {
                framework: key,
                info,
            },
            effects,
        );
        self.completed_frameworks.push_back(key);
        while self.completed_frameworks.len() > self.config.max_completed_frameworks {
            let oldest = self
                .completed_frameworks
                .pop_front()
                .expect("its length was just seen to be positive");
            self.forget_completed_framework(oldest);
        }
    }

    fn forget_completed_framework(&mut self, key: FrameworkKey) {
        let live = self.frameworks.remove(&key).unwrap_or_default();
        for task in live.completed.into_iter().chain(live.unreachable) {
            self.drop_task_record(task);
        }
        if let Some(record) = self.records.frameworks.remove(key.index()) {
            self.index.frameworks.remove(&record.id);
        }
        self.free.frameworks.give(key.0);
    }

    pub(crate) fn on_update_framework(
        &mut self,
        request: RequestKey,
        key: FrameworkKey,
        update: v1::scheduler::call::UpdateFramework,
        effects: &mut Effects,
    ) {
        if let Err(message) = self.check_update(key, &update) {
            return effects.reply(request, Reply::BadRequest(message));
        }
        let kept: BTreeSet<String> = roles(&update.framework_info).into_iter().collect();
        self.replace_info(
            key,
            update.framework_info,
            update.suppressed_roles,
            update.offer_constraints,
        );
        let stranded: Vec<_> = self.framework_live(key).offers.iter().copied().collect();
        for offer in stranded {
            let role = self
                .records
                .offers
                .get(offer.index())
                .map(|record| record.role.to_string());
            if role.is_some_and(|role| !kept.contains(&role)) {
                self.rescind_offer(offer, effects);
            }
        }
        let token = self.persist_framework(key, None, effects);
        self.emit(Fact::FrameworkUpdated { framework: key }, effects);
        self.broadcast_framework(key, effects);
        effects.list.push(Effect::Reply {
            request,
            reply: Reply::Ok,
            after: Some(token),
        });
    }

    fn check_update(
        &self,
        key: FrameworkKey,
        update: &v1::scheduler::call::UpdateFramework,
    ) -> Result<(), String> {
        let (old, new) = (&self.framework(key).info, &update.framework_info);
        validation::framework(new)?;
        let wanted = roles(new);
        validation::suppressed_roles(&wanted, &update.suppressed_roles)?;
        if old.principal != new.principal {
            return Err("Changing framework's principal is not allowed.".into());
        }
        if old.user != new.user {
            return Err(format!(
                "Updating 'FrameworkInfo.user' is unsupported; attempted to update from '{}' to '{}'",
                old.user, new.user
            ));
        }
        if old.checkpoint() != new.checkpoint() {
            return Err(format!(
                "Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from '{}' to '{}'",
                old.checkpoint(),
                new.checkpoint()
            ));
        }
        if let Some(constraints) = &update.offer_constraints
            && let Some(role) = constraints
                .role_constraints
                .keys()
                .find(|role| !wanted.contains(role))
        {
            return Err(format!(
                "Offer constraints specify `role_constraints` for a role '{role}' not contained in the set of roles"
            ));
        }
        Ok(())
    }

    /// Tells the agents that run something of this framework what it is now.
    fn broadcast_framework(&mut self, key: FrameworkKey, effects: &mut Effects) {
        let info = (*self.framework(key).info).clone();
        let told: Vec<_> = self
            .agents
            .iter()
            .filter(|(_, live)| live.told_frameworks.contains(&key))
            .map(|(agent, _)| *agent)
            .collect();
        for agent in told {
            let body = Body::UpdateFramework(agent::UpdateFramework {
                framework: info.clone(),
            });
            self.send_agent(agent, body, None, effects);
        }
    }

    pub(crate) fn on_suppress(&mut self, key: FrameworkKey, named: &[String]) {
        self.records.metrics.count(Counter::MessagesSuppressOffers);
        let Some(named) = self.subscribed_roles(key, named) else {
            return;
        };
        self.sched.suppress(sched_key(key), &named);
        let mut suppressed: BTreeSet<String> = self
            .framework(key)
            .suppressed_roles
            .iter()
            .cloned()
            .collect();
        suppressed.extend(named);
        self.framework_mut(key).suppressed_roles = suppressed.into_iter().collect();
    }

    pub(crate) fn on_revive(&mut self, key: FrameworkKey, named: &[String]) {
        self.records.metrics.count(Counter::MessagesReviveOffers);
        let Some(named) = self.subscribed_roles(key, named) else {
            return;
        };
        self.sched.revive(sched_key(key), &named);
        let suppressed = self
            .framework(key)
            .suppressed_roles
            .iter()
            .filter(|role| !named.contains(role))
            .cloned()
            .collect();
        self.framework_mut(key).suppressed_roles = suppressed;
    }

    /// The roles that a REVIVE or SUPPRESS means (none named: all); an unsubscribed one drops the whole call.
    fn subscribed_roles(&mut self, key: FrameworkKey, named: &[String]) -> Option<Vec<String>> {
        let subscribed = self.framework(key).roles();
        if named.is_empty() {
            return Some(subscribed);
        }
        if named.iter().all(|role| subscribed.contains(role)) {
            return Some(named.to_vec());
        }
        self.records.metrics.count(Counter::DroppedMessages);
        None
    }

    pub(crate) fn sched_add_framework(&mut self, key: FrameworkKey, active: bool) {
        let spec = self.framework_spec(key);
        self.sched.add_framework(sched_key(key), spec, active);
    }

    fn framework_spec(&self, key: FrameworkKey) -> mezz_sched::FrameworkSpec {
        let record = self.framework(key);
        let info = &record.info;
        mezz_sched::FrameworkSpec {
            roles: roles(info),
            suppressed: record.suppressed_roles.iter().cloned().collect(),
            capabilities: LEDGER_CAPABILITIES
                .into_iter()
                .filter(|(wire, _)| has_capability(info, *wire))
                .map(|(_, ledger)| ledger)
                .collect(),
            min_allocatable: min_allocatable(info),
        }
    }

    /// Brings the table of roles in line with weights and subscribed frameworks.
    pub(crate) fn refresh_roles(&mut self) {
        let mut table: std::collections::BTreeMap<String, crate::records::RoleRecord> =
            std::collections::BTreeMap::new();
        for (name, role) in self
            .records
            .roles
            .iter()
            .filter(|(_, role)| role.weight.is_some())
        {
            table.entry(name.clone()).or_default().weight = role.weight;
        }
        for (_, record) in self
            .records
            .frameworks
            .iter()
            .filter(|(_, record)| record.state == FrameworkState::Active)
        {
            for role in record.roles() {
                table.entry(role).or_default().frameworks.push(record.key);
            }
        }
        self.records.roles = Arc::new(table);
    }

    /// Takes all offers of a framework back without telling it (its stream is gone, or a new one begins).
    fn discard_offers(&mut self, key: FrameworkKey, effects: &mut Effects) {
        let offers: Vec<_> = self.framework_live(key).offers.iter().copied().collect();
        for offer in offers {
            self.return_offer(offer, OfferEnd::Discarded, None, effects);
        }
    }
}

/// The capabilities on which offers depend.
const LEDGER_CAPABILITIES: [(Capability, mezz_sched::Capability); 6] = [
    (Capability::MultiRole, mezz_sched::Capability::MultiRole),
    (
        Capability::GpuResources,
        mezz_sched::Capability::GpuResources,
    ),
    (
        Capability::RevocableResources,
        mezz_sched::Capability::RevocableResources,
    ),
    (
        Capability::SharedResources,
        mezz_sched::Capability::SharedResources,
    ),
    (
        Capability::ReservationRefinement,
        mezz_sched::Capability::ReservationRefinement,
    ),
    (Capability::RegionAware, mezz_sched::Capability::RegionAware),
];

pub(crate) fn sched_key(key: FrameworkKey) -> mezz_sched::FrameworkIndex {
    mezz_sched::FrameworkIndex(key.0)
}

/// The smallest offers that are worth sending, by role, as the framework set them; negative and absurd numbers count as none.
fn min_allocatable(
    info: &v1::FrameworkInfo,
) -> std::collections::BTreeMap<String, Vec<Quantities>> {
    let quantities = |minimum: &v1::offer_filters::ResourceQuantities| {
        let mut sum = Quantities::new();
        for (name, value) in &minimum.quantities {
            sum.add(
                name.as_str().into(),
                Scalar::from_f64(value.value).unwrap_or(Scalar::ZERO),
            );
        }
        sum
    };
    let list = |filters: &v1::OfferFilters| {
        let minimum = filters.min_allocatable_resources.as_ref()?;
        Some(minimum.quantities.iter().map(quantities).collect())
    };
    info.offer_filters
        .iter()
        .filter_map(|(role, filters)| Some((role.clone(), list(filters)?)))
        .collect()
}
