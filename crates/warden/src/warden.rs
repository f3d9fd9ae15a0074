//! The warden's memory and its loop: one thread, one epoll, nothing that sleeps on a child.
//!
//! Owns the order in which things happen within a turn: events, exits, timers, acknowledgements written, replies
//! sent. What each event means lies in the modules beside it.

use crate::adoption;
use crate::exit_log::{ExitLog, Logged};
use crate::launch::{Launch, Phase, ReportSlots};
use crate::peer::{Line, Peer};
use crate::protocol::{Reply, ShutdownLaunches};
use crate::reexec::Validation;
use crate::startup::{Endpoint, Setup};
use crate::sys;
use crate::timers::{Timer, Timers};
use crate::tree::TreeId;
use crate::tree_ending::Ending;
use mezz_launch_plan::{LaunchId, LaunchPlan};
use rustix::event::epoll;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Instant;

/// What an epoll event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Listener,
    Signals,
    Peer(u32),
    /// The report pipe of the launch at this place.
    Report(u32),
    /// The pidfd of the launch at this place.
    Exit(u32),
    /// The report pipe of a child that was given up, by slot.
    LateReport(u32),
    Validation,
}

impl Token {
    fn pack(self) -> epoll::EventData {
        let (kind, index) = match self {
            Self::Listener => (0, 0),
            Self::Signals => (1, 0),
            Self::Peer(index) => (2, index),
            Self::Report(index) => (3, index),
            Self::Exit(index) => (4, index),
            Self::LateReport(index) => (5, index),
            Self::Validation => (6, 0),
        };
        epoll::EventData::new_u64((kind << 32) | u64::from(index))
    }

    fn unpack(data: epoll::EventData) -> Self {
        let data = data.u64();
        let index = u32::try_from(data & 0xffff_ffff).expect("the mask leaves 32 bits");
        match data >> 32 {
            0 => Self::Listener,
            1 => Self::Signals,
            2 => Self::Peer(index),
            3 => Self::Report(index),
            4 => Self::Exit(index),
            5 => Self::LateReport(index),
            _ => Self::Validation,
        }
    }
}

/// Everything the warden knows.
#[derive(Debug)]
pub(crate) struct Warden {
    pub(crate) setup: Setup,
    pub(crate) endpoint: Endpoint,
    epoll: OwnedFd,
    pub(crate) peers: BTreeMap<u32, Peer>,
    pub(crate) next_peer: u32,
    pub(crate) controller: Option<u32>,
    pub(crate) generation: u64,
    /// The newest generation for which something runs that we took over from an earlier warden.
    pub(crate) adopted_generation: Option<u64>,
    /// Which run of the kernel this is.
    pub(crate) boot: u64,
    /// By place; a place is free while it is `None`.
    pub(crate) launches: Vec<Option<Launch>>,
    free_places: Vec<u32>,
    pub(crate) places: HashMap<LaunchId, u32>,
    /// The places of main processes that are not reaped, by process id.
    pub(crate) main_pids: BTreeMap<u32, u32>,
    pub(crate) endings: BTreeMap<LaunchId, Ending>,
    /// Trees without a cgroup whose main process has ended, to be looked at with the next sweep.
    pub(crate) suspected: Vec<(LaunchId, TreeId)>,
    /// The directories in which our cgroups lie.
    pub(crate) cgroup_parents: BTreeSet<PathBuf>,
    pub(crate) backlog: VecDeque<LaunchPlan>,
    pub(crate) slots: ReportSlots,
    /// Report pipes of children that were given up, by slot.
    pub(crate) late_reports: BTreeMap<u32, OwnedFd>,
    pub(crate) stack: *mut c_void,
    pub(crate) log: Option<ExitLog>,
    pub(crate) timers: Timers,
    /// Places whose process has ended, found in this turn.
    pub(crate) ended: Vec<u32>,
    pub(crate) stopping: Option<ShutdownLaunches>,
    /// Whether a sweep for orphans is due already.
    pub(crate) sweeping: bool,
    /// Something does not die: end nevertheless.
    gave_up: bool,
    pub(crate) validation: Option<Validation>,
}

/// The size of the stack that children sharing our memory run on, one at a time.
pub(crate) const STACK_BYTES: usize = 64 << 10;

impl Warden {
    /// A warden that knows nothing yet.
    pub(crate) fn new(setup: Setup, endpoint: Endpoint, log: Option<ExitLog>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let warden = Self {
            setup,
            endpoint,
            epoll,
            peers: BTreeMap::new(),
            next_peer: 0,
            controller: None,
            generation: 0,
            adopted_generation: None,
            boot: adoption::boot(),
            launches: Vec::new(),
            free_places: Vec::new(),
            places: HashMap::new(),
            main_pids: BTreeMap::new(),
            endings: BTreeMap::new(),
            suspected: Vec::new(),
            cgroup_parents: BTreeSet::new(),
            backlog: VecDeque::new(),
            slots: ReportSlots::new()?,
            late_reports: BTreeMap::new(),
            stack: sys::stack_pages(STACK_BYTES)?,
            log,
            timers: Timers::default(),
            ended: Vec::new(),
            stopping: None,
            sweeping: false,
            gave_up: false,
            validation: None,
        };
        warden.watch(warden.endpoint.listener.as_fd(), Token::Listener)?;
        warden.watch(warden.setup.signals.as_fd(), Token::Signals)?;
        Ok(warden)
    }

