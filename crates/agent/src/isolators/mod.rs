//! What holds containers to what they may use: cgroups, room on disk, ports.
//!
//! Owns the host's side of it. What a container may use, and what becomes of one that uses more, is the core's affair.

mod disk;
mod groups;
mod keeper;
mod limits;
pub(crate) mod options;
mod ports;
mod starting;
mod statistics;
mod tenants;
mod walk;

use std::path::Path;
use std::sync::Arc;

use mezz_agent_core::{Allotment, Grouping, Launch, LaunchId, Limitation};
use mezz_cgroup::GroupError;
use mezz_launch_plan::{KillMethod, LaunchPlan};

use self::disk::Stopper;
use self::groups::{ContainerGroups, tree_of};
use self::tenants::{Tenant, TenantState, Tenants};

pub use self::starting::IsolationError;
pub(crate) use self::starting::Surroundings;
pub(crate) use self::statistics::{Round, Statistics};

/// Why a container cannot be held to its limits. The text becomes the task's message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LimitError {
    #[error("{0}")]
    Group(#[from] GroupError),
    #[error("the path of its cgroup cannot be used: {0}")]
    Path(#[from] std::io::Error),
    #[error("the container whose limits hold for it is not there")]
    NoParent,
}

/// What of a launch matters here.
#[derive(Debug)]
pub(crate) struct Claim {
    launch_id: LaunchId,
    container_id: String,
    allotment: Allotment,
    grouping: Grouping,
    enforcer: Enforcer,
}

/// Who holds the processes of a container to what it may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Enforcer {
    /// A group of the agent's.
    #[default]
    Group,
    /// Whoever runs it elsewhere; what stands for it here has no part in that.
    Runtime,
}

impl Claim {
    pub(crate) fn of(launch: &mut Launch) -> Self {
        Self {
            launch_id: launch.launch_id,
            container_id: launch.container_id.to_string(),
            allotment: std::mem::take(&mut launch.allotment),
            grouping: launch.grouping,
            enforcer: Enforcer::Group,
        }
    }

    /// For a container that somebody else holds to its limits.
    pub(crate) fn enforced_by(self, enforcer: Enforcer) -> Self {
        Self { enforcer, ..self }
    }
}

/// All of it, in the hands of the core's thread.
#[derive(Debug)]
pub(crate) struct Isolators {
    tenants: Arc<Tenants>,
    groups: Option<ContainerGroups>,
    activity: Activity,
    statistics: Option<Arc<Statistics>>,
    /// Ends the threads that measure.
    _stoppers: Vec<Stopper>,
}

/// Whether anybody wants to know of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    Idle,
    Active,
}

impl Isolators {
    /// Lets a planned process join its group, which is made for it if it is to have one of its own.
    pub(crate) fn join(
        &mut self,
        claim: Claim,
        sandbox: &Path,
        plan: &mut LaunchPlan,
    ) -> Result<(), LimitError> {
        if self.activity == Activity::Idle {
            return Ok(());
        }
        match claim.grouping {
            Grouping::With(_) if claim.enforcer == Enforcer::Runtime => Ok(()),
            Grouping::With(other) => self.join_other(claim.launch_id, other, plan),
            Grouping::Own => self.join_own(claim, None, sandbox, plan),
            Grouping::Below(above) => self.join_own(claim, Some(above), sandbox, plan),
        }
    }

    fn join_other(
        &self,
        launch_id: LaunchId,
        other: LaunchId,
        plan: &mut LaunchPlan,
    ) -> Result<(), LimitError> {
        let Some(groups) = &self.groups else {
            return Ok(());
        };
        let other = self.tenants.get(other).ok_or(LimitError::NoParent)?;
        // One that was started when nothing was isolated has none.
        match &other.group {
            Some(group) => Ok(groups.join_beside(group, launch_id, plan)?),
            None => Ok(()),
        }
    }

