//! What the agent knows of frameworks, and those with something here.

use crate::agent::{AgentCore, Turn};
use crate::journal::Record;
use crate::model::{Framework, FrameworkKey, FrameworkPhase, FrameworkTraits, KnownFramework};
use crate::slab::Key;
use mezz_proto::v1::FrameworkInfo;
use std::collections::BTreeMap;
use std::sync::Arc;

impl AgentCore {
    /// The framework with this (known) id, made present if it is not.
    pub(crate) fn ensure_framework(&mut self, framework_id: &str) -> FrameworkKey {
        if let Some(key) = self.framework_of(framework_id) {
            return key;
        }
        let (id, known) = self
            .known_frameworks
            .get_key_value(framework_id)
            .expect("only called for known frameworks");
        let (id, info) = (Arc::clone(id), Arc::clone(&known.info));
        let earlier = self
            .completed_frameworks
            .iter()
            .position(|record| record.info.id == info.id);
        let completed = earlier
            .and_then(|index| self.completed_frameworks.remove(index))
            .map(|record| record.completed_executors.iter().cloned().collect());
        let key: Key<Framework> = self.frameworks.insert(Framework {
            id: Arc::clone(&id),
            traits: FrameworkTraits::of(&info),
            info,
            phase: FrameworkPhase::Running,
            executors: BTreeMap::new(),
            tasks: rustc_hash::FxHashMap::default(),
            detached: Vec::new(),
            completed: completed.unwrap_or_default(),
            record: None,
        });
        self.framework_keys.insert(id, key);
        self.records = None;
        key
    }

    /// Takes in what the master says of a framework; `info` has its id.
    pub(crate) fn learn_framework(&mut self, turn: &mut Turn<'_>, info: FrameworkInfo) {
        let Some(id) = info
            .id
            .as_ref()
            .map(|id| Arc::<str>::from(id.value.as_str()))
        else {
            return;
        };
        if self
            .known_frameworks
            .get(&id)
            .is_some_and(|known| *known.info == info)
        {
            return;
        }
        let info = Arc::new(info);
        let recorded = self
            .known_frameworks
            .get(&id)
            .is_some_and(|known| known.recorded);
        if recorded {
            turn.checkpoint(Record::Framework {
                info: Arc::clone(&info),
            });
        }
        self.known_frameworks.insert(
            Arc::clone(&id),
            KnownFramework {
                info: Arc::clone(&info),
                recorded,
            },
        );
        let Some(framework) = self
            .framework_of(&id)
            .and_then(|key| self.frameworks.get_mut(key))
        else {
            return;
        };
        // Whether it checkpoints is fixed by the first launch: what runs was started under it.
        framework.traits = FrameworkTraits {
            checkpoint: framework.traits.checkpoint,
            ..FrameworkTraits::of(&info)
        };
        framework.info = info;
        framework.record = None;
        self.records = None;
    }

    pub(crate) fn on_update_framework(&mut self, turn: &mut Turn<'_>, info: FrameworkInfo) {
        let Some(id) = info
            .id
            .clone()
            .filter(|id| self.known_frameworks.contains_key(id.value.as_str()))
        else {
            return;
        };
        self.learn_framework(turn, info);
        // The master says this when a scheduler has taken its framework over: what the old one left unacknowledged
        // need not wait for its next retry.
        self.resend_updates(turn, &id.value);
    }
}