    /// Serves until there is nothing more to do.
    pub(crate) fn serve(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(256);
        loop {
            let timeout = self.timers.until_next(Instant::now());
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                timeout.as_ref(),
            ) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            for event in events.drain(..) {
                self.dispatch(Token::unpack(event.data), event.flags);
            }
            self.process_exits();
            self.run_timers();
            self.start_backlog();
            self.write_log();
            self.flush_peers();
            self.continue_reexec();
            if self.is_finished() {
                return Ok(());
            }
        }
    }

    /// Removes what others would find of us after a clean end.
    pub(crate) fn clear_up(&self) {
        let _ = std::fs::remove_file(&self.setup.socket);
        if let Some(log) = self.log.as_ref().filter(|_| self.setup.work_dir.is_none()) {
            log.remove();
        }
        for parent in &self.cgroup_parents {
            // Somebody may be in it still, or it may be another's: then it stays.
            let _ = std::fs::remove_dir(parent);
        }
    }

    fn dispatch(&mut self, token: Token, flags: epoll::EventFlags) {
        match token {
            Token::Listener => self.accept(),
            Token::Signals => self.on_signals(),
            Token::Peer(peer) => self.on_peer(peer, flags),
            Token::Report(place) => self.on_report(place),
            Token::Exit(place) => self.ended.push(place),
            Token::LateReport(slot) => self.on_late_report(slot),
            Token::Validation => self.on_validated(),
        }
    }

    fn run_timers(&mut self) {
        let now = Instant::now();
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Step(id) => self.on_step_deadline(id),
                Timer::Ending(id) => self.try_ending(id),
                Timer::Unclear(id) => {
                    self.ended.extend(self.places.get(&id));
                    self.process_exits();
                }
                Timer::Orphans => self.reap_orphans(),
                Timer::Idle => self.on_idle(),
                Timer::FirstConnection => self.on_no_connection(),
                Timer::Validation => self.on_validation_deadline(),
                Timer::GiveUp => self.gave_up = true,
            }
        }
        // Orphans' sweep may have met main processes.
        self.process_exits();
    }

    fn is_finished(&self) -> bool {
        match self.stopping {
            None => false,
            Some(ShutdownLaunches::Leave) => true,
            Some(ShutdownLaunches::Kill) if self.gave_up => true,
            Some(ShutdownLaunches::Kill) => {
                let none_alive = !self.launches.iter().flatten().any(Launch::is_alive);
                none_alive && self.endings.is_empty() && self.suspected.is_empty()
            }
        }
    }

    /// Waits for reading.
    pub(crate) fn watch(&self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            fd,
            token.pack(),
            epoll::EventFlags::IN,
        )?)
    }

    /// Changes what is waited for.
    pub(crate) fn rewatch(&self, fd: BorrowedFd<'_>, token: Token, flags: epoll::EventFlags) {
        if let Err(errno) = epoll::modify(&self.epoll, fd, token.pack(), flags) {
            note!("epoll: {errno}");
        }
    }

    /// Always before a descriptor is closed: a copy of it in a child would keep it in the set.
    pub(crate) fn unwatch(&self, fd: BorrowedFd<'_>) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Finds a place for a launch.
    pub(crate) fn insert(&mut self, launch: Launch) -> u32 {
        let place = self.free_places.pop().unwrap_or_else(|| {
            self.launches.push(None);
            u32::try_from(self.launches.len() - 1).expect("there are fewer processes than 2^32")
        });
        self.places.insert(launch.id, place);
        if launch.is_alive() {
            self.main_pids.insert(launch.tree.pid, place);
        }
        self.launches[place as usize] = Some(launch);
        place
    }

    /// Forgets a launch; its descriptors leave epoll first.
    pub(crate) fn remove(&mut self, place: u32) -> Option<Launch> {
        let launch = self.launches.get_mut(place as usize)?.take()?;
        self.places.remove(&launch.id);
        // The number may be another's by now.
        if launch.is_alive() {
            self.main_pids.remove(&launch.tree.pid);
        }
        self.free_places.push(place);
        if let Some(pidfd) = &launch.pidfd {
            self.unwatch(pidfd.as_fd());
        }
        if let Phase::Launching(launching) = &launch.phase {
            self.unwatch(launching.report.as_fd());
        }
        Some(launch)
    }

    pub(crate) fn launch_at(&mut self, place: u32) -> Option<&mut Launch> {
        self.launches.get_mut(place as usize)?.as_mut()
    }

    pub(crate) fn launch(&self, id: LaunchId) -> Option<&Launch> {
        let place = *self.places.get(&id)?;
        self.launches.get(place as usize)?.as_ref()
    }

    /// Queues a reply for the controller, if there is one.
    pub(crate) fn reply(&mut self, reply: &Reply) {
        self.reply_with(reply, Vec::new());
    }

    /// Queues a reply and descriptors for the controller, if there is one.
    pub(crate) fn reply_with(&mut self, reply: &Reply, descriptors: Vec<OwnedFd>) {
        if let Some(peer) = self.controller.and_then(|peer| self.peers.get_mut(&peer)) {
            peer.push(reply, descriptors);
        }
    }

    fn write_log(&mut self) {
        let Some(log) = &mut self.log else { return };
        let mut result = log.write();
        if result.is_ok() && log.is_long() {
            let known = || self.launches.iter().flatten();
            let exits = known().filter_map(|launch| match &launch.phase {
                Phase::Exited(exit) => Some(*exit),
                _ => None,
            });
            let kept = Logged {
                exits: exits.collect(),
                running: known().filter_map(|launch| self.started(launch)).collect(),
            };
            if let Some(log) = &mut self.log {
                result = log.compact(&kept);
            }
        }
        if let Err(error) = result {
            note!("exit log: {error}");
        }
    }

    pub(crate) fn flush_peers(&mut self) {
        let closed: Vec<u32> = self
            .peers
            .iter_mut()
            .filter_map(|(id, peer)| (peer.flush() == Line::Closed).then_some(*id))
            .collect();
        for id in closed {
            self.close_peer(id);
        }
        self.update_interest();
    }
}
