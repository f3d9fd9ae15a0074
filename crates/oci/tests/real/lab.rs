//! A root of busybox, bundles in a temporary folder, and the runtimes of this host.

use mezz_launch_plan::seccomp::Architecture;
use mezz_launch_plan::{
    Access, CapabilitySet, CommandSpec, ContainerSpec, HostFacts, KernelFacts, LaunchId,
    MountCalls, RootSpec, UserNamespaces,
};
use mezz_oci::{
    Bundle, CONFIG_FILE, ContainerName, Invocation, Resources, Runtime, bundle, parse_states,
};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// One runtime with a folder of its own; what it still runs in the end is ended.
pub(crate) struct Lab {
    folder: TempDir,
    runtime: Runtime,
}

/// Runs a test with each runtime that can run here.
pub(crate) fn everywhere(test: impl Fn(&Lab)) {
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root || !Path::new("/bin/busybox").exists() {
        eprintln!("not run: this needs root and busybox");
        return;
    }
    for (name, runs) in [("runc", true), ("crun", crun_takes_this_host())] {
        let found = ["/usr/sbin", "/usr/bin", "/usr/local/bin"]
            .iter()
            .map(|folder| Path::new(folder).join(name))
            .find(|path| path.exists());
        match found.filter(|_| runs) {
            Some(program) => test(&Lab::new(program)),
            None => eprintln!("not run with {name}: it is not here, or not for such cgroups"),
        }
    }
}

/// crun refuses hosts that mount both versions of cgroups.
fn crun_takes_this_host() -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let has = |kind: &str| {
        mounts
            .lines()
            .any(|line| line.split(' ').nth(2) == Some(kind))
    };
    !(has("cgroup") && has("cgroup2"))
}

impl Lab {
    fn new(program: PathBuf) -> Self {
        let folder = TempDir::new().expect("a folder");
        let state = folder.path().join("state");
        let lab = Self {
            folder,
            runtime: Runtime { program, state },
        };
        lab.folder("sandbox");
        busybox(&lab.folder("root"));
        lab
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).expect("a folder");
        path
    }

    pub(crate) fn sandbox(&self) -> PathBuf {
        self.folder.path().join("sandbox")
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn spec(&self, command: &str) -> ContainerSpec {
        let command = CommandSpec::Shell(command.to_owned());
        let mut spec = ContainerSpec::new(LaunchId(1), command, self.sandbox());
        spec.isolation.root = RootSpec::Folder {
            path: self.folder("root"),
            access: Access::ReadWrite,
        };
        spec
    }

    /// A container whose root is two layers; they are mounted until the second value is dropped.
    pub(crate) fn layered(&self, command: &str) -> (ContainerSpec, Mounted) {
        let [lower, upper, changes, work, at] =
            ["lower", "upper", "changes", "work", "at"].map(|name| self.folder(name));
        busybox(&lower);
        fs::write(lower.join("one"), "lower\n").expect("a file");
        fs::write(lower.join("two"), "lower\n").expect("a file");
        fs::write(upper.join("one"), "upper\n").expect("a file");
        let mut spec = self.spec(command);
        spec.isolation.root = RootSpec::Overlay {
            at: at.clone(),
            lower: vec![upper, lower.clone()],
            upper: Some((changes, work)),
        };
        let made = made(&spec, &self.unlimited());
        let overlay = made.overlay.expect("layers");
        let path = |path: &std::ffi::CString| path.to_str().expect("a path").to_owned();
        let lowers: Vec<String> = overlay.lower.iter().map(path).collect();
        let top = overlay.upper.expect("changes");
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lowers.join(":"),
            path(&top.upper),
            path(&top.work)
        );
        let mount = ["-t", "overlay", "overlay", "-o", &options];
        let done = Command::new("mount").args(mount).arg(&at).status();
        assert!(done.expect("mount").success());
        (spec, Mounted { at, lower })
    }

    /// The command that runs the container, with its bundle written.
    pub(crate) fn command(
        &self,
        name: &str,
        spec: &ContainerSpec,
        resources: &Resources,
    ) -> Command {
        let folder = self.folder(&format!("bundles/{name}"));
        let text = made(spec, resources).config_json();
        fs::write(folder.join(CONFIG_FILE), text).expect("a file");
        let name = ContainerName::new(name).expect("a name");
        command(&self.runtime.run(&name, &folder, &folder.join("log")))
    }

    pub(crate) fn run(&self, name: &str, spec: &ContainerSpec) -> Output {
        self.run_with(name, spec, &self.unlimited())
    }

    pub(crate) fn run_with(
        &self,
        name: &str,
        spec: &ContainerSpec,
        resources: &Resources,
    ) -> Output {
        let mut command = self.command(name, spec, resources);
        command.output().expect("the runtime")
    }

    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join("bundles").join(name).join("log"))
            .unwrap_or_default()
    }

    pub(crate) fn listed(&self) -> Vec<ContainerName> {
        parse_states(&output(&self.runtime.list())).expect("a list")
    }

    /// Groups of this lab alone.
    pub(crate) fn unlimited(&self) -> Resources {
        let own = self.folder.path().file_name().expect("a name");
        Resources::unlimited(format!(
            "/mezz-oci-{}",
            own.to_string_lossy().trim_matches('.')
        ))
    }

    pub(crate) fn clean_up_is_complete(&self) {
        let spec = self.spec("echo > up; sleep 1000");
        let mut child = self
            .command("left", &spec, &self.unlimited())
            .spawn()
            .expect("the runtime");
        eventually("it runs", || self.sandbox().join("up").exists());
        child.kill().expect("it is killed");
        child.wait().expect("its end");
        self.sweep();
        assert!(self.listed().is_empty());
    }

    fn sweep(&self) {
        for name in self.listed() {
            output(&self.runtime.delete(&name));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.sweep();
    }
}

/// Layers that are mounted.
pub(crate) struct Mounted {
    at: PathBuf,
    lower: PathBuf,
}

impl Mounted {
    pub(crate) fn lower(&self, name: &str) -> String {
        fs::read_to_string(self.lower.join(name)).expect("a file")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

fn busybox(root: &Path) {
    for name in ["bin", "tmp"] {
        fs::create_dir_all(root.join(name)).expect("a folder");
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("a copy");
    let list = Command::new("/bin/busybox").arg("--list").output();
    let list = String::from_utf8(list.expect("a list").stdout).expect("names");
    for name in list.lines().filter(|name| *name != "busybox") {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).expect("a link");
    }
}

fn made(spec: &ContainerSpec, resources: &Resources) -> Bundle {
    let mut host = HostFacts::bare("test", 0);
    host.kernel = KernelFacts {
        version: (5, 15),
        architecture: Some(Architecture::X86_64),
        capabilities: CapabilitySet::ALL,
        mount_calls: MountCalls::Present,
        user_namespaces: UserNamespaces::Available,
    };
    bundle(spec, &host, resources, BTreeMap::new()).expect("a bundle")
}

pub(crate) fn output(invocation: &Invocation) -> String {
    let output = command(invocation).output().expect("the runtime");
    String::from_utf8(output.stdout).expect("text")
}

pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status();
    assert!(sent.expect("kill").success());
}

fn command(invocation: &Invocation) -> Command {
    let mut command = Command::new(&invocation.program);
    command.args(&invocation.arguments[1..]);
    command
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
