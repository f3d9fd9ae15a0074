//! Clusters of the real binary in a folder of their own, on free ports of the loopback.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::http_client::Client;
use crate::processes;
use crate::wait::{PATIENCE, within};

/// The environment variable by which the processes of a cluster are found again.
const MARK: &str = "MEZZ_TEST_CLUSTER";

/// Why a daemon is not there.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// It cannot be started or watched.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// The system's words.
        error: std::io::Error,
    },
    /// It ended or kept silent instead of saying that it serves.
    #[error("{name} did not get ready; its last lines:\n{tail}")]
    NotReady {
        /// The role of the daemon.
        name: String,
        /// How it ended, if it did.
        status: Option<ExitStatus>,
        /// The end of its stderr.
        tail: String,
    },
}

/// A folder with daemons; dropping it ends them, their tasks and their wardens, and removes the folder.
#[derive(Debug)]
pub struct TempCluster {
    mezz: PathBuf,
    folder: TempDir,
    started: usize,
}

impl TempCluster {
    /// An empty cluster of the binary at `mezz` (in its own tests: `env!("CARGO_BIN_EXE_mezz")`).
    pub fn new(mezz: impl Into<PathBuf>) -> Result<Self, DaemonError> {
        let folder = tempfile::Builder::new().prefix("mezz-test-").tempdir();
        let folder = folder.map_err(|error| DaemonError::System {
            what: "cannot make a folder".into(),
            error,
        })?;
        Ok(Self {
            mezz: mezz.into(),
            folder,
            started: 0,
        })
    }

    /// The folder of the cluster, in which work folders and logs lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts `mezz dev --port 0 FLAGS…` and waits until it serves.
    pub fn dev(&mut self, flags: &[&str]) -> Result<Daemon, DaemonError> {
        self.start("dev", flags)
    }

    /// Starts `mezz master --port 0 --work-dir FOLDER/master FLAGS…` and waits until it serves.
    pub fn master(&mut self, flags: &[&str]) -> Result<Daemon, DaemonError> {
        let work = self.work_flag("master");
        self.start("master", &[&[work.as_str()], flags].concat())
    }

    /// Starts an agent of `master` with the work folder `FOLDER/NAME` and waits until it serves.
    pub fn agent(
        &mut self,
        name: &str,
        master: &Daemon,
        flags: &[&str],
    ) -> Result<Daemon, DaemonError> {
        let work = self.work_flag(name);
        let master = format!("--master={}", master.address());
        self.start(
            "agent",
            &[&[work.as_str(), master.as_str()], flags].concat(),
        )
    }

    /// Starts a verb of the binary as a daemon. `--port 0` is added unless `flags` names a port.
    pub fn start(&mut self, verb: &str, flags: &[&str]) -> Result<Daemon, DaemonError> {
        self.start_with(verb, flags, &[])
    }

    /// Like [`start`](Self::start), with environment variables (crash points, for example).
    pub fn start_with(
        &mut self,
        verb: &str,
        flags: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Daemon, DaemonError> {
        self.started += 1;
        let log = self.folder().join(format!("{verb}-{}.log", self.started));
        let mut command = Command::new(&self.mezz);
        command.arg(verb);
        if !flags
            .iter()
            .any(|flag| *flag == "--port" || flag.starts_with("--port="))
        {
            command.args(["--port", "0"]);
        }
        command
            .args(flags)
            .envs(environment.iter().copied())
            .env(MARK, self.folder())
            .current_dir(self.folder());
        Daemon::start(command, verb, &log)
    }

    /// The ids of all processes of this cluster: daemons, wardens and tasks.
    pub fn processes(&self) -> Vec<processes::ProcessId> {
        processes::marked(&self.mark())
    }

    fn work_flag(&self, name: &str) -> String {
        format!("--work-dir={}", self.folder().join(name).display())
    }

    fn mark(&self) -> String {
        self.folder().display().to_string()
    }
}

impl Drop for TempCluster {
    fn drop(&mut self) {
        processes::kill_marked(&self.mark());
        if std::thread::panicking() {
            // The folder goes away with this value; the end of each log is what a reader needs.
            for entry in std::fs::read_dir(self.folder())
                .into_iter()
                .flatten()
                .flatten()
            {
                let path = entry.path();
                if path.extension().is_some_and(|extension| extension == "log") {
                    let text = std::fs::read(&path).unwrap_or_default();
                    eprintln!(
                        "--- {}\n{}",
                        path.display(),
                        tail(&String::from_utf8_lossy(&text))
                    );
                }
            }
        }
    }
}

/// A running daemon; dropping it kills that process alone, as `kill -9` does.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    address: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Daemon {
    fn start(mut command: Command, name: &str, log: &Path) -> Result<Self, DaemonError> {
        let system = |what: String| move |error| DaemonError::System { what, error };
        let file = File::create(log).map_err(system(format!("cannot write {}", log.display())))?;
        let program = command.get_program().to_string_lossy().into_owned();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(system(format!("cannot start {program}")))?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let ready = watch(&mut child, file, Arc::clone(&lines));
        let Ok(address) = ready.recv_timeout(PATIENCE) else {
            // The process did not do what it should; whether it still runs makes no difference now.
            let status = within(Duration::from_secs(1), || child.try_wait().ok().flatten());
            let _ = child.kill();
            let _ = child.wait();
            let text = std::fs::read_to_string(log).unwrap_or_default();
            return Err(DaemonError::NotReady {
                name: name.into(),
                status,
                tail: tail(&text),
            });
        };
        Ok(Self {
            name: name.into(),
            child,
            address,
            lines,
        })
    }

    /// Where it serves, as `IP:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The port on which it serves.
    pub fn port(&self) -> u16 {
        self.address
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .expect("the ready line ends with a port")
    }

    /// A client of its HTTP API.
    pub fn client(&self) -> Client {
        Client::new(&self.address)
    }

    /// Its process id.
    pub fn pid(&self) -> processes::ProcessId {
        self.child.id()
    }

    /// What it has written to stderr so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        processes::signal(self.child.id(), signal);
    }

    /// Waits until it has ended by itself; `None` when it has not within `limit`.
    pub fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        within(limit, || self.child.try_wait().ok().flatten())
    }

    /// Ends it as `kill -9` does, and returns when it has ended. Its tasks are not touched.
    pub fn kill_9(mut self) {
        self.end();
    }

    /// Asks it to stop by a signal; panics when it has not stopped within [`PATIENCE`].
    #[track_caller]
    pub fn stop(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        let status = self.ended_within(PATIENCE);
        status.unwrap_or_else(|| panic!("{} did not stop on {signal:?}", self.name))
    }

    fn end(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

/// Copies stderr into the log and into memory, and tells the address of the ready line.
fn watch(
    child: &mut Child,
    mut log: File,
    lines: Arc<Mutex<Vec<String>>>,
) -> mpsc::Receiver<String> {
    let (sender, ready) = mpsc::channel();
    let errors = child.stderr.take().expect("it was asked for");
    std::thread::spawn(move || {
        for line in BufReader::new(errors).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            // The log serves the reader of a failure; without it the test still says what is wrong.
            let _ = writeln!(log, "{line}");
            if let Some(url) = line.trim().strip_prefix("ready http://") {
                // Nobody waits for a second ready line.
                let _ = sender.send(url.trim_end_matches('/').to_owned());
            }
            lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        }
    });
    ready
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
