//! The controllers' timers: they count in wall time, the shell's in monotonic time.

use mezz_workload::event::{Event, TimerKey as WorkTimer};

use crate::effect::Effects;
use crate::event::TimerKey;
use crate::master::Master;
use crate::time::{SECOND_NS, Wall};

/// A wall clock may be set: no wait is longer than this before it is looked at again.
const LOOK_AGAIN_NS: u64 = 30 * SECOND_NS;

impl Master {
    pub(super) fn set_work_timer(&mut self, key: WorkTimer, at: Wall, effects: &mut Effects) {
        self.work.timers.insert(key, at);
        self.arm_work_timer(key, at, effects);
    }

    pub(super) fn cancel_work_timer(&mut self, key: WorkTimer, effects: &mut Effects) {
        if self.work.timers.remove(&key).is_some() {
            self.cancel_timer(TimerKey::Work(key), effects);
        }
    }

    fn arm_work_timer(&mut self, key: WorkTimer, at: Wall, effects: &mut Effects) {
        let wait_ns = at.0.saturating_sub(self.now.wall.0).min(LOOK_AGAIN_NS);
        let due = self.now.mono.after(wait_ns);
        self.set_timer(TimerKey::Work(key), due, effects);
    }

    pub(crate) fn on_work_timer(&mut self, key: WorkTimer, effects: &mut Effects) {
        let Some(at) = self.work.timers.get(&key).copied() else {
            return;
        };
        if at > self.now.wall {
            return self.arm_work_timer(key, at, effects);
        }
        self.work.timers.remove(&key);
        self.tell_work(Event::Timer(key), None, effects);
    }
}
