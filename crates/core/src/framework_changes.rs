//! What a framework changes while it is subscribed: its info, the roles that get offers, and who hears of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;

use crate::effect::{Effect, Effects, Reply};
use crate::fact::Fact;
use crate::framework_info::{has_capability, roles};
use crate::frameworks::sched_key;
use crate::key::{FrameworkKey, RequestKey};
use crate::master::Master;
use crate::metrics::Counter;
use crate::records::FrameworkState;
use crate::validation;
use mezz_resource::{Quantities, Scalar};
use v1::framework_info::capability::Type as Capability;

impl Master {
    /// Takes over a new `FrameworkInfo`; `user`, `checkpoint` and `principal` stay what they were.
    pub(crate) fn replace_info(
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
        self.compile_constraints(&wanted, update.offer_constraints.as_ref())
            .map_err(|error| format!("'UpdateFramework' call is not valid: {error}"))?;
        Ok(())
    }

    /// Tells the agents that run something of this framework what it is now.
    pub(crate) fn broadcast_framework(&mut self, key: FrameworkKey, effects: &mut Effects) {
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
            // They were checked with the call that brought them, so they compile again.
            constraints: self
                .compile_constraints(&roles(info), record.offer_constraints.as_deref())
                .unwrap_or_default(),
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
        for role in &self.native.roles {
            let frameworks = &mut table.entry(role.clone()).or_default().frameworks;
            frameworks.extend(self.native.framework);
        }
        self.records.roles = Arc::new(table);
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
