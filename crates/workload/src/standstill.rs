//! What somebody has stopped for a time: a rollout, a cron, or everything. It ends when somebody says so, or by itself.

use mezz_state::time::Wall;

use crate::call::{Lasting, Refusal, Reply};
use crate::effect::{Effect, Effects};
use crate::event::TimerKey;
use crate::job::why::moment;
use crate::restore::Sections;
use crate::workloads::Workloads;
use crate::{job, service};

/// Where the store says that everything is frozen, and the section that this is.
const FROZEN_KEY: &str = "work/frozen";
const FROZEN: &str = "frozen";

/// Something that somebody has stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Standstill {
    /// When it ends by itself.
    pub until: Option<Wall>,
}

impl Standstill {
    /// Whether its time is over.
    pub(crate) fn is_over(self, now: Wall) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// How it ends, as the end of a sentence.
    pub(crate) fn end_in_words(self, let_go: &str) -> String {
        match self.until {
            Some(until) => format!("until {}; {let_go} ends that sooner", moment(until)),
            None => format!("until somebody {let_go}s it"),
        }
    }
}

impl Lasting {
    /// What begins now; a time that is over already is refused.
    pub(crate) fn from(self, now: Wall) -> Result<Standstill, Refusal> {
        let until = match self {
            Self::UntilLetGo => None,
            Self::For { ns } => Some(Wall(now.0.saturating_add(ns))),
            Self::Until(at) => Some(at),
        };
        let standstill = Standstill { until };
        match until {
            Some(until) if standstill.is_over(now) => Err(Refusal::Conflict {
                message: format!(
                    "until: {} has passed already, it is {}; name a later time",
                    moment(until),
                    moment(now)
                ),
                rollouts: Vec::new(),
            }),
            _ => Ok(standstill),
        }
    }
}

impl Workloads {
    /// Nothing is started, ended or rolled from now on. What was frozen before is frozen anew.
    pub(crate) fn freeze(
        &mut self,
        lasts: Lasting,
        effects: &mut Effects,
    ) -> Result<Reply, Refusal> {
        let frozen = lasts.from(self.wall())?;
        self.records.frozen = Some(frozen);
        effects.put(FROZEN_KEY.into(), &frozen);
        arm(frozen, effects);
        service::wake_all(self);
        job::on_freeze(self, effects);
        Ok(Reply::Done)
    }

    /// All goes on.
    pub(crate) fn thaw(&mut self, effects: &mut Effects) -> Reply {
        self.records.frozen = None;
        effects.delete(FROZEN_KEY.into());
        effects.push(Effect::CancelTimer(TimerKey::Thaw));
        self.release_kills(effects);
        service::on_thaw(self);
        job::on_thaw(self, effects);
        Reply::Done
    }

    /// The time of the standstill may be over.
    pub(crate) fn on_thaw_timer(&mut self, effects: &mut Effects) {
        let now = self.wall();
        if self
            .records
            .frozen
            .is_some_and(|frozen| frozen.is_over(now))
        {
            self.thaw(effects);
        }
    }

    /// Takes over what the store says. What cannot be read stands still for as long as nobody thaws it.
    pub(crate) fn restore_frozen(&mut self, sections: &Sections, effects: &mut Effects) {
        if !sections.contains_key(FROZEN) {
            return;
        }
        let read = self.read::<Standstill>(sections, FROZEN);
        let frozen = read.first().map(|(_, one)| *one).unwrap_or_default();
        if frozen.is_over(self.wall()) {
            // It ended while nobody led.
            return effects.delete(FROZEN_KEY.into());
        }
        self.records.frozen = Some(frozen);
        arm(frozen, effects);
    }
}

fn arm(frozen: Standstill, effects: &mut Effects) {
    let key = TimerKey::Thaw;
    effects.push(match frozen.until {
        Some(at) => Effect::SetTimer { key, at },
        None => Effect::CancelTimer(key),
    });
}
