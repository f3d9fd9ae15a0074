//! HyperQueue beside our arrays: the same program, as often, by its own server and one worker with as many slots as
//! `xargs` has. It is not built or installed by us; where it is not found, the report says so.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// The variable that names its program, when that is not `hq` on the path.
const PROGRAM: &str = "MEZZ_BENCH_HQ";
const SLOTS: &str = "2";

/// A server with a worker; both end when it is dropped.
pub(crate) struct HyperQueue {
    program: PathBuf,
    folder: PathBuf,
    daemons: Vec<Child>,
}

impl HyperQueue {
    /// Starts it in a folder; none where it is not installed.
    pub(crate) fn start(folder: &Path) -> Result<Option<Self>> {
        let program = PathBuf::from(std::env::var_os(PROGRAM).unwrap_or_else(|| "hq".into()));
        let about = Command::new(&program).arg("--version").output();
        if !about.is_ok_and(|about| String::from_utf8_lossy(&about.stdout).contains("hyperqueue")) {
            return Ok(None);
        }
        std::fs::create_dir_all(folder)?;
        let mut own = Self {
            program,
            folder: folder.to_owned(),
            daemons: Vec::new(),
        };
        own.daemon(&["server", "start", "--host", "127.0.0.1"])?;
        own.until_answered(&["server", "info"], "")?;
        own.daemon(&["worker", "start", "--cpus", SLOTS])?;
        own.until_answered(&["worker", "list"], "RUNNING")?;
        Ok(Some(own))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("HQ_SERVER_DIR", self.folder.join("server"))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn daemon(&mut self, arguments: &[&str]) -> Result<()> {
        let daemon = self.command(arguments).stdout(Stdio::null()).spawn()?;
        self.daemons.push(daemon);
        Ok(())
    }

    fn until_answered(&self, question: &[&str], wanted: &str) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            let answer = self.command(question).output()?;
            let text = String::from_utf8_lossy(&answer.stdout);
            if answer.status.success() && text.contains(wanted) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("HyperQueue does not answer to {question:?}")
    }

    /// Tasks per second of one array, whose output is thrown away.
    pub(crate) fn rate(&self, no_op: &Path, tasks: usize) -> Result<f64> {
        let last = tasks.checked_sub(1).context("no tasks")?;
        let started = Instant::now();
        let status = self
            .command(&["submit", "--stdout", "none", "--stderr", "none", "--wait"])
            .arg(format!("--array=0-{last}"))
            .arg(no_op)
            .stdout(Stdio::null())
            .status()?;
        ensure!(status.success(), "HyperQueue's array failed");
        Ok(tasks as f64 / started.elapsed().as_secs_f64())
    }
}

impl Drop for HyperQueue {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}
