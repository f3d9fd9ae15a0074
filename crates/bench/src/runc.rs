//! Other ways to run the same program in a container of the same kind: `runc run` and `docker run`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// A bundle with one static program, and where runc keeps its own state.
#[derive(Debug)]
pub(crate) struct Runc {
    bundle: PathBuf,
    state: PathBuf,
}

impl Runc {
    /// `None` where runc is not installed.
    pub(crate) fn prepare(dir: &Path, program: &Path) -> Result<Option<Self>> {
        if !runs("runc", &["--version"]) {
            return Ok(None);
        }
        let (bundle, state) = (dir.join("bundle"), dir.join("state"));
        let root = bundle.join("rootfs");
        for folder in ["proc", "dev", "sys"] {
            std::fs::create_dir_all(root.join(folder))?;
        }
        std::fs::copy(program, root.join("program")).context("copying the program")?;
        std::fs::write(bundle.join("config.json"), serde_json::to_vec(&config())?)?;
        Ok(Some(Self { bundle, state }))
    }

    /// How long each of some containers took, one after the other.
    pub(crate) fn one_after_the_other(&self, count: usize) -> Result<Vec<Duration>> {
        (0..count)
            .map(|number| {
                let started = Instant::now();
                let status = Command::new("runc")
                    .arg("--root")
                    .arg(&self.state)
                    .args(["run", "--bundle"])
                    .arg(&self.bundle)
                    .arg(format!("mezz-bench-{}-{number}", std::process::id()))
                    .stdout(Stdio::null())
                    .status()?;
                ensure!(status.success(), "runc run failed");
                Ok(started.elapsed())
            })
            .collect()
    }
}

/// Four namespaces and groups with limits: what the isolated tasks beside it have.
fn config() -> Value {
    let namespaces = ["pid", "mount", "ipc", "uts"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": ["/program"],
            "cwd": "/",
            "noNewPrivileges": true,
            "capabilities": { "bounding": [], "effective": [], "permitted": [] },
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "bench",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
        ],
        "linux": {
            "namespaces": namespaces,
            "resources": {
                "memory": { "limit": 33_554_432 },
                "cpu": { "shares": 10 },
                "pids": { "limit": 64 },
            },
        },
    })
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let status = command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// How long each of some `docker run` took, of an image with the program alone; `None` without a daemon that answers.
pub(crate) fn docker(dir: &Path, program: &Path, count: usize) -> Result<Option<Vec<Duration>>> {
    const IMAGE: &str = "mezz-bench-program";
    if !runs("docker", &["info"]) {
        return Ok(None);
    }
    let folder = dir.join("image");
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(program, folder.join("program"))?;
    let import = format!(
        "tar -C '{}' -c program | docker import - {IMAGE}",
        folder.display()
    );
    ensure!(runs("sh", &["-c", &import]), "docker import failed");
    let times = (0..count).map(|_| {
        let started = Instant::now();
        let all = [
            "run",
            "--rm",
            "--network",
            "host",
            "--memory",
            "32m",
            IMAGE,
            "/program",
        ];
        ensure!(runs("docker", &all), "docker run failed");
        Ok(started.elapsed())
    });
    times.collect::<Result<Vec<_>>>().map(Some)
}
