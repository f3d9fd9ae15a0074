//! From a plan to a running program: clone, report, deadline, and the answer.
//!
//! Must never wait for a child that anything foreign can delay.

use crate::child::{ChildPlan, child_main};
use crate::clone;
use crate::crash_point::crash_point;
use crate::launch::{Launch, Launching, Phase};
use crate::prepared::{PrepareError, Prepared};
use crate::prepared_isolation::{PidNamespaceVisit, step_names, write_users};
use crate::proc_tree;
use crate::protocol::{LaunchStep, Reply};
use crate::timers::Timer;
use crate::tree::{TreeId, path_of};
use crate::tree_ending::{Answer, Ending, Means};
use crate::warden::{STACK_BYTES, Token, Warden};
use mezz_launch_plan::{CloneMode, KillMethod, LaunchId, LaunchPlan};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, pidfd_send_signal};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// A child just made.
struct Cloned {
    pid: u32,
    pidfd: OwnedFd,
    /// `None` when the child has executed, or failed, already.
    report: Option<OwnedFd>,
    init_status: Option<OwnedFd>,
}

impl Warden {
    /// Starts a container, or repeats the answer for one that is known.
    pub(crate) fn start(&mut self, plan: LaunchPlan) {
        crash_point("warden.launch_received");
        if self.places.contains_key(&plan.launch_id) {
            return self.repeat_answer(plan.launch_id);
        }
        if self.stopping.is_some() {
            return self.launch_failed(
                plan.launch_id,
                LaunchStep::Prepare,
                Errno::SHUTDOWN,
                "the warden is ending",
            );
        }
        let Some(slot) = self.slots.take() else {
            self.backlog.push_back(plan);
            return;
        };
        if let Err(error) = self.clone_child(&plan, slot) {
            self.slots.give_back(slot);
            self.launch_failed(plan.launch_id, error.step, error.errno, &error.what);
            let tree = TreeId {
                kill: plan.kill,
                pid: 0,
                start_ticks: 0,
                marker: plan.marker,
            };
            let _ = tree.remove_if_empty();
        }
    }

    /// Starts what found no free slot before.
    pub(crate) fn start_backlog(&mut self) {
        while !self.backlog.is_empty() && self.slots.any_free() {
            if let Some(plan) = self.backlog.pop_front() {
                self.start(plan);
            }
        }
    }

    /// Says again what was said of a launch; descriptors included.
    pub(crate) fn repeat_answer(&mut self, id: LaunchId) {
        let Some(launch) = self.launch(id) else {
            return;
        };
        match &launch.phase {
            // The answer is still to come.
            Phase::Launching(_) => {}
            Phase::Running => self.say_started(id),
            Phase::Exited(exit) => {
                let exit = *exit;
                self.say_started(id);
                self.reply(&Reply::Exited(exit));
            }
        }
    }

    fn say_started(&mut self, id: LaunchId) {
        let Some(launch) = self.launch(id) else {
            return;
        };
        let descriptors = launch.share_pipes().unwrap_or_else(|error| {
            note!("pipes of {id}: {error}");
            Vec::new()
        });
        let reply = Reply::Started {
            launch_id: id,
            pid: launch.tree.pid,
            start_ticks: launch.tree.start_ticks,
            descriptors: u8::try_from(descriptors.len()).expect("there are three streams"),
        };
        crash_point("warden.before_started");
        self.reply_with(&reply, descriptors);
    }

    fn launch_failed(&mut self, launch_id: LaunchId, step: LaunchStep, errno: Errno, what: &str) {
        let error = std::io::Error::from(errno);
        let message = if what.is_empty() {
            format!("{step}: {error}")
        } else {
            format!("{step}: {what}: {error}")
        };
        self.reply(&Reply::LaunchFailed {
            launch_id,
            step,
            errno: errno.raw_os_error(),
            message,
        });
    }

