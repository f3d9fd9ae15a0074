//! Taking leadership: the records are rebuilt from what the store held; agents bring the rest.

use std::sync::Arc;

use mezz_proto::v1;
use mezz_resource::Resources;
use prost::Message;
use v1::master_info::capability::Type;

use crate::admission::domain_info;
use crate::durable::{
    AGENT, CLUSTER, FRAMEWORK, NATIVE, StoredAgent, StoredCluster, StoredFramework,
    StoredNativeTask, StoredWeight, WEIGHT, WORK, put,
};
use crate::effect::{Effect, Effects};
use crate::event::{Elected, TimerKey};
use crate::key::{AgentKey, Token};
use crate::master::Master;
use crate::records::{AgentRecord, AgentState, FrameworkState, MasterRecord, RoleRecord};
use crate::time::Wall;

impl Master {
    pub(crate) fn on_elected(&mut self, elected: Elected, effects: &mut Effects) {
        let cluster = elected
            .snapshot
            .iter()
            .find(|(key, _)| key == CLUSTER)
            .map(|(_, value)| StoredCluster::decode(value.clone()));
        let cluster = match cluster {
            Some(Ok(cluster)) => cluster,
            Some(Err(error)) => {
                return effects.list.push(Effect::StepDown(format!(
                    "the record '{CLUSTER}' cannot be read: {error}"
                )));
            }
            None => {
                let id = elected.master_id.clone();
                let cluster = StoredCluster {
                    native_framework_id: format!("{id}-mezz"),
                    cluster_id: id,
                };
                self.persist(vec![put("", CLUSTER, &cluster)], effects);
                cluster
            }
        };
        self.native
            .framework_id
            .clone_from(&cluster.native_framework_id);
        self.records.master = Arc::new(self.master_record(&elected, cluster.cluster_id));
        let (work, kernel): (Vec<_>, Vec<_>) = elected
            .snapshot
            .into_iter()
            .partition(|(key, _)| key.starts_with(WORK));
        for (key, value) in kernel {
            if let Err(error) = self.restore(&key, value, effects) {
                return effects.list.push(Effect::StepDown(format!(
                    "the record '{key}' cannot be read: {error}"
                )));
            }
        }
        for (role, weight) in self.config.weights.clone() {
            let weight = *self.role_mut(&role).weight.get_or_insert(weight);
            self.set_ledger_weight(&role, weight);
        }
        // Chance is a part of the state: what the same master does can be done again.
        let id = elected.master_id.bytes();
        self.sched.seed(id.fold(0, |seed: u64, byte| {
            seed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
        }));
        self.refresh_roles();
        self.plan_collection(effects);
        self.restore_work(work, effects);
    }

    fn master_record(&self, elected: &Elected, cluster_id: String) -> MasterRecord {
        let config = &self.config;
        let ip = match config.ip {
            std::net::IpAddr::V4(ip) => u32::from_le_bytes(ip.octets()),
            std::net::IpAddr::V6(_) => 0,
        };
        let capability = |kind: v1::master_info::capability::Type| v1::master_info::Capability {
            r#type: Some(kind as i32),
        };
        let info = v1::MasterInfo {
            id: elected.master_id.clone(),
            ip,
            port: u32::from(config.port),
            pid: Some(format!("master@{}:{}", config.ip, config.port)),
            hostname: Some(config.hostname.clone()),
            version: Some("1.11.0".into()),
            address: Some(v1::Address {
                hostname: Some(config.hostname.clone()),
                ip: Some(config.ip.to_string()),
                port: i32::from(config.port),
            }),
            capabilities: vec![
                capability(Type::AgentUpdate),
                capability(Type::AgentDraining),
                capability(Type::QuotaV2),
            ],
            domain: config.domain.as_ref().map(domain_info),
        };
        MasterRecord {
            info,
            cluster_id,
            epoch: elected.epoch,
            started_at: self.now.wall,
            elected_at: Some(self.now.wall),
        }
    }

