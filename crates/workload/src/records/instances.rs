//! What is known of an instance.

use std::sync::Arc;

use bytes::Bytes;
use mezz_proto::v1;
use mezz_state::time::Wall;

use crate::event::{AgentInfo, CheckFound, FoundByMany};
use crate::key::{InstanceKey, ObjectKey, RunKey};

/// One placed pod.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct InstanceRecord {
    pub key: InstanceKey,
    /// The task id.
    pub id: Arc<str>,
    pub object: ObjectKey,
    pub owner: Owner,
    pub agent: AgentInfo,
    pub phase: Phase,
    pub state: v1::TaskState,
    pub healthy: Option<bool>,
    pub ready: bool,
    /// In the order of the template's ports.
    pub ports: Vec<u16>,
    pub addresses: Vec<Box<str>>,
    pub created_at: Wall,
    pub started_at: Option<Wall>,
    pub message: Box<str>,
    /// When the verdict of the health check last changed.
    pub health_changed_at: Option<Wall>,
    /// Since when it has been passing all that makes it ready, without a break.
    pub passing_since: Option<Wall>,
    pub unreachable_since: Option<Wall>,
    /// What its check found last: the ready check, or the one that is only reported.
    pub check: Option<CheckFound>,
    /// What each of several checks found last; none where there is one of a kind.
    pub findings: Option<Box<Findings>>,
    /// Of a blue-green service: of the colour that gets no traffic now.
    pub parked: bool,
    /// Why it is being ended, once that was decided.
    pub ending: Option<Ending>,
    /// Whether its agent has told of it to this master.
    pub confirmed: bool,
    /// Of a service: the revision of its template.
    pub revision: u32,
    /// The task that a later master expects on the agent, encoded.
    pub expected: Bytes,
}

impl InstanceRecord {
    /// What a check found last: of the ready checks in order, then the one that is only reported.
    pub fn found(&self, index: usize) -> Option<CheckFound> {
        match index {
            0 => self.check,
            _ => self.findings.as_ref()?.checks.get(index).copied()?,
        }
    }
}

/// What several checks of an instance found last, by their places.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Findings {
    /// Of the health checks; empty where there is one at most.
    pub health: Vec<Option<HealthVerdict>>,
    /// Of the others; the first is not told here.
    pub checks: Vec<Option<CheckFound>>,
}

impl Findings {
    /// After news.
    pub(crate) fn followed_by(&self, found: &FoundByMany, now: Wall) -> Self {
        let health = found.health.iter().enumerate().map(|(index, told)| {
            let before = self.health.get(index).copied().flatten();
            let (alive, failures) = (*told)?;
            let since =
                before.filter(|before| before.alive == alive && before.failures == failures);
            Some(HealthVerdict {
                alive,
                failures,
                changed_at: since.map_or(now, |before| before.changed_at),
            })
        });
        let checks = (0..found.checks.len().max(self.checks.len())).map(|index| {
            let of = |all: &[Option<CheckFound>]| all.get(index).copied().flatten();
            of(&found.checks).or_else(|| of(&self.checks))
        });
        Self {
            health: health.collect(),
            checks: checks.collect(),
        }
    }
}

/// What one of several health checks found last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HealthVerdict {
    pub alive: bool,
    /// Failures in a row.
    pub failures: u32,
    /// When that became so.
    pub changed_at: Wall,
}

/// Why an instance is being ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Ending {
    /// There are more than are wanted.
    ScaledDown,
    /// One of another revision takes its place.
    Replaced,
    /// Its object was deleted.
    Deleted,
    /// Somebody asked for it.
    Asked,
    /// It came back after a replacement had taken its place.
    Expunged,
    /// Its run was stopped, or ended without it.
    Stopped,
    /// It took too long.
    TimedOut,
    /// Its agent is no longer for it.
    Misplaced,
    /// Work of higher priority takes its room.
    Preempted,
}

impl Ending {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::ScaledDown => "there are more instances than are wanted",
            Self::Replaced => "an instance of another generation takes its place",
            Self::Deleted => "its object was deleted",
            Self::Asked => "somebody asked for its end",
            Self::Expunged => "it came back after its replacement had started",
            Self::Stopped => "its run was stopped",
            Self::TimedOut => "it took longer than it may",
            Self::Misplaced => "its agent is no longer for it",
            Self::Preempted => "work of higher priority takes its room",
        }
    }
}

/// Whose instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Owner {
    Service {
        ordinal: u32,
        generation: u64,
    },
    Run {
        run: RunKey,
        index: u32,
        attempt: u32,
    },
}

/// Where an instance stands with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Phase {
    /// Sent to its agent.
    Starting,
    Running,
    /// Shown as leaving, not yet told.
    Draining,
    /// Told to end.
    Stopping,
    /// Its agent cannot be reached.
    Unreachable,
}
