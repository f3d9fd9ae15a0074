//! What users' objects must come to when nothing goes wrong any more: what is wanted is there, and of what was deleted
//! nothing is left.

use std::collections::BTreeSet;

use mezz_core::event::OperatorAction;
use mezz_core::records::{AgentState, TaskList};
use mezz_spec::service::Replicas;
use mezz_spec::{Kind, Spec};
use mezz_workload::call::{Call, Lasting};
use mezz_workload::records::{ObjectRecord, Owner, Phase, Records, Status};

use crate::user_specs::sound_service;
use crate::users::{OBJECTS, Users};
use crate::world::World;

impl World {
    /// Users want what can come to rest.
    pub(crate) fn users_calm_down(&mut self) {
        self.user_calls(Call::Thaw);
        for (kind, name) in self.all_objects() {
            match kind {
                Kind::Service => {
                    self.user_applies(kind, &name, sound_service(&name));
                    let name = crate::users::name(&name);
                    self.user_calls(Call::ResetBackoff { name });
                }
                Kind::Cron => {
                    let name = crate::users::name(&name);
                    self.user_calls(Call::Pause {
                        name,
                        lasts: Lasting::UntilLetGo,
                    });
                }
                _ => {}
            }
        }
    }

    /// Agents as which no machine comes back: what waits for them would wait for ever.
    pub(crate) fn declare_lost_agents_gone(&mut self) {
        let Some(core) = &self.master.core else {
            return;
        };
        let agents = core.records().agents.iter();
        let lost: Vec<String> = agents
            .filter(|(_, agent)| agent.state == AgentState::Unreachable)
            .map(|(_, agent)| agent.id.to_string())
            .collect();
        for agent_id in lost {
            self.gone_agents.insert(agent_id.clone());
            self.operator(OperatorAction::MarkAgentGone { agent_id });
        }
    }

    fn all_objects(&self) -> Vec<(Kind, String)> {
        let Some(core) = &self.master.core else {
            return Vec::new();
        };
        let index = core.records().work.index.keys();
        index
            .map(|(kind, name)| (*kind, name.to_string()))
            .collect()
    }

    pub(crate) fn users_delete_all(&mut self) {
        // What refers to others goes first.
        for (kind, object) in OBJECTS.into_iter().rev() {
            self.user_deletes(kind, object);
        }
        for (kind, object) in self.all_objects() {
            self.user_deletes(kind, &object);
        }
    }

    /// What users' objects still wait for.
    pub(crate) fn unsettled_objects(&self) -> Option<String> {
        let core = self.master.core.as_ref()?;
        let work = &core.records().work;
        self.strangers().or_else(|| {
            let mut objects = work.objects.iter().map(|(_, object)| object);
            objects.find_map(|object| unsettled(work, object, self.connected_agents()))
        })
    }

    fn connected_agents(&self) -> u32 {
        u32::try_from(self.agents.len()).unwrap_or(u32::MAX)
    }

    /// Instances without a task, and tasks without an instance.
    fn strangers(&self) -> Option<String> {
        let records = self.master.core.as_ref()?.records();
        let (_, own) = records.frameworks.iter().find(|(_, one)| one.built_in)?;
        let tasks: BTreeSet<&str> = records
            .tasks
            .iter()
            .filter(|(_, task)| task.framework == own.key && task.list == TaskList::Live)
            .map(|(_, task)| &*task.id)
            .filter(|id| !id.starts_with("native-"))
            .collect();
        let instances: BTreeSet<&str> = records
            .work
            .instances
            .iter()
            .filter(|(_, one)| one.phase != Phase::Unreachable)
            .map(|(_, one)| &*one.id)
            .collect();
        let odd = tasks.symmetric_difference(&instances).next()?;
        Some(format!("{odd} is an instance or a task, and not both"))
    }

    /// What is left although all objects are deleted.
    pub(crate) fn leftover(&self) -> Option<String> {
        let work = &self.master.core.as_ref()?.records().work;
        if let Some((_, object)) = work.objects.iter().next() {
            return Some(format!("object {} is still there", object.name));
        }
        if let Some((_, one)) = work.instances.iter().next() {
            return Some(format!("instance {} is still there", one.id));
        }
        if let Some((_, run)) = work.runs.iter().next() {
            return Some(format!("run {} is still there", run.id));
        }
        let stored = self.disk.snapshot().into_iter();
        let mut keys = stored.map(|(key, _)| key);
        // That there have been objects is remembered.
        let left = keys.find(|key| key.starts_with("core/work/") && key != "core/work/known");
        left.map(|key| format!("the store still has {key}"))
            .or_else(|| self.strangers())
    }

    pub(crate) fn has_users(&self) -> bool {
        self.settings.users != Users::Nobody
    }
}

fn unsettled(work: &Records, object: &ObjectRecord, agents: u32) -> Option<String> {
    let (kind, name) = (object.spec.kind(), &object.name);
    if object.deleted_at.is_some() {
        return Some(format!("{kind} {name} is deleted and still there"));
    }
    let runs = work.runs.iter().filter(|(_, run)| run.object == object.key);
    let active = runs.into_iter().find(|(_, run)| run.ended_at.is_none());
    if let Some((_, run)) = active {
        return Some(format!("run {} of {kind} {name} goes on", run.id));
    }
    let (Spec::Service(service), Status::Service(status)) = (&*object.spec, &object.status) else {
        return None;
    };
    let wanted = match service.replicas {
        Replicas::Count(count) => count,
        _ => agents,
    };
    let instances = work
        .instances
        .iter()
        .filter(|(_, one)| one.object == object.key && one.phase != Phase::Unreachable);
    let (mut ready, mut others) = (0, 0);
    for (_, one) in instances {
        let is_new = matches!(one.owner, Owner::Service { .. });
        if is_new && one.ready && one.ending.is_none() {
            ready += 1;
        } else {
            others += 1;
        }
    }
    let is_rolling = work
        .rollouts
        .iter()
        .any(|(_, rollout)| rollout.object == object.key && rollout.state.is_active());
    let is_there = ready == wanted && others == 0 && status.ready == wanted && !is_rolling;
    (!is_there).then(|| {
        format!("service {name} wants {wanted}: {ready} serve, {others} others, rolling: {is_rolling}; {status:?}")
    })
}