    fn restore(
        &mut self,
        key: &str,
        value: bytes::Bytes,
        effects: &mut Effects,
    ) -> Result<(), String> {
        let unreadable = |error: prost::DecodeError| error.to_string();
        if let Some(id) = key.strip_prefix(AGENT) {
            let stored = StoredAgent::decode(value.clone()).map_err(unreadable)?;
            let agent = self.restore_agent(id, stored, effects)?;
            self.agent_live(agent).stored = Some((value, Token::default()));
        } else if key.starts_with(FRAMEWORK) {
            self.restore_framework(StoredFramework::decode(value).map_err(unreadable)?, effects);
        } else if let Some(role) = key.strip_prefix(WEIGHT) {
            let stored = StoredWeight::decode(value).map_err(unreadable)?;
            self.set_ledger_weight(role, stored.weight);
            self.role_mut(role).weight = Some(stored.weight);
        } else if let Some(id) = key.strip_prefix(NATIVE) {
            let id = id.to_owned();
            self.restore_native(
                id,
                StoredNativeTask::decode(value).map_err(unreadable)?,
                effects,
            )?;
        }
        Ok(())
    }

    pub(crate) fn role_mut(&mut self, role: &str) -> &mut RoleRecord {
        Arc::make_mut(&mut self.records.roles)
            .entry(role.to_owned())
            .or_default()
    }

    /// A weight outside [`crate::config::WEIGHTS`] never gets here: requests and flags are checked first.
    pub(crate) fn set_ledger_weight(&mut self, role: &str, weight: f64) {
        let set = self.sched.set_weight(role, weight);
        debug_assert!(
            set.is_ok(),
            "weight {weight} of {role} was checked at the edge"
        );
    }

    fn restore_agent(
        &mut self,
        id: &str,
        stored: StoredAgent,
        effects: &mut Effects,
    ) -> Result<AgentKey, String> {
        let total =
            Resources::from_proto(&stored.info.resources).map_err(|error| error.to_string())?;
        let state = match stored.standing {
            0 => AgentState::Recovered,
            1 => AgentState::Unreachable,
            _ => AgentState::Gone,
        };
        let key = AgentKey(self.free.agents.take());
        let id: Arc<str> = id.into();
        let (info, declared) = AgentRecord::parted(stored.info);
        let record = AgentRecord {
            key,
            id: Arc::clone(&id),
            info,
            declared,
            ip: stored.ip.into(),
            state,
            deactivated: stored.deactivated,
            version: "".into(),
            capabilities: Arc::default(),
            registered_at: Wall(stored.registered_at_ns),
            reregistered_at: None,
            lost_at: stored.lost_at_ns.map(Wall),
            total: Arc::new(total),
            used: Resources::default(),
            offered: Resources::default(),
            task_count: 0,
        };
        self.insert_agent_record(record);
        self.index.agents.insert(id, key);
        self.agents.entry(key).or_default();
        if let Some(token) = stored.registration_token {
            self.note_registration(key, token);
        }
        if state == AgentState::Recovered {
            let at = self.now.mono.after(self.config.agent_reregister_timeout_ns);
            self.set_timer(TimerKey::Reregister(key), at, effects);
        }
        Ok(key)
    }

    /// A framework gets what was left of its time: its whole failover timeout when it was connected, else the rest.
    fn restore_framework(&mut self, stored: StoredFramework, effects: &mut Effects) {
        let full_ns = crate::framework_info::failover_timeout_ns(&stored.info);
        let left_ns = match (stored.failover_remaining_ns, stored.written_at_ns) {
            (Some(remaining), Some(written)) => {
                remaining.saturating_sub(self.now.wall.0.saturating_sub(written))
            }
            // It was connected when the last leader ended: it gets at least the time that agents get.
            _ => full_ns.max(self.config.agent_reregister_timeout_ns),
        };
        let key = self.insert_framework(stored.info, FrameworkState::Recovered, false);
        self.framework_mut(key).registered_at = Wall(stored.registered_at_ns);
        self.sched_add_framework(key, false);
        let at = self.now.mono.after(left_ns);
        self.set_timer(TimerKey::Failover(key), at, effects);
    }
}
