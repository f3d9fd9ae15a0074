//! Connections and what they ask for: who is in control, and the requests that only the controller may make.
//!
//! Must never act on a request of a peer that is not the controller.

use crate::launch::{Launch, Phase};
use crate::peer::{Line, Peer};
use crate::proc_tree;
use crate::protocol::{
    LaunchPhase, LaunchState, PROTOCOL_VERSION, Reply, Request, RequestKind, ShutdownLaunches,
    SignalScope, Usage,
};
use crate::reexec::Validation;
use crate::timers::Timer;
use crate::tree::TreeId;
use crate::tree_ending::{Answer, Ending, Means};
use crate::warden::{Token, Warden};
use mezz_launch_plan::{LaunchId, LaunchPlan, Leftovers, MARKER_NAME, PLAN_VERSION, Survival};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use rustix::process::{Signal, pidfd_send_signal};
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long a warden with a work directory stays when nothing runs and no agent comes back.
const IDLE_BEFORE_END: Duration = Duration::from_mins(1);
/// How long a warden that is to end waits for what does not die.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

impl Warden {
    /// Takes new connections of root and of our own user.
    pub(crate) fn accept(&mut self) {
        while let Ok(socket) = accept_with(
            &self.endpoint.listener,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        ) {
            let own = rustix::process::geteuid();
            let allowed = rustix::net::sockopt::socket_peercred(&socket)
                .is_ok_and(|credentials| credentials.uid.is_root() || credentials.uid == own);
            if !allowed {
                note!("refused a connection of another user");
                continue;
            }
            let id = self.next_peer;
            self.next_peer = self.next_peer.wrapping_add(1);
            if let Err(error) = self.watch(socket.as_fd(), Token::Peer(id)) {
                note!("cannot watch a connection: {error}");
                continue;
            }
            self.peers.insert(id, Peer::new(socket));
        }
    }