    fn clone_child(&mut self, plan: &LaunchPlan, slot: u32) -> Result<(), PrepareError> {
        self.note_cgroup_parent(&plan.kill);
        let mut prepared = Prepared::new(plan, self.setup.open_files, |id| {
            let launch = self.launch(id).filter(|launch| launch.is_alive())?;
            launch.pidfd.as_ref().map(AsRawFd::as_raw_fd)
        })?;
        let mut child = prepared.child_plan(std::ptr::from_ref(self.slots.get(slot)));
        crash_point("warden.before_clone");
        let cloned = match plan.clone {
            CloneMode::Vfork => self.vfork(&prepared, &mut child),
            CloneMode::Fork => fork(plan, &mut prepared, &mut child),
        };
        let cloned = cloned.map_err(|errno| PrepareError {
            step: LaunchStep::Clone,
            errno,
            what: "cannot make a process".to_owned(),
        })?;
        if let Err(error) = serve_child(&mut prepared, cloned.pid) {
            let _ = pidfd_send_signal(&cloned.pidfd, Signal::KILL);
            self.sweep_soon();
            return Err(error);
        }
        crash_point("warden.after_clone");
        prepared.pipes.theirs.clear();
        // A cgroup knows its members by itself.
        let start_ticks = match plan.kill {
            KillMethod::FreezerV1 { .. } | KillMethod::CgroupV2 { .. } => 0,
            KillMethod::PidNamespace | KillMethod::Session => {
                proc_tree::start_ticks(cloned.pid).unwrap_or(0)
            }
        };
        let tree = TreeId {
            kill: plan.kill.clone(),
            pid: cloned.pid,
            start_ticks,
            marker: plan.marker.clone(),
        };
        let step_deadline = Duration::from_millis(plan.step_deadline_ms.into());
        let executed = cloned.report.is_none();
        let place = self.insert(Launch {
            id: plan.launch_id,
            tree,
            survival: plan.survival,
            leftovers: plan.leftovers,
            phase: match cloned.report {
                None => Phase::Running,
                Some(report) => Phase::Launching(Launching {
                    report,
                    slot,
                    step: (0, 0),
                    step_deadline,
                    details: plan.isolation.as_deref().map_or_else(Vec::new, step_names),
                }),
            },
            pidfd: Some(cloned.pidfd),
            stdin: prepared.pipes.stdin.take(),
            outputs: std::mem::take(&mut prepared.pipes.outputs),
            init_status: cloned.init_status,
            unclear_since: None,
        });
        self.watch_launch(place);
        if executed {
            self.finish_launching(place, slot, &[]);
        } else {
            self.timers
                .set(Instant::now() + step_deadline, Timer::Step(plan.launch_id));
        }
        Ok(())
    }

    /// Remembers where our cgroups lie, to clear up at the end.
    pub(crate) fn note_cgroup_parent(&mut self, kill: &KillMethod) {
        let (KillMethod::FreezerV1 { path } | KillMethod::CgroupV2 { path }) = kill else {
            return;
        };
        if let Some(parent) = path_of(path)
            .parent()
            .filter(|parent| !self.cgroup_parents.contains(*parent))
        {
            self.cgroup_parents.insert(parent.to_owned());
        }
    }

    fn vfork(&self, prepared: &Prepared<'_>, child: &mut ChildPlan) -> Result<Cloned, Errno> {
        let cgroup = prepared.cgroup.as_ref().map(AsFd::as_fd);
        // SAFETY: child_main is made for this; the plan's pointers stay valid, since we sleep until the child has
        // executed or ended; the stack is used by one child at a time.
        let (pid, pidfd) = unsafe {
            clone::vfork(
                self.stack,
                STACK_BYTES,
                cgroup,
                child_main,
                std::ptr::from_mut(child).cast(),
            )
        }?;
        Ok(Cloned {
            pid,
            pidfd,
            report: None,
            init_status: None,
        })
    }

    /// Waits for the end of a launch, and for its report if it is not there yet.
    pub(crate) fn watch_launch(&mut self, place: u32) {
        let Some(Some(launch)) = self.launches.get(place as usize) else {
            return;
        };
        let mut result = Ok(());
        if let Some(pidfd) = &launch.pidfd {
            result = self.watch(pidfd.as_fd(), Token::Exit(place));
        }
        if let (Ok(()), Phase::Launching(launching)) = (&result, &launch.phase) {
            result = self.watch(launching.report.as_fd(), Token::Report(place));
        }
        if let Err(error) = result {
            // The sweep of orphans finds its end nevertheless.
            note!("cannot watch {}: {error}", launch.id);
        }
    }

    /// The child has executed or ended, if its pipe says so.
    pub(crate) fn on_report(&mut self, place: u32) {
        let Some(launch) = self.launch_at(place) else {
            return;
        };
        let Phase::Launching(launching) = &launch.phase else {
            return;
        };
        if !has_ended(&launching.report) {
            return;
        }
        let slot = launching.slot;
        let Phase::Launching(launching) = std::mem::replace(&mut launch.phase, Phase::Running)
        else {
            return;
        };
        self.unwatch(launching.report.as_fd());
        self.finish_launching(place, slot, &launching.details);
    }

    fn finish_launching(&mut self, place: u32, slot: u32, details: &[String]) {
        let report = self.slots.report(slot);
        self.slots.give_back(slot);
        let step = u8::try_from(report.step)
            .ok()
            .and_then(|step| LaunchStep::from_number(step).ok())
            .unwrap_or(LaunchStep::Clone);
        let Some(id) = self.launch_at(place).map(|launch| launch.id) else {
            return;
        };
        if report.errno != 0 {
            let errno = Errno::from_raw_os_error(report.errno.cast_signed());
            let what = if step == LaunchStep::Namespaces && errno == Errno::SRCH {
                "a container that it shall join has ended"
            } else {
                report.what(details)
            };
            self.give_up_launch(place, step, errno, what);
        } else if step == LaunchStep::Exec {
            self.log_start(id);
            self.say_started(id);
        } else {
            self.give_up_launch(
                place,
                step,
                Errno::INTR,
                "the child ended before it executed the program",
            );
        }
    }

