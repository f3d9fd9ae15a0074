//! A container that is set apart in every way, and what its root tries against the host: each attempt is refused, and
//! succeeds in the same container without the parts that stand against it.
//!
//! The attempts are in `examples/attempt`. What a kernel has not cannot succeed anywhere and is told, not counted.
#![allow(clippy::unwrap_used, unsafe_code)]

mod attempts;
#[path = "../support/mod.rs"]
mod support;

use attempts::{ATTEMPTS, Part};
use mezz_launch_plan::isolation::{PrivilegeGrowth, Propagation};
use mezz_launch_plan::{
    Access, CapabilitySet, CapabilitySpec, Credentials, HostFacts, IsolationSpec, LaunchId,
    NamespaceSpec, RootSpec, SeccompSpec, VolumeSource, VolumeSpec, plan,
};
use mezz_warden::{Reply, Request};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use support::*;

use Part::{Calls, Capabilities, Growth, Ipc, Network, Pid, Root, User, Volume};

const NOBODY: u32 = 65534;

/// How many must have had a control that succeeded, whatever the kernel lacks.
const LEAST: usize = 80;

#[test]
fn each_attempt_to_escape_is_refused_and_succeeds_without_what_stands_against_it() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    let host = Host::prepare(&lab);
    let (mut wrong, mut without_control, mut shown) = (Vec::new(), Vec::new(), 0);
    let all = ATTEMPTS
        .iter()
        .flat_map(|(parts, names)| names.iter().map(move |name| (*parts, *name)));
    for (number, (parts, name)) in (1_u64..).zip(all) {
        let confined = host.attempt(&lab, number * 2, name, parts, &[]);
        if !confined.starts_with("refused: ") {
            wrong.push(format!("{name}: {confined}"));
        }
        let control = host.attempt(&lab, number * 2 + 1, name, parts, parts);
        if control.trim() == "done" {
            shown += 1;
        } else {
            without_control.push(format!("{name}: {}", control.trim()));
        }
    }
    let told = without_control.join("\n");
    assert!(wrong.is_empty(), "not refused:\n{}", wrong.join("\n"));
    eprintln!("{shown} attempts refused that succeed elsewhere; not on this host:\n{told}");
    assert!(
        shown >= LEAST,
        "only {shown} attempts succeed without what stands against them; the others:\n{told}"
    );
}

/// What the attempts aim at.
struct Host {
    outsider: Child,
    environment: Vec<(String, String)>,
    root: PathBuf,
    volume: PathBuf,
    shared_file: PathBuf,
    queue: std::ffi::CString,
    shared: [i32; 3],
    _nameless: UnixListener,
    _named: UnixListener,
    _port: std::net::TcpListener,
}

impl Host {
    fn prepare(lab: &Lab) -> Self {
        let own = std::process::id();
        let dir = lab.dir.path();
        std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
        let (root, volume) = (dir.join("root"), dir.join("volume"));
        make_root(&root);
        std::fs::create_dir(&volume).unwrap();
        let with_bit = volume.join("id");
        std::fs::copy("/usr/bin/id", &with_bit).unwrap();
        std::fs::set_permissions(&with_bit, PermissionsExt::from_mode(0o4755)).unwrap();
        let secret = dir.join("secret");
        std::fs::write(&secret, "secret").unwrap();
        let shared_file = PathBuf::from(format!("/dev/shm/mezz-attempt-{own}"));
        std::fs::write(&shared_file, "shared").unwrap();
        let argument = format!("100000.{own}");
        let outsider = Command::new("sleep").arg(&argument).spawn().unwrap();
        let nameless = format!("mezz-attempt-{own}");
        let address = SocketAddr::from_abstract_name(&nameless).unwrap();
        let socket = dir.join("socket");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let queue = std::ffi::CString::new(format!("/mezz-attempt-{own}")).unwrap();
        let key = i32::try_from(own).unwrap() | 0x4000_0000;
        let words = [
            ("OUTSIDER", outsider.id().to_string()),
            ("OUTSIDER_ARGUMENT", argument),
            ("SECRET_FILE", secret.display().to_string()),
            ("SHARED_FILE", shared_file.display().to_string()),
            ("SOCKET_FILE", socket.display().to_string()),
            ("NAMELESS", nameless),
            ("ADDRESS", port.local_addr().unwrap().to_string()),
            ("QUEUE", queue.to_str().unwrap().to_owned()),
            ("KEY", key.to_string()),
            ("GROUP", group(own)),
            ("DISK", disk()),
            ("CLOSED_FILE", "closed".to_owned()),
            ("PROGRAM_WITH_BIT", "volume/id".to_owned()),
        ];
        let words = words.map(|(name, value)| (name.to_owned(), value));
        Self {
            outsider,
            environment: words.to_vec(),
            root,
            volume,
            shared_file,
            shared: objects(key, &queue),
            queue,
            _nameless: UnixListener::bind_addr(&address).unwrap(),
            _named: UnixListener::bind(socket).unwrap(),
            _port: port,
        }
    }

