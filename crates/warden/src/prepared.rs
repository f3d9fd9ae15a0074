//! A plan turned into what the child needs: pointers, descriptors, cgroup directories.
//!
//! Owns everything that must stay in memory until the child has executed. Must never clone anything itself.

use crate::child::{ChildPlan, ChildStream, ReportSlot};
use crate::child_isolation::ChildIsolation;
use crate::prepared_isolation::PreparedIsolation;
use crate::protocol::LaunchStep;
use crate::terminal;
use mezz_launch_plan::{
    CloneMode, Credentials, Input, KillMethod, LaunchId, LaunchPlan, Output, SessionMode,
    TerminalSize,
};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Why a launch came to nothing before there was a child.
#[derive(Debug)]
pub(crate) struct PrepareError {
    pub(crate) step: LaunchStep,
    pub(crate) errno: Errno,
    pub(crate) what: String,
}

/// The streams that are pipes: the child's ends until it is cloned, ours for the agent.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    pub(crate) theirs: Vec<OwnedFd>,
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) outputs: Vec<OwnedFd>,
}

/// Everything that a child reads.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    plan: &'a LaunchPlan,
    pub(crate) pipes: Pipes,
    /// For `CLONE_INTO_CGROUP`.
    pub(crate) cgroup: Option<OwnedFd>,
    streams: [ChildStream; 3],
    programs: Vec<*const libc::c_char>,
    argv: Vec<*const libc::c_char>,
    env: Vec<*const libc::c_char>,
    cgroup_procs: Vec<CString>,
    cgroup_pointers: Vec<*const libc::c_char>,
    rlimits: Vec<(u32, libc::rlimit64)>,
    pub(crate) isolation: Option<PreparedIsolation<'a>>,
    child_isolation: Option<ChildIsolation>,
}

pub(crate) fn fail(step: LaunchStep, errno: Errno, what: impl Into<String>) -> PrepareError {
    PrepareError {
        step,
        errno,
        what: what.into(),
    }
}

impl<'a> Prepared<'a> {
    /// Makes pipes and the cgroup directory, and lays out the arguments.
    pub(crate) fn new(
        plan: &'a LaunchPlan,
        open_files: libc::rlimit64,
        main_process: impl Fn(LaunchId) -> Option<RawFd>,
    ) -> Result<Self, PrepareError> {
        if plan.programs.is_empty() || plan.argv.is_empty() {
            return Err(fail(
                LaunchStep::Prepare,
                Errno::INVAL,
                "the plan names no program",
            ));
        }
        if plan.clone == CloneMode::Vfork
            && (plan.user.is_some()
                || plan.kill == KillMethod::PidNamespace
                || plan.isolation.is_some())
        {
            return Err(fail(
                LaunchStep::Prepare,
                Errno::INVAL,
                "the plan combines vfork with a user switch or namespace",
            ));
        }
        if !crate::control::is_marker(&plan.marker) || !plan.env.contains(&plan.marker) {
            return Err(fail(
                LaunchStep::Prepare,
                Errno::INVAL,
                "the plan's marker is not in its environment",
            ));
        }
        let isolation = match &plan.isolation {
            Some(isolation) => Some(PreparedIsolation::new(isolation, main_process)?),
            None => None,
        };
        let mut pipes = Pipes::default();
        let streams = match plan.terminal {
            Some(size) => pipes.terminal(size, plan.user.as_ref())?,
            None => [
                match plan.stdin {
                    Input::Null => ChildStream::Null,
                    Input::Pipe => pipes.input()?,
                },
                pipes.output(&plan.stdout)?,
                pipes.output(&plan.stderr)?,
            ],
        };
        let mut cgroup_procs = Vec::new();
        let cgroup = match &plan.kill {
            KillMethod::CgroupV2 { path } => Some(make_and_open_cgroup(path)?),
            KillMethod::FreezerV1 { path } => {
                make_cgroup(path)?;
                cgroup_procs.push(procs_file(path));
                None
            }
            KillMethod::PidNamespace | KillMethod::Session => None,
        };
        cgroup_procs.extend(plan.cgroups.iter().map(|path| procs_file(path)));
        let mut argv = vec![std::ptr::null(), std::ptr::null()];
        argv.extend(pointers(&plan.argv));
        Ok(Self {
            plan,
            pipes,
            cgroup,
            streams,
            programs: pointers(&plan.programs),
            argv,
            env: pointers(&plan.env),
            cgroup_pointers: pointers(&cgroup_procs),
            cgroup_procs,
            rlimits: rlimits(plan, open_files),
            isolation,
            child_isolation: None,
        })
    }

    /// The files by which the child's cgroups are joined.
    pub(crate) fn cgroup_procs(&self) -> &[CString] {
        &self.cgroup_procs
    }

    /// Leaves joining them to the warden: whoever is root in a user namespace only may not.
    pub(crate) fn join_no_cgroups(&mut self) {
        self.cgroup_pointers = vec![std::ptr::null()];
    }

