//! Ends of processes: written down first, then reaped, then reported, and kept until acknowledged.
//!
//! Must never reap a main process whose exit is not in the log.

use crate::crash_point::crash_point;
use crate::launch::{Launch, Phase};
use crate::proc_tree;
use crate::protocol::{Exit, ExitStatus, Reply, ShutdownLaunches};
use crate::sys::{self, Ended, Reap, Waited};
use crate::timers::Timer;
use crate::tree_ending::{Answer, Ending, Means};
use crate::warden::{Token, Warden};
use mezz_launch_plan::{KillMethod, LaunchId, Leftovers};
use rustix::event::epoll::EventFlags;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often orphans are looked for at most.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);
/// How long an ended process that is not our child may stay a zombie before its end counts as unknown.
const UNCLEAR_FOR: Duration = Duration::from_mins(1);
const UNCLEAR_PAUSE: Duration = Duration::from_millis(20);

impl Warden {
    /// Writes down, reaps and reports the processes found ended in this turn.
    pub(crate) fn process_exits(&mut self) {
        let places = std::mem::take(&mut self.ended);
        let mut exits: Vec<(u32, Exit)> = Vec::with_capacity(places.len());
        for place in places {
            // A report that came in the same turn goes first: started, then exited.
            self.on_report(place);
            let launch = self.launches.get(place as usize).and_then(Option::as_ref);
            match launch.map_or(Seen::Runs, look) {
                Seen::Runs => {}
                Seen::Ended(exit) => {
                    if exits.iter().all(|(known, _)| *known != place) {
                        exits.push((place, exit));
                    }
                }
                Seen::Unclear => self.look_again(place),
                Seen::Vanished => self.vanish(place),
            }
        }
        if exits.is_empty() {
            return;
        }
        if let Some(log) = &mut self.log {
            for (_, exit) in &exits {
                log.exited(exit);
            }
            crash_point("warden.before_exit_log");
            if let Err(error) = log.write() {
                note!("exit log: {error}");
            }
            crash_point("warden.after_exit_log");
        }
        for (place, exit) in exits {
            self.reap(place, exit);
        }
    }

    fn reap(&mut self, place: u32, exit: Exit) {
        let Some(launch) = self.launch_at(place) else {
            return;
        };
        if let Some(pidfd) = launch.pidfd.take() {
            let reaped = sys::wait(Waited::Pidfd(pidfd.as_fd()), Reap::Reap);
            self.unwatch(pidfd.as_fd());
            match reaped {
                Err(error) if is_no_child(&error) => return self.end_of_stranger(place, exit),
                Err(error) => note!("cannot reap {}: {error}", exit.pid),
                Ok(_) => {}
            }
        }
        crash_point("warden.after_reap");
        self.main_pids.remove(&exit.pid);
        if let Some(launch) = self.launch_at(place) {
            launch.phase = Phase::Exited(exit);
            launch.stdin = None;
        }
        self.reply(&Reply::Exited(exit));
        self.clear_leftovers(place);
    }

    /// What an earlier warden has started is over; what it left became others' children.
    fn end_of_stranger(&mut self, place: u32, exit: Exit) {
        self.main_pids.remove(&exit.pid);
        let Some(launch) = self.launch_at(place) else {
            return;
        };
        launch.phase = Phase::Exited(exit);
        let (id, leftovers) = (launch.id, launch.leftovers);
        let mut tree = launch.tree.clone();
        self.reply(&Reply::Exited(exit));
        if tree.kill == KillMethod::Session && leftovers == Leftovers::Kill {
            // Found by the marker alone, wherever they are now.
            tree.pid = 0;
            return self.end_tree(id, Ending::new(tree, Means::Kill, Answer::None));
        }
        self.clear_leftovers(place);
    }

    /// A process that is not our child tells how it ended only once its new parent has reaped it.
    fn look_again(&mut self, place: u32) {
        let Some(launch) = self.launch_at(place) else {
            return;
        };
        let id = launch.id;
        let since = *launch.unclear_since.get_or_insert_with(Instant::now);
        if since.elapsed() > UNCLEAR_FOR {
            return self.vanish(place);
        }
        if let Some(Some(launch)) = self.launches.get(place as usize)
            && let Some(pidfd) = &launch.pidfd
        {
            // It would wake us without end.
            self.unwatch(pidfd.as_fd());
        }
        self.timers
            .set(Instant::now() + UNCLEAR_PAUSE, Timer::Unclear(id));
    }

    /// Forgets an exit that the agent has taken note of.
    pub(crate) fn acknowledge(&mut self, id: LaunchId) {
        let Some(&place) = self.places.get(&id) else {
            return;
        };
        if self.launch_at(place).is_none_or(|launch| launch.is_alive()) {
            return;
        }
        crash_point("warden.before_acknowledge_log");
        if let Some(log) = &mut self.log {
            log.acknowledged(id);
        }
        self.remove(place);
        crash_point("warden.after_acknowledge_log");
    }

