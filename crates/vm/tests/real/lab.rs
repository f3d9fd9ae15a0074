//! A folder with a kernel, machines that end with the test, and what they say.

use mezz_vm::{
    Acceleration, Guest, Machine, Monitor, Places, StandIn, guest_memory_mib, host, invocation,
};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder of one test.
pub(crate) struct Lab {
    folder: TempDir,
    program: PathBuf,
}

impl Lab {
    /// `None`, and the reason told, where there is no qemu or no compiler.
    pub(crate) fn new() -> Option<Self> {
        let lab = Self::without_kernel()?;
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let built = Command::new("sh")
            .arg(own.join("tests/real/build-kernel.sh"))
            .arg(lab.path("kernel"))
            .status();
        if Command::new("cc").arg("--version").output().is_err() {
            eprintln!("not run: no C compiler");
            return None;
        }
        assert!(
            built.expect("a shell").success(),
            "the kernel does not build"
        );
        Some(lab)
    }

    pub(crate) fn without_kernel() -> Option<Self> {
        let Some(program) = host::find(Monitor::Qemu) else {
            eprintln!("not run: qemu is not here");
            return None;
        };
        let folder = TempDir::new().expect("a folder");
        Some(Self { folder, program })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn guest(&self, words: &str) -> Guest {
        Guest {
            monitor: Monitor::Qemu,
            machine: Machine::Q35,
            // It must be the same everywhere, and kernels of this size need no help.
            acceleration: Acceleration::Emulated,
            kernel: Some(self.path("kernel")),
            initrd: None,
            command_line: words.to_owned(),
            disks: Vec::new(),
            processors: 1,
            memory_mib: guest_memory_mib(96).expect("enough"),
            forwards: Vec::new(),
            shared: None,
            environment: Vec::new(),
            user: None,
        }
    }

    pub(crate) fn start(&self, guest: &Guest) -> Started {
        let places = Places {
            folder: self.folder.path(),
        };
        let made = invocation(guest, &self.program, places).expect("it can be had");
        for file in &made.files {
            fs::write(self.path(file.name), &file.text).expect("a file");
        }
        let spec = StandIn {
            program: made.program,
            arguments: made.arguments,
            control: made.control,
        };
        let told = self.path("told.json");
        fs::write(&told, serde_json::to_vec(&spec).expect("JSON")).expect("a file");
        let mut child = Command::new(stand_in())
            .arg(&told)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(self.path("errors")).expect("a file"))
            .process_group(0)
            .spawn()
            .expect("the stand-in");
        let output = child.stdout.take().expect("a pipe");
        Started {
            output: BufReader::new(output),
            errors: self.path("errors"),
            child,
        }
    }
}

/// The example that is built beside the tests.
fn stand_in() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    let profile = own.ancestors().nth(2).expect("two folders above");
    profile.join("examples/stand_in")
}

/// A stand-in that runs; it does not outlive the test, nor does its machine.
pub(crate) struct Started {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    errors: PathBuf,
}

impl Started {
    pub(crate) fn await_line(&mut self, wanted: &str) {
        let mut line = String::new();
        while line.trim_end() != wanted {
            line.clear();
            let read = self.output.read_line(&mut line).expect("output");
            assert!(read > 0, "it ended before it said {wanted:?}");
        }
    }

    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// The `/proc` entry of the machine's process.
    pub(crate) fn monitor(&self) -> PathBuf {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.expect("a list");
        let first = children.split(' ').next().expect("a child");
        Path::new("/proc").join(first)
    }

    pub(crate) fn signal(&self, name: &str) {
        kill(name, &self.child.id().to_string());
    }

    /// As a killer of the whole tree does.
    pub(crate) fn signal_tree(&self, name: &str) {
        kill(name, &format!("-{}", self.child.id()));
    }

    /// What it has written since, or its errors where it has not, and its status.
    pub(crate) fn finish(mut self) -> (String, Option<i32>) {
        let mut bytes = Vec::new();
        self.output.read_to_end(&mut bytes).expect("output");
        let status = self.child.wait().expect("its end");
        let mut text = String::from_utf8_lossy(&bytes).replace('\r', "");
        if text.is_empty() {
            text = fs::read_to_string(&self.errors).unwrap_or_default();
        }
        assert!(status.code().is_some() || status.signal() == Some(9));
        (text, status.code())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if self.lives() {
            self.signal_tree("KILL");
            let _ = self.child.wait();
        }
    }
}

fn kill(name: &str, whom: &str) {
    let sent = Command::new("kill").args(["-s", name, "--", whom]).status();
    assert!(sent.expect("kill").success());
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