    /// Forgets a launch that came to nothing and clears up behind it.
    fn give_up_launch(&mut self, place: u32, step: LaunchStep, errno: Errno, what: &str) {
        let Some(launch) = self.remove(place) else {
            return;
        };
        if let Some(pidfd) = &launch.pidfd {
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
        }
        self.launch_failed(launch.id, step, errno, what);
        self.end_tree(
            launch.id,
            Ending::new(launch.tree, Means::Kill, Answer::None),
        );
        self.sweep_soon();
    }

    /// A step took its whole time: go on waiting if the child has come further since.
    pub(crate) fn on_step_deadline(&mut self, id: LaunchId) {
        let Some(&place) = self.places.get(&id) else {
            return;
        };
        let Some(Some(launch)) = self.launches.get_mut(place as usize) else {
            return;
        };
        let Phase::Launching(launching) = &mut launch.phase else {
            return;
        };
        let report = self.slots.report(launching.slot);
        if report.progress() != launching.step {
            launching.step = report.progress();
            self.timers
                .set(Instant::now() + launching.step_deadline, Timer::Step(id));
            return;
        }
        let Phase::Launching(launching) = std::mem::replace(&mut launch.phase, Phase::Running)
        else {
            return;
        };
        self.unwatch(launching.report.as_fd());
        // The child may be beyond even SIGKILL for a while, and write to its slot when it comes back.
        if let Err(error) = self.watch(launching.report.as_fd(), Token::LateReport(launching.slot))
        {
            note!("cannot watch a late child: {error}");
        }
        self.late_reports.insert(launching.slot, launching.report);
        let step = u8::try_from(report.step)
            .ok()
            .and_then(|step| LaunchStep::from_number(step).ok())
            .unwrap_or(LaunchStep::Clone);
        let what = match report.what(&launching.details) {
            "" => "the step took too long".to_owned(),
            name => format!("{name}: the step took too long"),
        };
        self.give_up_launch(place, step, Errno::TIMEDOUT, &what);
    }

    /// A child that was given up is gone at last.
    pub(crate) fn on_late_report(&mut self, slot: u32) {
        if self.late_reports.get(&slot).is_some_and(has_ended) {
            if let Some(report) = self.late_reports.remove(&slot) {
                self.unwatch(report.as_fd());
            }
            self.slots.give_back(slot);
        }
    }
}

fn fork(
    plan: &LaunchPlan,
    prepared: &mut Prepared<'_>,
    child: &mut ChildPlan,
) -> Result<Cloned, Errno> {
    let (report, reported) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let (mut flags, mut pid_of, mut gate, mut ends) = (0, None, None, [-1, -1]);
    if let Some(isolation) = &mut prepared.isolation {
        (flags, pid_of) = (isolation.clone_flags(), isolation.pid_of);
        if isolation.plan.users.is_some() {
            let (waits, opens) = pipe_with(PipeFlags::CLOEXEC)?;
            ends = [waits.as_raw_fd(), opens.as_raw_fd()];
            isolation.gate = Some(opens);
            gate = Some(waits);
            prepared.join_no_cgroups();
            *child = prepared.child_plan(child.slot);
        }
        child.isolation = prepared.child_isolation(ends);
    }
    if plan.kill == KillMethod::PidNamespace {
        flags |= u64::from(libc::CLONE_NEWPID.unsigned_abs());
    }
    let (mut init_status, mut told) = (None, None);
    if flags & u64::from(libc::CLONE_NEWPID.unsigned_abs()) != 0 {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        child.init_status = writer.as_raw_fd();
        (init_status, told) = (Some(reader), Some(writer));
    }
    let cgroup = prepared.cgroup.as_ref().map(AsFd::as_fd);
    let visit = PidNamespaceVisit::begin(pid_of)?;
    // SAFETY: child_main is async-signal-safe; a plain fork copies everything it needs.
    let made = unsafe { clone::fork(flags, cgroup, child_main, std::ptr::from_mut(child).cast()) };
    drop(visit);
    let (pid, pidfd) = made?;
    drop((reported, told, gate));
    Ok(Cloned {
        pid,
        pidfd,
        report: Some(report),
        init_status,
    })
}

/// What only the warden can do for a child with users of its own; then it may go on.
fn serve_child(prepared: &mut Prepared<'_>, pid: u32) -> Result<(), PrepareError> {
    let Some(isolation) = &mut prepared.isolation else {
        return Ok(());
    };
    let (Some(users), Some(gate)) = (&isolation.plan.users, isolation.gate.take()) else {
        return Ok(());
    };
    write_users(pid, users)?;
    for file in prepared.cgroup_procs() {
        std::fs::write(path_of(file), pid.to_string()).map_err(|error| PrepareError {
            step: LaunchStep::JoinCgroup,
            errno: Errno::from_io_error(&error).unwrap_or(Errno::INVAL),
            what: String::new(),
        })?;
    }
    drop(gate);
    Ok(())
}

/// Whether all writing ends of a pipe, to which nobody writes, are closed.
fn has_ended(report: &OwnedFd) -> bool {
    matches!(rustix::io::read(report, &mut [0u8; 1]), Ok(0))
}
