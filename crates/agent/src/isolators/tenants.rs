//! The containers that run, as far as their use of the host matters.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mezz_agent_core::{Allotment, LaunchId};
use mezz_cgroup::{Group, Limits};

/// One container.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) launch_id: LaunchId,
    /// Its cgroup, if the agent isolates with any.
    pub(super) group: Option<Group>,
    state: Mutex<TenantState>,
}

/// What of a container changes, or is learned after it was found again.
#[derive(Clone, Debug, Default)]
pub(super) struct TenantState {
    pub(super) container_id: String,
    pub(super) sandbox: PathBuf,
    /// The cgroup that has all of its processes in it or below it.
    pub(super) tree: Option<PathBuf>,
    pub(super) allotment: Allotment,
    /// What the kernel was told.
    pub(super) limits: Limits,
    /// What the sandbox took when it was measured last.
    pub(super) disk_used: Option<u64>,
}

impl Tenant {
    pub(super) fn new(launch_id: LaunchId, group: Option<Group>, state: TenantState) -> Self {
        Self {
            launch_id,
            group,
            state: Mutex::new(state),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, TenantState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of them, for the core's thread and those that measure.
#[derive(Debug, Default)]
pub(super) struct Tenants(Mutex<BTreeMap<LaunchId, Arc<Tenant>>>);

impl Tenants {
    pub(super) fn insert(&self, tenant: Tenant) {
        self.lock().insert(tenant.launch_id, Arc::new(tenant));
    }

    pub(super) fn remove(&self, launch_id: LaunchId) -> Option<Arc<Tenant>> {
        self.lock().remove(&launch_id)
    }

    pub(super) fn get(&self, launch_id: LaunchId) -> Option<Arc<Tenant>> {
        self.lock().get(&launch_id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Tenant>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LaunchId, Arc<Tenant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
