//! What happened to users' objects: typed, in the past tense. The core numbers them with its own.

use std::sync::Arc;

use mezz_spec::{Kind, Name};
use mezz_state::time::Wall;

use crate::cron::due::Missed;
use crate::key::{InstanceKey, ObjectKey, RolloutKey, RunKey};

/// Something that happened. Keys can be resolved in the view published with the fact.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub enum Fact {
    ObjectApplied {
        object: ObjectKey,
        kind: Kind,
        name: Name,
        generation: u64,
        is_new: bool,
        /// The address of whoever asked for it; nobody's when it was not asked for.
        by: Option<Arc<str>>,
    },
    ObjectDeleted {
        kind: Kind,
        name: Name,
    },
    RolloutStarted {
        rollout: RolloutKey,
    },
    RolloutStepped {
        rollout: RolloutKey,
    },
    RolloutEnded {
        rollout: RolloutKey,
    },
    InstanceChanged {
        instance: InstanceKey,
        id: Arc<str>,
        object: ObjectKey,
    },
    InstanceEnded {
        id: Arc<str>,
        object: ObjectKey,
        message: String,
    },
    RunStarted {
        run: RunKey,
    },
    RunEnded {
        run: RunKey,
    },
    /// A fire-time was decided upon.
    CronFired {
        object: ObjectKey,
        run: Option<RunKey>,
    },
    /// Fire-times passed for which nothing was started.
    CronMissed {
        object: ObjectKey,
        count: u64,
        last: Wall,
        reason: Missed,
    },
}
