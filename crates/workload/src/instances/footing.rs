//! How the ledger is to count an instance that runs already.

use mezz_sched::GroupKey;
use mezz_spec::Spec;

use super::rules::group;
use crate::job;
use crate::records::Owner;
use crate::workloads::Workloads;

/// What of an instance bears on the places of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footing {
    /// Where it is counted.
    pub group: GroupKey,
    pub priority: i32,
    /// Whether it may be ended for the sake of others.
    pub preemptible: bool,
}

impl Workloads {
    /// The footing of the instance with this task id; none when it is unknown here.
    pub fn footing(&self, instance: &str) -> Option<Footing> {
        let record = self.instance(self.instance_named(instance)?)?;
        let object = self.object_at(record.object)?;
        let group = group(record.object);
        // A run is what it was when it was made, and those of crons and dags have a job of their own.
        if let Owner::Run { run, .. } = record.owner
            && let Some((priority, preemptible)) = job::standing(self, run)
        {
            return Some(Footing {
                group,
                priority,
                preemptible,
            });
        }
        let (priority, preemptible) = match &*object.spec {
            Spec::Service(service) => (service.priority, false),
            Spec::Job(job) => (job.priority, job.preemptible),
            Spec::Cron(_) | Spec::Dag(_) | Spec::Group(_) | Spec::Secret(_) | Spec::Config(_) => {
                (0, false)
            }
        };
        Some(Footing {
            group,
            priority: self.inherited(&object.name).priority_of(priority),
            preemptible,
        })
    }
}