    fn join_own(
        &mut self,
        claim: Claim,
        above: Option<LaunchId>,
        sandbox: &Path,
        plan: &mut LaunchPlan,
    ) -> Result<(), LimitError> {
        let Claim {
            launch_id,
            container_id,
            allotment,
            enforcer,
            ..
        } = claim;
        let mut state = TenantState {
            container_id,
            sandbox: sandbox.to_owned(),
            tree: tree_of(&plan.kill),
            ..TenantState::default()
        };
        let mut group = None;
        if let Some(groups) = &mut self.groups
            && enforcer == Enforcer::Group
        {
            let above = match above {
                Some(above) => Some(self.tenants.get(above).ok_or(LimitError::NoParent)?),
                None => None,
            };
            let above = above.as_ref().and_then(|above| above.group.as_ref());
            let (made, limits) = groups.make(launch_id, above, &allotment)?;
            match groups.join(&made, plan) {
                Ok(tree) => state.tree = tree,
                Err(error) => {
                    groups.retire(made);
                    return Err(error.into());
                }
            }
            state.limits = limits;
            group = Some(made);
        }
        state.allotment = allotment;
        self.tenants.insert(Tenant::new(launch_id, group, state));
        Ok(())
    }

    /// What is known of a container of an earlier life beside its group.
    pub(crate) fn adopt(&self, launch_id: LaunchId, container_id: &str, sandbox: &Path) {
        if let Some(tenant) = self.tenants.get(launch_id) {
            let mut state = tenant.state();
            container_id.clone_into(&mut state.container_id);
            sandbox.clone_into(&mut state.sandbox);
        }
    }

    /// It may use more or less from now on.
    pub(crate) fn resize(&self, launch_id: LaunchId, allotment: Allotment) {
        let Some(tenant) = self.tenants.get(launch_id) else {
            return;
        };
        let mut state = tenant.state();
        if let (Some(groups), Some(group)) = (&self.groups, &tenant.group) {
            match groups.resize(group, &state.limits, &allotment) {
                Ok(limits) => state.limits = limits,
                Err(error) => {
                    tracing::error!(%launch_id, %error, "the limits of a container stay as they are");
                }
            }
        }
        state.allotment = allotment;
    }

    /// What the container that has just ended used too much of, if that is why it may have ended.
    pub(crate) fn limitation(&self, launch_id: LaunchId, wait_status: i32) -> Option<Limitation> {
        if wait_status == 0 || self.activity == Activity::Idle {
            return None;
        }
        self.tenants
            .get(launch_id)
            .and_then(|tenant| out_of_memory(tenant.group.as_ref()?))
    }

    /// Its group goes, with whoever is in it still.
    pub(crate) fn release(&self, launch_id: LaunchId) {
        if self.activity == Activity::Idle {
            return;
        }
        let tenant = self.tenants.remove(launch_id);
        let group = tenant.and_then(|tenant| tenant.group.clone());
        if let (Some(groups), Some(group)) = (&self.groups, group) {
            groups.retire(group);
        }
    }

    /// How what is left of a launch is ended.
    pub(crate) fn kill_method(&self, launch_id: LaunchId, usual: KillMethod) -> KillMethod {
        let tenant = self.tenants.get(launch_id);
        match (
            &self.groups,
            tenant.as_ref().and_then(|tenant| tenant.group.as_ref()),
        ) {
            (Some(groups), Some(group)) => groups.kill_method(group, usual),
            _ => usual,
        }
    }

    /// Where everybody may ask what containers use; `None` if nothing is measured here.
    pub(crate) fn statistics(&self) -> Option<Arc<Statistics>> {
        self.statistics.clone()
    }

    /// Ends what measures and keeps. Containers that go on keep their groups.
    pub(crate) fn finish(mut self, keeping: crate::work_dir::Keeping) {
        if keeping == crate::work_dir::Keeping::Temporary {
            for tenant in self.tenants.all() {
                self.release(tenant.launch_id);
            }
        }
        if let Some(groups) = self.groups.take() {
            groups.stop();
        }
    }
}

/// Whether memory ran out in a group, by what the kernel has counted.
fn out_of_memory(group: &mezz_cgroup::Group) -> Option<Limitation> {
    let counters = group.oom_counters().ok()?;
    if !keeper::has_run_out(&counters) {
        return None;
    }
    group
        .oom_report()
        .ok()
        .map(|report| limits::out_of_memory(&report))
}
