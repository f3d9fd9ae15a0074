//! What a facade answers from: one view of the users' objects, and a few facts about the cluster.

use std::sync::Arc;

use mezz_spec::cron::Cron;
use mezz_spec::job::Job;
use mezz_spec::service::Service;
use mezz_spec::{Kind, Name, Spec};
use mezz_state::time::Wall;
use mezz_workload::key::ObjectKey;
use mezz_workload::records::{
    InstanceRecord, JobStatus, ObjectRecord, Records, RolloutRecord, RunRecord, Status,
};

/// A view with what the shell knows.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    pub work: &'a Records,
    pub now: Wall,
    pub cluster: &'a Cluster,
}

/// Facts about the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// `host:port` of the master that leads.
    pub leader: String,
    /// Of the built-in framework.
    pub framework_id: String,
    /// Of this software.
    pub version: String,
    /// Agents that take work.
    pub agents: usize,
    /// Whether what is written outlives the leading master.
    pub is_durable: bool,
}

impl<'a> World<'a> {
    /// The object of a kind and name.
    pub fn object(&self, kind: Kind, name: &Name) -> Option<&'a ObjectRecord> {
        let key = self.work.index.get(&(kind, name.clone()))?;
        self.work.objects.get(key.index()).map(|record| &**record)
    }

    /// The object with a key, also one that is being deleted.
    pub fn object_at(&self, key: ObjectKey) -> Option<&'a ObjectRecord> {
        self.work.objects.get(key.index()).map(|record| &**record)
    }

    /// All objects of a kind, by name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &'a ObjectRecord> + use<'a> {
        let work = self.work;
        work.index
            .iter()
            .filter(move |((own, _), _)| *own == kind)
            .filter_map(move |(_, key)| work.objects.get(key.index()))
            .map(|record| &**record)
    }

    /// The instances of an object, oldest first.
    pub fn instances(&self, object: ObjectKey) -> Vec<&'a Arc<InstanceRecord>> {
        let mut found: Vec<_> = self
            .work
            .instances
            .iter()
            .filter(|(_, instance)| instance.object == object)
            .map(|(_, instance)| instance)
            .collect();
        found.sort_by_key(|instance| (instance.created_at, instance.key));
        found
    }

    /// The runs of an object, oldest first.
    pub fn runs(&self, object: ObjectKey) -> Vec<&'a Arc<RunRecord>> {
        let mut found: Vec<_> = self
            .work
            .runs
            .iter()
            .filter(|(_, run)| run.object == object)
            .map(|(_, run)| run)
            .collect();
        found.sort_by_key(|run| (run.created_at, run.key));
        found
    }

    /// Rollouts that have something left to do.
    pub fn active_rollouts(&self) -> impl Iterator<Item = &'a Arc<RolloutRecord>> + use<'a> {
        self.work
            .rollouts
            .iter()
            .map(|(_, rollout)| rollout)
            .filter(|rollout| rollout.state.is_active())
    }
}

/// The spec of an object that is a service.
pub fn as_service(record: &ObjectRecord) -> Option<&Service> {
    match &*record.spec {
        Spec::Service(service) => Some(service),
        _ => None,
    }
}

/// The spec of an object that is a job.
pub fn as_job(record: &ObjectRecord) -> Option<&Job> {
    match &*record.spec {
        Spec::Job(job) => Some(job),
        _ => None,
    }
}

/// The spec of an object that is a cron.
pub fn as_cron(record: &ObjectRecord) -> Option<&Cron> {
    match &*record.spec {
        Spec::Cron(cron) => Some(cron),
        _ => None,
    }
}

/// How a job stands.
pub fn job_status(record: &ObjectRecord) -> JobStatus {
    match &record.status {
        Status::Job(status) => status.clone(),
        _ => JobStatus::default(),
    }
}