    /// Reads and does what a peer asks for.
    pub(crate) fn on_peer(&mut self, id: u32, flags: EventFlags) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let mut line = Line::Open;
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            line = peer.read();
        }
        match peer.take_requests() {
            Ok(requests) => {
                for request in requests {
                    self.handle(id, request);
                }
            }
            Err(error) => {
                note!("request: {error}");
                line = Line::Closed;
            }
        }
        if line == Line::Closed {
            self.close_peer(id);
        }
    }

    /// Ends a connection, and what ends with it.
    pub(crate) fn close_peer(&mut self, id: u32) {
        let Some(peer) = self.peers.remove(&id) else {
            return;
        };
        self.unwatch(peer.socket.as_fd());
        if self.controller == Some(id) {
            self.controller = None;
            self.on_control_lost();
        }
    }

    /// Tells epoll what each connection waits for now.
    pub(crate) fn update_interest(&mut self) {
        let paused = self.validation.as_ref().is_some_and(Validation::is_done);
        let mut changes = Vec::new();
        for (id, peer) in &mut self.peers {
            let (read, write) = peer.wanted();
            let wanted = (read && !paused, write);
            if peer.interest != wanted {
                peer.interest = wanted;
                changes.push((*id, wanted));
            }
        }
        for (id, (read, write)) in changes {
            let mut flags = EventFlags::empty();
            flags.set(EventFlags::IN, read);
            flags.set(EventFlags::OUT, write);
            self.rewatch(self.peers[&id].socket.as_fd(), Token::Peer(id), flags);
        }
    }

    fn on_control_lost(&mut self) {
        if self.setup.work_dir.is_none() {
            return self.stop(ShutdownLaunches::Kill);
        }
        self.end_unkept();
        self.backlog.retain(|plan| plan.survival == Survival::Keep);
        self.timers
            .set(Instant::now() + IDLE_BEFORE_END, Timer::Idle);
    }

    /// Ends what lives only as long as the agent that wanted it.
    fn end_unkept(&mut self) {
        let ending: Vec<LaunchId> = self
            .launches
            .iter()
            .flatten()
            .filter(|launch| launch.survival == Survival::EndWithConnection && launch.is_alive())
            .map(|launch| launch.id)
            .collect();
        for id in ending {
            self.kill_tree(id, Answer::None);
        }
    }

    /// With nothing that runs and nobody who asks, all that is known lies in the exit log: the next warden reads it.
    pub(crate) fn on_idle(&mut self) {
        if self.controller.is_some() {
            return;
        }
        let runs = self.launches.iter().flatten().any(Launch::is_alive);
        if runs || !self.peers.is_empty() || !self.endings.is_empty() || !self.backlog.is_empty() {
            self.timers
                .set(Instant::now() + IDLE_BEFORE_END, Timer::Idle);
        } else {
            self.stop(ShutdownLaunches::Leave);
        }
    }

    /// Without a work directory and without anybody who wants us there is nothing to stay for.
    pub(crate) fn on_no_connection(&mut self) {
        if self.setup.work_dir.is_none() && self.controller.is_none() {
            self.stop(ShutdownLaunches::Kill);
        }
    }

    /// Begins to end.
    pub(crate) fn stop(&mut self, launches: ShutdownLaunches) {
        self.stopping = Some(launches);
        if launches == ShutdownLaunches::Leave {
            return;
        }
        self.backlog.clear();
        self.timers
            .set(Instant::now() + GIVE_UP_AFTER, Timer::GiveUp);
        let left = |launch: &&Launch| launch.is_alive() || launch.leftovers == Leftovers::Leave;
        let known = self
            .launches
            .iter()
            .flatten()
            .filter(left)
            .map(|launch| launch.id);
        let left: BTreeSet<LaunchId> = known.chain(self.endings.keys().copied()).collect();
        for id in left {
            self.kill_tree(id, Answer::None);
        }
    }

    fn handle(&mut self, peer: u32, request: Request) {
        if let Request::Hello { generation, .. } = request {
            return self.on_hello(peer, generation);
        }
        if self.controller != Some(peer) {
            return;
        }
        match request {
            Request::Hello { .. } => {}
            Request::Launch(plan) => self.start(*plan),
            Request::Signal {
                launch_id,
                signal,
                scope,
            } => self.on_signal(launch_id, signal, scope),
            Request::KillTree { launch_id } => self.on_kill_tree(launch_id),
            Request::KillStray {
                launch_id, marker, ..
            } if !is_marker(&marker) => {
                self.refuse(
                    launch_id,
                    RequestKind::KillStray,
                    Errno::INVAL,
                    "marker is not the marker of a launch",
                );
            }
            Request::KillStray {
                launch_id,
                kill,
                marker,
            } => {
                let tree = TreeId {
                    kill,
                    pid: 0,
                    start_ticks: 0,
                    marker,
                };
                self.end_tree(launch_id, Ending::new(tree, Means::Kill, Answer::TreeGone));
            }
            Request::Acknowledge { launch_id } => self.acknowledge(launch_id),
            Request::List => self.on_list(),
            Request::Usage { launch_id } => self.on_usage(launch_id),
            Request::CloseInput { launch_id } => {
                if let Some(launch) = self
                    .places
                    .get(&launch_id)
                    .copied()
                    .and_then(|place| self.launch_at(place))
                {
                    launch.stdin = None;
                }
            }
            Request::Reattach { launch_id } => {
                if self.places.contains_key(&launch_id) {
                    self.repeat_answer(launch_id);
                } else {
                    self.refuse(
                        launch_id,
                        RequestKind::Reattach,
                        Errno::SRCH,
                        "no such launch",
                    );
                }
            }
            Request::Reexec { path } => self.begin_reexec(path),
            Request::Shutdown { launches } => self.stop(launches),
        }
    }

    fn on_hello(&mut self, peer: u32, generation: u64) {
        if self.controller.is_some() && generation < self.generation {
            let reply = Reply::Superseded {
                generation: self.generation,
            };
            if let Some(refused) = self.peers.get_mut(&peer) {
                refused.push(&reply, Vec::new());
                let _ = refused.flush();
            }
            return self.close_peer(peer);
        }
        if let Some(old) = self.controller.take_if(|old| *old != peer) {
            if let Some(superseded) = self.peers.get_mut(&old) {
                superseded.push(&Reply::Superseded { generation }, Vec::new());
                let _ = superseded.flush();
            }
            self.close_peer(old);
            if self.setup.work_dir.is_some() {
                self.on_control_lost();
            }
        }
        self.generation = self.generation.max(generation);
        self.controller = Some(peer);
        // The warden that died would have noticed that its agent was gone.
        if self
            .adopted_generation
            .take()
            .is_some_and(|of| of < generation)
        {
            self.end_unkept();
        }
        self.greet();
    }

    /// Welcomes the controller and reports every exit that nobody has acknowledged.
    pub(crate) fn greet(&mut self) {
        let welcome = Reply::Welcome {
            version: PROTOCOL_VERSION,
            plan_version: PLAN_VERSION,
            warden_pid: std::process::id(),
            launches: u32::try_from(self.places.len()).unwrap_or(u32::MAX),
        };
        self.reply(&welcome);
        let exits: Vec<_> = self
            .launches
            .iter()
            .flatten()
            .filter_map(|launch| match &launch.phase {
                Phase::Exited(exit) => Some(*exit),
                _ => None,
            })
            .collect();
        for exit in exits {
            self.reply(&Reply::Exited(exit));
        }
    }

    fn refuse(&mut self, launch_id: LaunchId, request: RequestKind, errno: Errno, what: &str) {
        let message = format!("{request}: {what}");
        self.reply(&Reply::Refused {
            launch_id,
            request,
            errno: errno.raw_os_error(),
            message,
        });
    }

    fn on_signal(&mut self, id: LaunchId, number: i32, scope: SignalScope) {
        let Some(signal) = Signal::from_named_raw(number) else {
            return self.refuse(id, RequestKind::Signal, Errno::INVAL, "no such signal");
        };
        let Some(launch) = self.launch(id).filter(|launch| launch.is_alive()) else {
            return self.refuse(
                id,
                RequestKind::Signal,
                Errno::SRCH,
                "no such running launch",
            );
        };
        let sent = match scope {
            SignalScope::Process => match &launch.pidfd {
                Some(pidfd) => pidfd_send_signal(pidfd, signal),
                None => Err(Errno::SRCH),
            },
            SignalScope::Tree => {
                // The init of a pid namespace passes on what it gets, so that the program would get it twice.
                let init = launch.init_status.as_ref().map(|_| launch.tree.pid);
                match launch.tree.signal(signal, init) {
                    0 => Err(Errno::SRCH),
                    _ => Ok(()),
                }
            }
        };
        if let Err(errno) = sent {
            self.refuse(id, RequestKind::Signal, errno, "cannot signal it");
        }
    }

    fn on_kill_tree(&mut self, id: LaunchId) {
        if self.places.contains_key(&id) || self.endings.contains_key(&id) {
            self.kill_tree(id, Answer::TreeGone);
        } else if let Some(index) = self.backlog.iter().position(|plan| plan.launch_id == id) {
            self.backlog.remove(index);
            self.reply(&Reply::TreeGone { launch_id: id });
        } else {
            self.refuse(id, RequestKind::KillTree, Errno::SRCH, "no such launch");
        }
    }

    fn kill_tree(&mut self, id: LaunchId, answer: Answer) {
        let tree = match (self.launch(id), self.endings.get(&id)) {
            (Some(launch), _) => launch.tree.clone(),
            (None, Some(ending)) => ending.tree.clone(),
            (None, None) => return,
        };
        self.end_tree(id, Ending::new(tree, Means::Kill, answer));
    }

    fn on_list(&mut self) {
        let mut launches: Vec<_> = self.launches.iter().flatten().map(Launch::state).collect();
        let accepted = |plan: &LaunchPlan| LaunchState {
            launch_id: plan.launch_id,
            pid: 0,
            start_ticks: 0,
            phase: LaunchPhase::Launching,
        };
        launches.extend(self.backlog.iter().map(accepted));
        launches.sort_by_key(|state| state.launch_id);
        self.reply(&Reply::Listing { launches });
    }

    fn on_usage(&mut self, id: LaunchId) {
        let Some(launch) = self.launch(id).filter(|launch| launch.is_alive()) else {
            return self.refuse(
                id,
                RequestKind::Usage,
                Errno::SRCH,
                "no such running launch",
            );
        };
        let mut members = launch.tree.members();
        members.insert(launch.tree.pid);
        let (tick_us, page_bytes) = (
            1_000_000 / rustix::param::clock_ticks_per_second(),
            rustix::param::page_size() as u64,
        );
        let mut usage = Usage::default();
        for stat in members.into_iter().filter_map(proc_tree::stat) {
            usage.user_us += stat.user_ticks * tick_us;
            usage.system_us += stat.system_ticks * tick_us;
            usage.rss_bytes += stat.rss_pages * page_bytes;
            usage.processes += 1;
        }
        self.reply(&Reply::Usage {
            launch_id: id,
            usage,
        });
    }
}

/// A marker that is too short would be found in strangers.
pub(crate) fn is_marker(marker: &std::ffi::CStr) -> bool {
    marker
        .to_bytes()
        .strip_prefix(MARKER_NAME.as_bytes())
        .is_some_and(|rest| rest.len() > 1 && rest[0] == b'=')
}