    /// The child's view of what sets it apart.
    pub(crate) fn child_isolation(&mut self, gate: [RawFd; 2]) -> *const ChildIsolation {
        self.child_isolation = self
            .isolation
            .as_mut()
            .map(|isolation| isolation.child(gate));
        self.child_isolation
            .as_ref()
            .map_or(std::ptr::null(), std::ptr::from_ref)
    }

    /// The child's view. It borrows from `self` by pointers: `self` must outlive the child's use of it.
    pub(crate) fn child_plan(&mut self, slot: *const ReportSlot) -> ChildPlan {
        let user = self.plan.user.as_ref();
        ChildPlan {
            slot,
            new_session: self.plan.session == SessionMode::NewSession,
            cgroup_procs: self.cgroup_pointers.as_ptr(),
            rlimits: self.rlimits.as_ptr(),
            rlimit_count: self.rlimits.len(),
            switch_user: user.is_some(),
            uid: user.map_or(0, |user| user.uid),
            gid: user.map_or(0, |user| user.gid),
            groups: user.map_or(std::ptr::null(), |user| user.groups.as_ptr()),
            group_count: user.map_or(0, |user| user.groups.len()),
            streams: self.streams,
            umask: self.plan.umask.unwrap_or(u32::MAX),
            directory: self.plan.directory.as_ptr(),
            programs: self.programs.as_ptr(),
            argv: self.argv.as_mut_ptr(),
            env: self.env.as_ptr(),
            init_status: -1,
            takes_terminal: self.plan.terminal.is_some(),
            isolation: std::ptr::null(),
        }
    }
}

impl Pipes {
    fn pair() -> Result<(OwnedFd, OwnedFd), PrepareError> {
        pipe_with(PipeFlags::CLOEXEC)
            .map_err(|errno| fail(LaunchStep::Prepare, errno, "cannot make a pipe"))
    }

    /// All three are one terminal, which belongs to the user; the agent gets its other end.
    fn terminal(
        &mut self,
        size: TerminalSize,
        user: Option<&Credentials>,
    ) -> Result<[ChildStream; 3], PrepareError> {
        let made = terminal::open(size, user);
        let (ours, theirs) =
            made.map_err(|errno| fail(LaunchStep::Prepare, errno, "cannot make a terminal"))?;
        let streams = theirs
            .each_ref()
            .map(|end| ChildStream::Descriptor(end.as_raw_fd()));
        self.theirs.extend(theirs);
        self.outputs.push(ours);
        Ok(streams)
    }

    fn input(&mut self) -> Result<ChildStream, PrepareError> {
        let (reader, writer) = Self::pair()?;
        let stream = ChildStream::Descriptor(reader.as_raw_fd());
        self.theirs.push(reader);
        self.stdin = Some(writer);
        Ok(stream)
    }

    fn output(&mut self, output: &Output) -> Result<ChildStream, PrepareError> {
        Ok(match output {
            Output::Null => ChildStream::Null,
            Output::Append(path) => ChildStream::Append(path.as_ptr()),
            Output::Pipe => {
                let (reader, writer) = Self::pair()?;
                let stream = ChildStream::Descriptor(writer.as_raw_fd());
                self.theirs.push(writer);
                self.outputs.push(reader);
                stream
            }
        })
    }
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

fn rlimits(plan: &LaunchPlan, open_files: libc::rlimit64) -> Vec<(u32, libc::rlimit64)> {
    let value = |limit: Option<u64>| limit.unwrap_or(libc::RLIM64_INFINITY);
    // The warden raised its own limit of open files; its children get the one that it was started with.
    [(libc::RLIMIT_NOFILE, open_files)]
        .into_iter()
        .chain(plan.rlimits.iter().map(|limit| {
            let values = libc::rlimit64 {
                rlim_cur: value(limit.soft),
                rlim_max: value(limit.hard),
            };
            (limit.resource.number().into(), values)
        }))
        .collect()
}

fn procs_file(directory: &CStr) -> CString {
    let mut path = directory.to_bytes().to_vec();
    path.extend_from_slice(b"/cgroup.procs");
    CString::new(path).expect("a C string holds no NUL")
}

fn make_and_open_cgroup(path: &CStr) -> Result<OwnedFd, PrepareError> {
    make_cgroup(path)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| cgroup_error(path, errno))
}

fn make_cgroup(path: &CStr) -> Result<(), PrepareError> {
    let mode = Mode::from_raw_mode(0o755);
    let mut result = rustix::fs::mkdir(path, mode);
    if result == Err(Errno::NOENT) {
        // The parent is ours too, made when it is first needed.
        let parent = crate::tree::path_of(path).parent();
        if parent.is_some_and(|parent| std::fs::create_dir_all(parent).is_ok()) {
            result = rustix::fs::mkdir(path, mode);
        }
    }
    match result {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(cgroup_error(path, errno)),
    }
}

fn cgroup_error(path: &CStr, errno: Errno) -> PrepareError {
    fail(
        LaunchStep::MakeCgroup,
        errno,
        format!("cannot make the cgroup {}", path.to_string_lossy()),
    )
}