    /// What an attempt says in a container without some parts.
    fn attempt(&self, lab: &Lab, id: u64, name: &str, parts: &[Part], without: &[Part]) -> String {
        let mut spec = lab.spec(id, &format!("exec programs/attempt {name}"));
        let closed = spec.sandbox.join("closed");
        std::fs::write(&closed, "closed").unwrap();
        std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o600)).unwrap();
        chown(&closed, Some(4242), Some(4242)).unwrap();
        spec.environment = vec![self.environment.clone()];
        spec.isolation = self.isolation(without);
        let as_nobody = parts.contains(&Growth) || parts.contains(&User);
        if as_nobody && !without.contains(&User) {
            chown(&spec.sandbox, Some(NOBODY), Some(NOBODY)).unwrap();
            spec.user = Some("nobody".to_owned());
        }
        let mut connection = lab.connect(id);
        let plan = plan(&spec, &facts()).unwrap();
        send(&mut connection, &[Request::Launch(Box::new(plan))]);
        expect(&mut connection, |reply| match reply {
            Reply::Exited(exit) if exit.launch_id == LaunchId(id) => Some(()),
            Reply::LaunchFailed { message, .. } => panic!("{name}: {message}"),
            _ => None,
        });
        let errors = std::fs::read_to_string(lab.sandbox(id).join("stderr")).unwrap_or_default();
        format!("{}{errors}", lab.output(id))
    }

    fn isolation(&self, without: &[Part]) -> IsolationSpec {
        let own_unless = |part: Part| {
            if without.contains(&part) {
                NamespaceSpec::Host
            } else {
                NamespaceSpec::Own
            }
        };
        let access = if without.contains(&Volume) {
            Access::ReadWrite
        } else {
            Access::ReadOnly
        };
        let root = RootSpec::Folder {
            path: self.root.clone(),
            access: Access::ReadWrite,
        };
        let mut volumes = vec![
            volume(attempt_folder(), "programs", Access::ReadOnly),
            volume(self.volume.clone(), "volume", access),
        ];
        if !without.contains(&Root) {
            volumes.push(volume("/usr".into(), "/usr", Access::ReadOnly));
        }
        IsolationSpec {
            pid: own_unless(Pid),
            mount: NamespaceSpec::Own,
            ipc: own_unless(Ipc),
            uts: NamespaceSpec::Own,
            network: own_unless(Network),
            cgroup: NamespaceSpec::Own,
            root: if without.contains(&Root) {
                RootSpec::Host
            } else {
                root
            },
            volumes,
            capabilities: if without.contains(&Capabilities) {
                CapabilitySpec::default()
            } else {
                CapabilitySpec {
                    bounding: Some(CapabilitySet::EMPTY),
                    effective: Some(CapabilitySet::EMPTY),
                }
            },
            growth: if without.contains(&Growth) {
                PrivilegeGrowth::default()
            } else {
                PrivilegeGrowth::Never
            },
            seccomp: if without.contains(&Calls) {
                SeccompSpec::Unconfined
            } else {
                SeccompSpec::Default
            },
            ..IsolationSpec::default()
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.outsider.kill();
        let _ = self.outsider.wait();
        let _ = std::fs::remove_file(&self.shared_file);
        let [memory, semaphore, queue] = self.shared;
        // SAFETY: the objects are this test's own.
        unsafe {
            libc::shmctl(memory, libc::IPC_RMID, std::ptr::null_mut());
            libc::semctl(semaphore, 0, libc::IPC_RMID);
            libc::msgctl(queue, libc::IPC_RMID, std::ptr::null_mut());
            libc::mq_unlink(self.queue.as_ptr());
        }
    }
}

/// The objects that programs find by a key or a name.
fn objects(key: i32, name: &std::ffi::CStr) -> [i32; 3] {
    let flags = libc::IPC_CREAT | 0o666;
    let none = std::ptr::null_mut::<libc::mq_attr>();
    // SAFETY: numbers, and a terminated name.
    unsafe {
        let queue = libc::mq_open(name.as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o666, none);
        assert!(queue >= 0, "{}", std::io::Error::last_os_error());
        libc::mq_close(queue);
        [
            libc::shmget(key, 4096, flags),
            libc::semget(key, 1, flags),
            libc::msgget(key, flags),
        ]
    }
}

fn facts() -> HostFacts {
    let mut facts = Means::available()[0].facts().unwrap();
    let nobody = Credentials {
        uid: NOBODY,
        gid: NOBODY,
        groups: vec![],
    };
    facts.users.insert("nobody".to_owned(), nobody);
    facts
}

fn volume(from: PathBuf, target: &str, access: Access) -> VolumeSpec {
    VolumeSpec {
        source: VolumeSource::HostPath(from),
        target: target.into(),
        access,
        propagation: Propagation::Private,
    }
}

/// Where Cargo puts the example.
fn attempt_folder() -> PathBuf {
    let folder = binary().parent().unwrap().join("examples");
    let program = folder.join("attempt");
    assert!(
        program.exists(),
        "build it: cargo build -p mezz-warden --example attempt"
    );
    folder
}

fn make_root(root: &Path) {
    std::fs::create_dir_all(root.join("tmp")).unwrap();
    for name in ["bin", "sbin", "lib", "lib64"] {
        if Path::new("/").join(name).exists() {
            symlink(Path::new("usr").join(name), root.join(name)).unwrap();
        }
    }
}

/// Where a group can be made on this host.
fn group(own: u32) -> String {
    let hierarchy = if Path::new("/sys/fs/cgroup/freezer").exists() {
        "freezer/"
    } else {
        ""
    };
    format!("{hierarchy}mezz-attempt-{own}")
}

/// The first disk of this host.
fn disk() -> String {
    let text = std::fs::read_to_string("/proc/partitions").unwrap_or_default();
    let name = text
        .lines()
        .nth(2)
        .and_then(|line| line.split_whitespace().nth(3));
    format!("/dev/{}", name.unwrap_or("no-disk"))
}
