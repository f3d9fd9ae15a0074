//! Tasks that agents report as instances of ours and that nobody here knows: given up before, or left behind by an object
//! that is gone.

use mezz_proto::v1::TaskState;

use crate::effect::Effects;
use crate::instances::kills::Doomed;
use crate::instances::statuses::is_terminal;
use crate::workloads::Workloads;

impl Workloads {
    /// Such a task is ended, like any other not before all agents have reported, at the pace of kills, and not while all
    /// stands still. If something in the store could not be read it is left alone, since it may belong to that; so it is if the
    /// store held no object at all.
    pub(crate) fn on_unknown(&mut self, id: &str, state: TaskState, effects: &mut Effects) {
        let is_away = matches!(state, TaskState::TaskUnreachable | TaskState::TaskUnknown);
        let stray = Doomed::Stray(id.into());
        // Keys of objects are counted from the first that was ever known.
        self.lost |= self.next_object == 0;
        if is_away || is_terminal(state) || !self.unreadable.is_empty() || self.lost {
            return self.kills.remove(&stray);
        }
        self.queue_kill(stray, effects);
    }
}
