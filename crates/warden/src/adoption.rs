//! Processes of a warden that has died: written down when they start, found again by the next warden, and held by a
//! pidfd, which also tells how they ended although they are not our children.
//!
//! Must never take another process for one of ours: a number alone is no proof.

use crate::launch::{Launch, Phase};
use crate::proc_tree;
use crate::reexec_state::{decode_tree, encode_tree};
use crate::tree::TreeId;
use crate::tree_ending::{Answer, Ending, Means};
use crate::warden::Warden;
use mezz_launch_plan::wire::{DecodeError, Reader, Writer};
use mezz_launch_plan::{LaunchId, Leftovers, Survival};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs;
use std::os::fd::OwnedFd;

/// What a warden writes down of a launch that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) id: LaunchId,
    pub(crate) tree: TreeId,
    pub(crate) survival: Survival,
    pub(crate) leftovers: Leftovers,
    /// Of the agent that asked for it.
    pub(crate) generation: u64,
    pub(crate) identity: Identity,
}

/// What tells a process from every other one that has, had or will have its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Which run of the kernel.
    boot: u64,
    /// The number of its pidfd in the kernel's own file system; 0 where kernels have none.
    inode: u64,
    /// Its start time, where there is no such number.
    start_ticks: u64,
}

impl Identity {
    /// Of the process behind a pidfd.
    pub(crate) fn of(pidfd: &OwnedFd, pid: u32, boot: u64) -> Self {
        /// Before this file system all pidfds had one number.
        const PIDFS: u64 = 0x5049_4446;
        let in_pidfs =
            rustix::fs::fstatfs(pidfd).is_ok_and(|system| system.f_type.cast_unsigned() == PIDFS);
        let inode = if in_pidfs {
            rustix::fs::fstat(pidfd).map_or(0, |stat| stat.st_ino)
        } else {
            0
        };
        let start_ticks = if inode == 0 {
            proc_tree::start_ticks(pid).unwrap_or(0)
        } else {
            0
        };
        Self {
            boot,
            inode,
            start_ticks,
        }
    }

    fn is_known(self) -> bool {
        self.boot != 0 && (self.inode != 0 || self.start_ticks != 0)
    }
}

/// Tells this run of the kernel from others; 0 where that cannot be told.
pub(crate) fn boot() -> u64 {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = id
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect();
    u64::from_str_radix(&digits, 16).unwrap_or(0)
}

impl Started {
    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.id.0);
        encode_tree(&self.tree, w);
        w.u8(self.survival.number());
        w.u8(self.leftovers.number());
        w.u64(self.generation);
        w.u64(self.identity.boot);
        w.u64(self.identity.inode);
        w.u64(self.identity.start_ticks);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: LaunchId(r.u64("started.id")?),
            tree: decode_tree(r)?,
            survival: Survival::from_number(r.u8("started.survival")?)?,
            leftovers: Leftovers::from_number(r.u8("started.leftovers")?)?,
            generation: r.u64("started.generation")?,
            identity: Identity {
                boot: r.u64("started.boot")?,
                inode: r.u64("started.inode")?,
                start_ticks: r.u64("started.start_ticks")?,
            },
        })
    }
}

impl Warden {
    /// What is written down of a launch; `None` if it does not run.
    pub(crate) fn started(&self, launch: &Launch) -> Option<Started> {
        let pidfd = launch.pidfd.as_ref()?;
        matches!(launch.phase, Phase::Running).then(|| Started {
            id: launch.id,
            tree: launch.tree.clone(),
            survival: launch.survival,
            leftovers: launch.leftovers,
            generation: self.generation,
            identity: Identity::of(pidfd, launch.tree.pid, self.boot),
        })
    }

    /// Writes down that a launch runs.
    pub(crate) fn log_start(&mut self, id: LaunchId) {
        let started = self.launch(id).and_then(|launch| self.started(launch));
        if let (Some(log), Some(started)) = (&mut self.log, started) {
            log.started(&started);
        }
    }

    /// Takes up what an earlier warden has left running.
    pub(crate) fn adopt(&mut self, left: Vec<Started>) {
        for started in left {
            let Some(pidfd) = find(&started, self.boot) else {
                // Nobody saw how it ended. The agent misses it in our list, and ends what is left of its tree.
                if let Some(log) = &mut self.log {
                    log.acknowledged(started.id);
                }
                continue;
            };
            self.note_cgroup_parent(&started.tree.kill);
            self.adopted_generation = self.adopted_generation.max(Some(started.generation));
            let place = self.insert(Launch {
                id: started.id,
                tree: started.tree,
                survival: started.survival,
                leftovers: started.leftovers,
                phase: Phase::Running,
                pidfd: Some(pidfd),
                stdin: None,
                outputs: Vec::new(),
                init_status: None,
                unclear_since: None,
            });
            self.watch_launch(place);
        }
    }

    /// A process that is not our child has ended, and nobody can say how.
    pub(crate) fn vanish(&mut self, place: u32) {
        let Some(launch) = self.remove(place) else {
            return;
        };
        note!("{} has ended, and the kernel does not tell how", launch.id);
        if let Some(log) = &mut self.log {
            log.acknowledged(launch.id);
        }
        let ending = Ending::new(launch.tree, Means::Kill, Answer::TreeGone);
        self.end_tree(launch.id, ending);
    }
}

fn find(started: &Started, boot: u64) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(started.tree.pid).ok()?)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let found = Identity::of(&pidfd, started.tree.pid, boot);
    (found.is_known() && found == started.identity).then_some(pidfd)
}
