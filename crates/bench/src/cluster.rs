//! A master and an agent as processes of their own, and what the kernel says of their cost.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Daemons started for one measurement; they end with it.
#[derive(Debug)]
pub(crate) struct Cluster {
    master: Child,
    agent: Child,
    warden: Option<u32>,
    /// `ip:port` of the master.
    pub(crate) address: String,
}

/// CPU time that each part has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) master: Duration,
    pub(crate) agent: Duration,
    pub(crate) warden: Duration,
}

impl Cpu {
    /// What was used since an earlier reading.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            master: self.master.saturating_sub(before.master),
            agent: self.agent.saturating_sub(before.agent),
            warden: self.warden.saturating_sub(before.warden),
        }
    }
}

impl Cluster {
    /// Starts both and waits until the agent has registered.
    pub(crate) fn start(mezz: &Path, dir: &Path) -> Result<Self> {
        Self::start_with(mezz, dir, &[])
    }

    /// Likewise, with more flags of the agent.
    pub(crate) fn start_with(mezz: &Path, dir: &Path, flags: &[String]) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut master = Command::new(mezz)
            .args(["master", "--port", "0", "--work-dir"])
            .arg(dir.join("master"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", mezz.display()))?;
        let address = ready(&mut master)?;
        let mut agent = Command::new(mezz)
            .args([
                "agent",
                "--port",
                "0",
                "--resources",
                "cpus:1000;mem:1000000;disk:100000;ports:[31000-32000]",
            ])
            .args(["--master", &address, "--work-dir"])
            .arg(dir.join("agent"))
            .args(flags)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        ready(&mut agent)?;
        let warden = find_warden(agent.id());
        let cluster = Self {
            master,
            agent,
            warden,
            address,
        };
        cluster.wait_for_agent()?;
        Ok(cluster)
    }

    fn wait_for_agent(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            if http_get(&self.address, "/slaves").is_ok_and(|body| body.contains("\"active\":true"))
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the agent did not register within 10 s")
    }

    /// CPU time so far.
    pub(crate) fn cpu(&self) -> Cpu {
        Cpu {
            master: cpu_of(self.master.id()),
            agent: cpu_of(self.agent.id()),
            warden: self.warden.map_or(Duration::ZERO, cpu_of),
        }
    }

    /// Proportional set size of agent and warden together, in KiB.
    pub(crate) fn agent_pss_kib(&self) -> u64 {
        pss_kib(self.agent.id()) + self.warden.map_or(0, pss_kib)
    }

    /// The process numbers of agent and warden.
    pub(crate) fn agent_processes(&self) -> Vec<u32> {
        std::iter::once(self.agent.id())
            .chain(self.warden)
            .collect()
    }

    /// Private memory of the master in KiB.
    pub(crate) fn master_pss_kib(&self) -> u64 {
        pss_kib(self.master.id())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // USR1 ends the agent with its tasks; both are then waited for.
        let _ = Command::new("kill")
            .args(["-USR1", &self.agent.id().to_string()])
            .status();
        let end = Instant::now() + Duration::from_secs(15);
        while Instant::now() < end && matches!(self.agent.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.agent.kill();
        let _ = self.agent.wait();
        if let Some(warden) = self.warden {
            let _ = Command::new("kill")
                .args(["-TERM", &warden.to_string()])
                .stderr(Stdio::null())
                .status();
        }
        let _ = Command::new("kill")
            .args(["-TERM", &self.master.id().to_string()])
            .status();
        let _ = self.master.wait();
    }
}

/// Waits for the line that a daemon prints when it serves; its address.
pub(crate) fn ready(child: &mut Child) -> Result<String> {
    let stderr = child.stderr.take().context("stderr is piped")?;
    let mut reader = BufReader::new(stderr);
    let mut line = String::new();
    let mut said = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            bail!("the daemon ended before it was ready: {said}");
        }
        if let Some(address) = line.trim().strip_prefix("ready http://") {
            let address = address.trim_end_matches('/').to_owned();
            // What it says later must not block it.
            std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
            return Ok(address);
        }
        said.push_str(&line);
    }
}

fn find_warden(agent: u32) -> Option<u32> {
    let named = |pid: u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).nth(1) == Some(b"warden".as_slice())
    };
    let mut wardens: Vec<u32> = std::fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| named(*pid) && *pid > agent)
        .collect();
    wardens.sort_unstable();
    wardens.first().copied()
}

/// CPU time that a process has used.
pub(crate) fn cpu_of(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let main: u64 = stat
        .split(' ')
        .next()
        .and_then(|ns| ns.parse().ok())
        .unwrap_or(0);
    // schedstat of the process counts its main thread only; the others are beside it.
    let mut sum = 0;
    if let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) {
        for task in tasks.flatten() {
            let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            sum += stat
                .split(' ')
                .next()
                .and_then(|ns| ns.parse::<u64>().ok())
                .unwrap_or(0);
        }
    }
    Duration::from_nanos(sum.max(main))
}

pub(crate) fn pss_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok())
        .unwrap_or(0)
}

/// A GET on a connection of its own.
pub(crate) fn http_get(address: &str, path: &str) -> Result<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Where the binary under test and the musl-static `true` and `sleep` are.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) mezz: PathBuf,
    pub(crate) no_op: PathBuf,
    pub(crate) sleep: PathBuf,
}

impl Programs {
    /// Builds the two small programs with `musl-gcc`; `mezz` is the one beside us unless given.
    pub(crate) fn prepare(dir: &Path, mezz: Option<PathBuf>) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let build = |name: &str, source: &str| -> Result<PathBuf> {
            let (text, program) = (dir.join(format!("{name}.c")), dir.join(name));
            std::fs::write(&text, source)?;
            let status = Command::new("musl-gcc")
                .args(["-static", "-O2", "-o"])
                .arg(&program)
                .arg(&text)
                .status();
            match status {
                Ok(status) if status.success() => Ok(program),
                _ => bail!("musl-gcc is missing or failed: install musl-tools"),
            }
        };
        let mezz = match mezz {
            Some(mezz) => mezz,
            None => std::env::current_exe()?.with_file_name("mezz"),
        };
        if !mezz.exists() {
            bail!(
                "{} is missing: build it with `cargo build --release -p mezz`",
                mezz.display()
            );
        }
        Ok(Self {
            mezz,
            no_op: build("true", "int main(void){return 0;}\n")?,
            sleep: build(
                "sleep",
                "#include <unistd.h>\nint main(void){for(;;)pause();}\n",
            )?,
        })
    }
}