    /// SIGCHLD asks for a sweep; the others ask us to end.
    pub(crate) fn on_signals(&mut self) {
        let mut buffer = [0u8; 8 * size_of::<libc::signalfd_siginfo>()];
        while let Ok(count) = rustix::io::read(&self.setup.signals, &mut buffer) {
            for record in buffer[..count].chunks_exact(size_of::<libc::signalfd_siginfo>()) {
                let (number, _) = record
                    .split_first_chunk()
                    .expect("a record begins with the signal's number");
                if u32::from_ne_bytes(*number) == libc::SIGCHLD.unsigned_abs() {
                    self.sweep_soon();
                } else {
                    // With a work directory the tasks belong to the node, not to this process.
                    let durable = self.setup.work_dir.is_some();
                    self.stop(if durable {
                        ShutdownLaunches::Leave
                    } else {
                        ShutdownLaunches::Kill
                    });
                }
            }
        }
    }

    /// Looks for orphans a little later; until then SIGCHLD, which comes with every exit, wakes nobody.
    pub(crate) fn sweep_soon(&mut self) {
        if !self.sweeping {
            self.sweeping = true;
            self.rewatch(
                self.setup.signals.as_fd(),
                Token::Signals,
                EventFlags::empty(),
            );
            self.timers
                .set(Instant::now() + SWEEP_PAUSE, Timer::Orphans);
        }
    }

    /// Reaps every ended child that is nobody's main process.
    pub(crate) fn reap_orphans(&mut self) {
        self.sweeping = false;
        self.rewatch(self.setup.signals.as_fd(), Token::Signals, EventFlags::IN);
        self.reap_strangers();
        self.clear_suspected();
    }

    fn reap_strangers(&mut self) {
        while let Ok(Some(ended)) = sys::wait(Waited::Any, Reap::Look) {
            if let Some(&place) = self.main_pids.get(&ended.pid) {
                self.ended.push(place);
                self.process_exits();
                if self.main_pids.contains_key(&ended.pid) {
                    note!("{} has ended but cannot be reaped", ended.pid);
                    return;
                }
            } else if self
                .validation
                .as_ref()
                .is_some_and(|validation| validation.pid() == ended.pid)
            {
                self.on_validated();
                if self.validation.as_ref().is_some_and(|validation| {
                    validation.pid() == ended.pid && !validation.is_done()
                }) {
                    return;
                }
            } else if sys::wait(Waited::Pid(ended.pid), Reap::Reap).is_err() {
                return;
            }
        }
    }
}

/// What a look at a main process has shown.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Runs,
    Ended(Exit),
    /// It has ended, and how is not known yet.
    Unclear,
    /// It has ended, and nobody will ever know how.
    Vanished,
}

fn is_no_child(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(libc::ECHILD)
}

/// How a launch's main process ended, if it did; our own child stays a zombie.
fn look(launch: &Launch) -> Seen {
    let Some(pidfd) = &launch.pidfd else {
        return Seen::Runs;
    };
    match sys::wait(Waited::Pidfd(pidfd.as_fd()), Reap::Look) {
        Ok(Some(ended)) => Seen::Ended(exit_of(launch, ended)),
        Err(error) if is_no_child(&error) => look_at_stranger(launch, pidfd.as_fd()),
        Ok(None) | Err(_) => Seen::Runs,
    }
}

/// Of a process that an earlier warden has started.
fn look_at_stranger(launch: &Launch, pidfd: BorrowedFd<'_>) -> Seen {
    if !sys::has_ended(pidfd) {
        return Seen::Runs;
    }
    let pid = launch.tree.pid;
    let ended = |raw_status| {
        let ended = Ended {
            pid,
            raw_status,
            user_us: 0,
            system_us: 0,
            max_rss_kib: 0,
        };
        Seen::Ended(exit_of(launch, ended))
    };
    match (sys::exit_status(pidfd), proc_tree::zombie_status(pid)) {
        (Ok(Some(status)), _) => ended(status),
        // Its new parent takes its time. While it does, the number is nobody else's.
        (_, Some(status)) if sys::exit_status(pidfd).is_ok_and(|reaped| reaped.is_none()) => {
            ended(status)
        }
        (Ok(None), _) => Seen::Unclear,
        // A kernel before 6.15.
        (Err(_), _) => Seen::Vanished,
    }
}

fn exit_of(launch: &Launch, ended: Ended) -> Exit {
    let mut raw = ended.raw_status;
    if let Some(pipe) = &launch.init_status {
        let mut told = [0u8; 4];
        if matches!(rustix::io::read(pipe, &mut told), Ok(4)) {
            raw = i32::from_ne_bytes(told);
        }
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Exit {
        launch_id: launch.id,
        pid: ended.pid,
        status: ExitStatus::from_raw(raw),
        user_us: ended.user_us,
        system_us: ended.system_us,
        max_rss_kib: ended.max_rss_kib,
        at_us: u64::try_from(now.as_micros()).unwrap_or(u64::MAX),
    }
}
