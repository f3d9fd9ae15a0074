//! A Docker Engine of a test's own: on a socket in a temporary folder, with images made of busybox.
//!
//! It touches no other Engine of the machine, and is ended by its process id.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const BUSYBOX: &str = "/bin/busybox";
const PATIENCE: Duration = Duration::from_mins(1);

/// How an Engine connects containers that ask for a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bridging {
    /// Not at all.
    None,
    /// By a bridge of its own; ports of the host are passed on by a process, without rules of a firewall.
    Own,
}

/// A running Engine.
#[derive(Debug)]
pub struct DockerEngine {
    folder: TempDir,
    daemon: Child,
    bridge: Option<String>,
}

impl DockerEngine {
    /// Starts one; none where that cannot be done, with the reason in words for people.
    pub fn start(bridging: Bridging) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("a Docker Engine needs root".to_owned());
        }
        for program in ["dockerd", "docker"] {
            if !answers(program) {
                return Err(format!("there is no {program}"));
            }
        }
        if !Path::new(BUSYBOX).exists() {
            return Err(format!("there is no {BUSYBOX}"));
        }
        let folder = tempfile::Builder::new()
            .prefix("dk")
            .tempdir()
            .map_err(|error| error.to_string())?;
        let bridge = match bridging {
            Bridging::None => None,
            Bridging::Own => Some(make_bridge()?),
        };
        let daemon = spawn(folder.path(), bridge.as_deref())?;
        let mut engine = Self {
            folder,
            daemon,
            bridge,
        };
        engine.wait_until_it_answers()?;
        Ok(engine)
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.daemon.id()
    }

    /// Runs Docker's own command line against it.
    pub fn docker(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .output()
            .expect("the command line of Docker was there a moment ago")
    }

    /// What Docker's own command line prints; it must succeed.
    pub fn says(&self, arguments: &[&str]) -> String {
        let output = self.docker(arguments);
        assert!(
            output.status.success(),
            "docker {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Makes an image of busybox; `changes` are lines of a Dockerfile, such as `ENTRYPOINT ["echo"]`.
    pub fn make_image(&self, name: &str, changes: &[&str]) {
        let tree = self.folder.path().join("tree");
        if !tree.exists() {
            make_tree(&tree).expect("a tree of busybox can be made");
        }
        let tar = Command::new("tar")
            .args(["-C"])
            .arg(&tree)
            .args(["-c", "."])
            .output()
            .expect("there is tar");
        assert!(tar.status.success(), "tar fails");
        let mut arguments = vec!["import"];
        for change in changes {
            arguments.extend(["--change", change]);
        }
        arguments.extend(["-", name]);
        let mut import = self
            .command(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the command line of Docker was there a moment ago");
        let mut input = import.stdin.take().expect("the input is a pipe");
        input.write_all(&tar.stdout).expect("Docker takes the tree");
        drop(input);
        let status = import.wait().expect("it is our child");
        assert!(status.success(), "docker import fails");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .arg("-H")
            .arg(format!("unix://{}", self.socket().display()))
            .args(arguments)
            .env("DOCKER_CONFIG", self.folder.path());
        command
    }

    fn wait_until_it_answers(&mut self) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Ok(Some(status)) = self.daemon.try_wait() {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(3).collect();
                return Err(format!("dockerd ended with {status}: {last:?}"));
            }
            if self.docker(&["version"]).status.success() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err("dockerd does not answer".to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn end(&mut self) {
        let all = self.docker(&["ps", "-aq"]);
        let all = String::from_utf8_lossy(&all.stdout).into_owned();
        let mut remove = vec!["rm", "-f", "-v"];
        remove.extend(all.split_whitespace());
        if remove.len() > 3 {
            self.docker(&remove);
        }
        let pid = i32::try_from(self.daemon.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let end = Instant::now() + PATIENCE;
        while let Ok(None) = self.daemon.try_wait() {
            if Instant::now() > end {
                let _ = self.daemon.kill();
                let _ = self.daemon.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        if let Some(bridge) = &self.bridge {
            ip(&["link", "del", bridge]);
        }
    }
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(folder: &Path, bridge: Option<&str>) -> Result<Child, String> {
    let log = fs::File::create(folder.join("log")).map_err(|error| error.to_string())?;
    let errors = log.try_clone().map_err(|error| error.to_string())?;
    let at = |name: &str| folder.join(name).display().to_string();
    Command::new("dockerd")
        .args(["--host", &format!("unix://{}", at("docker.sock"))])
        .args(["--data-root", &at("data"), "--exec-root", &at("exec")])
        .args(["--pidfile", &at("pid")])
        .arg(format!("--bridge={}", bridge.unwrap_or("none")))
        .args(["--iptables=false", "--ip6tables=false", "--ip-masq=false"])
        .env("DOCKER_TMPDIR", at("tmp"))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|error| format!("dockerd: {error}"))
}

fn answers(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn ip(arguments: &[&str]) -> bool {
    let status = Command::new("ip").args(arguments).status();
    status.is_ok_and(|status| status.success())
}

/// A bridge that no other test has, with a network of the private range beside it.
fn make_bridge() -> Result<String, String> {
    let number = std::process::id() % 4096;
    let name = format!("mzd{number}");
    let address = format!("10.{}.{}.1/24", 200 + number / 256, number % 256);
    let made = ip(&["link", "add", "name", &name, "type", "bridge"])
        && ip(&["addr", "add", &address, "dev", &name])
        && ip(&["link", "set", &name, "up"]);
    if made {
        Ok(name)
    } else {
        ip(&["link", "del", &name]);
        Err("a bridge cannot be made".to_owned())
    }
}

fn make_tree(tree: &Path) -> std::io::Result<()> {
    for folder in ["bin", "etc", "tmp", "proc", "sys", "dev", "mnt"] {
        fs::create_dir_all(tree.join(folder))?;
    }
    fs::copy(BUSYBOX, tree.join("bin/busybox"))?;
    let list = Command::new(BUSYBOX).arg("--list").output()?;
    for name in String::from_utf8_lossy(&list.stdout).split_whitespace() {
        if name != "busybox" {
            symlink("busybox", tree.join("bin").join(name))?;
        }
    }
    fs::write(tree.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n")?;
    fs::write(tree.join("etc/group"), "root:x:0:\n")
}
