//! A warden of its own for each test, and short words for what tests ask of it.
#![allow(dead_code, clippy::missing_panics_doc, unreachable_pub)]

use mezz_launch_plan::{
    CommandSpec, ContainerSpec, HostFacts, LaunchId, LaunchPlan, PidNamespaces, plan,
};
use mezz_warden::{
    Connection, Exit, ExitStatus, Flush, Incoming, Reply, Request, SpawnOptions, WardenHandle,
    host, spawn,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// The means of ending trees that a test is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    CgroupV2,
    FreezerV1,
    PidNamespace,
    Session,
}

impl Means {
    /// The facts of this host reduced to these means; `None` where the host lacks them.
    pub fn facts(self) -> Option<HostFacts> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let scope = format!(
            "test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let mut facts = host::facts(&scope);
        match self {
            Self::CgroupV2 => {
                facts.cgroup_v2.as_ref()?;
                facts.freezer_v1 = None;
            }
            Self::FreezerV1 => {
                facts.freezer_v1.as_ref()?;
                facts.cgroup_v2 = None;
            }
            Self::PidNamespace => {
                if facts.pid_namespaces == PidNamespaces::Unavailable {
                    return None;
                }
                (facts.cgroup_v2, facts.freezer_v1) = (None, None);
            }
            Self::Session => {
                (facts.cgroup_v2, facts.freezer_v1) = (None, None);
                facts.pid_namespaces = PidNamespaces::Unavailable;
            }
        }
        Some(facts)
    }

    /// Those that this host has.
    pub fn available() -> Vec<Self> {
        [
            Self::CgroupV2,
            Self::FreezerV1,
            Self::PidNamespace,
            Self::Session,
        ]
        .into_iter()
        .filter(|means| means.facts().is_some())
        .collect()
    }
}

/// Whether the warden outlives its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Durable,
    Ephemeral,
}

/// A running warden.
pub struct Lab {
    pub dir: TempDir,
    pub handle: WardenHandle,
    pub life: Life,
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Ok(mut connection) = Connection::connect(&self.socket(), u64::MAX) {
            let _ = connection.send_batch(&[Request::Shutdown {
                launches: mezz_warden::ShutdownLaunches::Kill,
            }]);
        }
        let end = Instant::now() + PATIENCE;
        while matches!(self.handle.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Lab {
    pub fn start(life: Life) -> Self {
        Self::start_in(TempDir::new().expect("a temporary directory"), life)
    }

    pub fn start_in(dir: TempDir, life: Life) -> Self {
        let handle = spawn(&Self::options(dir.path(), life)).expect("the warden starts");
        Self { dir, handle, life }
    }

    pub fn options(dir: &Path, life: Life) -> SpawnOptions {
        let work_dir = (life == Life::Durable).then(|| dir.join("work"));
        SpawnOptions {
            program: binary(),
            ..SpawnOptions::new(dir.join("run/warden.sock"), work_dir)
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("run/warden.sock")
    }

    pub fn connect(&self, generation: u64) -> Connection {
        Connection::connect(&self.socket(), generation).expect("the warden greets")
    }

    /// A fresh sandbox.
    pub fn sandbox(&self, id: u64) -> PathBuf {
        let path = self.dir.path().join(format!("sandbox-{id}"));
        std::fs::create_dir_all(&path).expect("a sandbox");
        path
    }

    pub fn spec(&self, id: u64, shell: &str) -> ContainerSpec {
        ContainerSpec::new(
            LaunchId(id),
            CommandSpec::Shell(shell.to_owned()),
            self.sandbox(id),
        )
    }

    pub fn plan(&self, means: Means, id: u64, shell: &str) -> LaunchPlan {
        plan(
            &self.spec(id, shell),
            &means.facts().expect("the host has these means"),
        )
        .expect("a valid spec")
    }

    pub fn output(&self, id: u64) -> String {
        std::fs::read_to_string(self.sandbox(id).join("stdout")).unwrap_or_default()
    }
}

pub fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_mezz-warden"))
}

pub fn send(connection: &mut Connection, requests: &[Request]) {
    assert_eq!(
        connection
            .send_batch(requests)
            .expect("the warden takes requests"),
        Flush::Done
    );
}

pub fn launch(connection: &mut Connection, plan: LaunchPlan) -> u32 {
    send(connection, &[Request::Launch(Box::new(plan))]);
    expect(connection, |reply| match reply {
        Reply::Started { pid, .. } => Some(*pid),
        _ => None,
    })
}

/// The next reply.
pub fn next(connection: &mut Connection) -> Incoming {
    connection
        .receive(PATIENCE)
        .expect("a connection")
        .expect("a reply")
}

/// Skips replies until one fits.
pub fn expect<T>(connection: &mut Connection, mut wanted: impl FnMut(&Reply) -> Option<T>) -> T {
    let mut seen = Vec::new();
    loop {
        let Some(incoming) = connection.receive(PATIENCE).expect("a connection") else {
            panic!("the expected reply did not come; others: {seen:?}")
        };
        if let Some(found) = wanted(&incoming.reply) {
            return found;
        }
        seen.push(incoming.reply);
    }
}

pub fn expect_exit(connection: &mut Connection, id: u64) -> Exit {
    expect(connection, |reply| match reply {
        Reply::Exited(exit) if exit.launch_id == LaunchId(id) => Some(*exit),
        _ => None,
    })
}

pub fn expect_status(connection: &mut Connection, id: u64) -> ExitStatus {
    expect_exit(connection, id).status
}

/// Whether a process exists that is not a zombie.
pub fn lives(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// Waits for what must come true.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "did not come true: {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Waits until a file holds a process id on its own line.
pub fn pid_in(path: &Path) -> u32 {
    let mut pid = 0;
    eventually(&format!("a pid in {}", path.display()), || {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        pid = text
            .strip_suffix('\n')
            .and_then(|line| line.trim().parse().ok())
            .unwrap_or(0);
        pid != 0
    });
    pid
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
