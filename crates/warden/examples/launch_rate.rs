//! Measures launches through a warden: `cargo run --release -p mezz-warden --example launch_rate [COUNT] [OUTSTANDING]`.
//!
//! Prints launches per second and CPU time per launch for a static program, for each way to clone and each way to
//! end trees that the host has. Needs `musl-gcc` for the program; `LAUNCH_RATE_PROGRAM` names another.
#![allow(clippy::print_stdout)]

use mezz_launch_plan::{
    CloneMode, CommandSpec, ContainerSpec, HostFacts, LaunchId, PidNamespaces, plan,
};
use mezz_warden::{
    Connection, ExitStatus, Flush, Reply, Request, ShutdownLaunches, SpawnOptions, host, spawn,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    if std::env::args().nth(1).as_deref() == Some(mezz_warden::VERB) {
        let code = mezz_warden::run(std::env::args_os().skip(2));
        std::process::exit(i32::from(code != std::process::ExitCode::SUCCESS));
    }
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok());
    let (count, outstanding) = (
        numbers.next().unwrap_or(20_000),
        numbers.next().unwrap_or(64),
    );
    let dir = tempfile::tempdir()?;
    let program = program(dir.path())?;
    println!(
        "{count} launches, {outstanding} outstanding, {}",
        program.display()
    );
    for (name, facts) in ways() {
        for clone in [CloneMode::Vfork, CloneMode::Fork] {
            let run = Run {
                dir: dir.path(),
                program: &program,
                facts: &facts,
                clone,
                count,
                outstanding,
            };
            let (seconds, warden_us, children_us) = run.measure()?;
            println!(
                "{name:10} {clone:?}\t{:6.0}/s\t{:5.1} us each; CPU: warden {warden_us:5.1} us, child {children_us:5.1} us",
                count as f64 / seconds,
                seconds * 1e6 / count as f64,
            );
        }
    }
    Ok(())
}

fn program(dir: &Path) -> Result<PathBuf, Failure> {
    if let Some(path) = std::env::var_os("LAUNCH_RATE_PROGRAM") {
        return Ok(path.into());
    }
    let (source, program) = (dir.join("true.c"), dir.join("true"));
    std::fs::write(&source, "int main(void) { return 0; }\n")?;
    let built = Command::new("musl-gcc")
        .args(["-static", "-O2", "-o"])
        .arg(&program)
        .arg(&source)
        .status()?;
    if built.success() {
        Ok(program)
    } else {
        Err("musl-gcc failed".into())
    }
}

fn ways() -> Vec<(&'static str, HostFacts)> {
    let found = host::facts(&format!("launch-rate-{}", std::process::id()));
    let bare = HostFacts {
        cgroup_v2: None,
        freezer_v1: None,
        pid_namespaces: PidNamespaces::Unavailable,
        ..found.clone()
    };
    let mut ways = vec![("session", bare.clone())];
    if found.freezer_v1.is_some() {
        ways.push((
            "freezer v1",
            HostFacts {
                freezer_v1: found.freezer_v1,
                ..bare.clone()
            },
        ));
    }
    if found.cgroup_v2.is_some() {
        ways.push((
            "cgroup v2",
            HostFacts {
                cgroup_v2: found.cgroup_v2,
                ..bare
            },
        ));
    }
    ways
}

struct Run<'a> {
    dir: &'a Path,
    program: &'a Path,
    facts: &'a HostFacts,
    clone: CloneMode,
    count: u64,
    outstanding: u64,
}

impl Run<'_> {
    fn request(&self, id: u64) -> Result<Request, Failure> {
        let program = self.program.display().to_string();
        let command = CommandSpec::Argv {
            program,
            argv: vec![],
        };
        let mut plan = plan(
            &ContainerSpec::new(LaunchId(id), command, self.dir),
            self.facts,
        )?;
        plan.clone = self.clone;
        Ok(Request::Launch(Box::new(plan)))
    }

    /// Seconds in all; CPU microseconds per launch of the warden and of its children.
    fn measure(&self) -> Result<(f64, f64, f64), Failure> {
        let work_dir = tempfile::tempdir_in(self.dir)?;
        let mut options = SpawnOptions::new(
            work_dir.path().join("run/warden.sock"),
            Some(work_dir.path().join("work")),
        );
        options.program = std::env::current_exe()?;
        let mut handle = spawn(&options)?;
        let mut connection = Connection::connect(&options.socket, 1)?;
        let requests = (0..self.count)
            .map(|id| self.request(id))
            .collect::<Result<Vec<_>, _>>()?;
        let (start, before) = (Instant::now(), cpu(handle.pid())?);
        let (mut sent, mut done) = (0usize, 0u64);
        let mut replies = Vec::new();
        while done < self.count {
            let room = usize::try_from(self.outstanding.saturating_sub(sent as u64 - done))?;
            let next = (sent + room).min(requests.len());
            let mut batch: Vec<Request> = std::mem::take(&mut replies);
            batch.extend_from_slice(&requests[sent..next]);
            sent = next;
            while connection.send_batch(&std::mem::take(&mut batch))? == Flush::Pending {}
            done += take(&mut connection, &mut replies)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let after = cpu(handle.pid())?;
        let _ = connection.send_batch(&[Request::Shutdown {
            launches: ShutdownLaunches::Kill,
        }])?;
        handle.wait()?;
        let each = |from: u64, to: u64| (to - from) as f64 / self.count as f64;
        Ok((seconds, each(before.0, after.0), each(before.1, after.1)))
    }
}

/// CPU microseconds of a process and of its reaped children.
fn cpu(pid: u32) -> Result<(u64, u64), Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').ok_or("stat")?;
    let ticks: Vec<u64> = rest
        .split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|word| word.parse().ok())
        .collect();
    let us = |ticks: u64| ticks * 1_000_000 / rustix::param::clock_ticks_per_second();
    match ticks[..] {
        [user, system, child_user, child_system] => {
            Ok((us(user + system), us(child_user + child_system)))
        }
        _ => Err("stat".into()),
    }
}

/// Waits for replies; fills in the acknowledgements and says how many exits came.
fn take(connection: &mut Connection, acknowledgements: &mut Vec<Request>) -> Result<u64, Failure> {
    let mut incoming = vec![
        connection
            .receive(Duration::from_secs(30))?
            .ok_or("no reply")?,
    ];
    let _ = connection.try_read(&mut incoming)?;
    let mut exits = 0;
    for reply in incoming {
        match reply.reply {
            Reply::Started { .. } => {}
            Reply::Exited(exit) if exit.status == ExitStatus::Exited(0) => {
                acknowledgements.push(Request::Acknowledge {
                    launch_id: exit.launch_id,
                });
                exits += 1;
            }
            other => return Err(format!("{other:?}").into()),
        }
    }
    Ok(exits)
}
