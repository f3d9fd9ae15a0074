//! Trees on their way out: attempts with growing pauses until nothing is left.
//!
//! Owns the pauses and the answer `TreeGone`; how one attempt is made lies in `tree`.

use crate::launch::Launch;
use crate::proc_tree;
use crate::protocol::Reply;
use crate::timers::Timer;
use crate::tree::{Left, TreeId};
use crate::warden::Warden;
use mezz_launch_plan::{KillMethod, LaunchId, Leftovers};
use rustix::process::{Signal, pidfd_send_signal};
use std::time::{Duration, Instant};

/// The first pause between attempts; each further is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// The longest pause between attempts to kill.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause while waiting for a tree to end by itself.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What is done about a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// It is killed.
    Kill,
    /// It ends by itself, then its cgroup is removed.
    Wait,
}

/// Whether the agent asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    None,
    TreeGone,
}

/// A tree on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) tree: TreeId,
    pub(crate) means: Means,
    pub(crate) answer: Answer,
    pub(crate) pause: Duration,
}

impl Ending {
    pub(crate) fn new(tree: TreeId, means: Means, answer: Answer) -> Self {
        Self {
            tree,
            means,
            answer,
            pause: FIRST_PAUSE,
        }
    }
}

impl Warden {
    /// Begins to end a tree, or makes an ending that is under way stronger, and makes the first attempt.
    pub(crate) fn end_tree(&mut self, id: LaunchId, new: Ending) {
        let ending = match self.endings.remove(&id) {
            None => new,
            Some(old) => Ending {
                means: if old.means == Means::Kill {
                    Means::Kill
                } else {
                    new.means
                },
                answer: if old.answer == Answer::TreeGone {
                    Answer::TreeGone
                } else {
                    new.answer
                },
                pause: FIRST_PAUSE,
                tree: new.tree,
            },
        };
        self.endings.insert(id, ending);
        self.try_ending(id);
    }

    /// One attempt.
    pub(crate) fn try_ending(&mut self, id: LaunchId) {
        let Some(mut ending) = self.endings.remove(&id) else {
            return;
        };
        let left = match ending.means {
            Means::Kill => ending.tree.kill_once(),
            Means::Wait => ending.tree.remove_if_empty(),
        };
        let alive = self.launch(id).is_some_and(Launch::is_alive);
        if alive && ending.means == Means::Kill {
            // It may not have joined its cgroup yet, or have left it.
            self.kill_main(id);
        }
        if left == Left::Nothing && !alive {
            if ending.answer == Answer::TreeGone {
                self.reply(&Reply::TreeGone { launch_id: id });
            }
            return;
        }
        self.timers
            .set(Instant::now() + ending.pause, Timer::Ending(id));
        let longest = if ending.means == Means::Kill {
            LONGEST_PAUSE
        } else {
            LONGEST_WAIT
        };
        ending.pause = (ending.pause * 2).min(longest);
        self.endings.insert(id, ending);
    }

    fn kill_main(&self, id: LaunchId) {
        if let Some(pidfd) = self.launch(id).and_then(|launch| launch.pidfd.as_ref()) {
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
        }
    }

    /// Deals with what an ended main process left, by the plan's choice.
    pub(crate) fn clear_leftovers(&mut self, place: u32) {
        let Some(launch) = self.launch_at(place) else {
            return;
        };
        let (id, leftovers, tree) = (launch.id, launch.leftovers, launch.tree.clone());
        if self.endings.contains_key(&id) {
            return;
        }
        if tree.kill == KillMethod::Session {
            if leftovers == Leftovers::Kill {
                // To look costs more the more children there are: once for all that end at about the same time.
                self.suspected.push((id, tree));
                self.sweep_soon();
            }
            return;
        }
        if tree.remove_if_empty() == Left::Nothing {
            return;
        }
        match (leftovers, &tree.kill) {
            (Leftovers::Kill, _) => self.end_tree(id, Ending::new(tree, Means::Kill, Answer::None)),
            (Leftovers::Leave, KillMethod::Session | KillMethod::PidNamespace) => {}
            (Leftovers::Leave, KillMethod::FreezerV1 { .. } | KillMethod::CgroupV2 { .. }) => {
                self.end_tree(id, Ending::new(tree, Means::Wait, Answer::None));
            }
        }
    }

    /// Looks for what ended sessions left behind. Orphans become children of the warden, so that its own list of
    /// children mostly says that there is nothing.
    pub(crate) fn clear_suspected(&mut self) {
        let suspected = std::mem::take(&mut self.suspected);
        if suspected.is_empty() || !proc_tree::any_stray(|pid| self.main_pids.contains_key(&pid)) {
            return;
        }
        for (id, tree) in suspected {
            self.end_tree(id, Ending::new(tree, Means::Kill, Answer::None));
        }
    }
}
