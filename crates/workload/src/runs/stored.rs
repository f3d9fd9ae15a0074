//! Runs in the store: `work/run/OBJECT/RUN` is the record, `work/plan/OBJECT/RUN` what it runs as long as it goes on, and
//! `work/block/OBJECT/RUN/NUMBER` where its indices are. A plan is written before its record, a record before a fire-time
//! is noted as decided: a torn write leaves nothing that was promised undone.

use crate::effect::Effects;
use crate::key::RunKey;
use crate::records::RunRecord;
use crate::restore::Sections;
use crate::workloads::Workloads;

impl Workloads {
    fn place_of(&self, key: RunKey) -> Option<String> {
        let (_, uid, run) = self.owner_of(key)?;
        Some(format!("{uid}/{}", run.id))
    }

    /// The key of a run's plan.
    pub(crate) fn plan_key(&self, key: RunKey) -> Option<String> {
        Some(format!("work/plan/{}", self.place_of(key)?))
    }

    /// The key of a block of a run's indices.
    pub(crate) fn block_key(&self, key: RunKey, number: u32) -> Option<String> {
        Some(format!("work/block/{}/{number:05}", self.place_of(key)?))
    }

    pub(crate) fn write_run(&self, key: RunKey, effects: &mut Effects) {
        if let (Some(place), Some(run)) = (self.place_of(key), self.run(key)) {
            effects.put(format!("work/run/{place}"), &**run);
        }
    }

    pub(crate) fn unwrite_run(&self, key: RunKey, effects: &mut Effects) {
        if let Some(place) = self.place_of(key) {
            effects.delete(format!("work/run/{place}"));
        }
    }

    /// Takes the records of runs over from the store, each at its old place.
    pub(crate) fn restore_runs(&mut self, sections: &Sections) {
        for (_, record) in self.read::<RunRecord>(sections, "run") {
            let is_known = self.object_at(record.object).is_some();
            let is_free = self.run(record.key).is_none();
            if is_known && is_free {
                self.insert_run(record);
            }
        }
    }
}
