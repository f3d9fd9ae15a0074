//! Debian's kernel for virtual machines with busybox: networks, the environment, the exit code of a shell.

use crate::lab::{Lab, eventually};
use mezz_vm::{Disk, DiskAccess, Forward, Guest, Protocol, guest_memory_mib};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modules of the network and of disks, each after those that it needs.
const MODULES: &[&str] = &[
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
    "drivers/block/virtio_blk",
    "drivers/firmware/qemu_fw_cfg",
];

/// The kernel that the step `guest` of `cargo xtask test` fetches.
fn kernel() -> Option<(PathBuf, PathBuf)> {
    let own = std::env::current_exe().expect("a path");
    let target = own.ancestors().nth(3).expect("three folders above");
    let root = target.join("guest/kernel");
    let first = |folder: PathBuf, start: &str| {
        let entries = fs::read_dir(folder).ok()?.flatten();
        let mut paths = entries.map(|entry| entry.path());
        paths.find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(start))
        })
    };
    let kernel = first(root.join("boot"), "vmlinuz-")?;
    Some((kernel, first(root.join("lib/modules"), "")?.join("kernel")))
}

/// A machine whose first program is this script, when its modules are loaded.
fn guest(lab: &Lab, script: &str) -> Option<Guest> {
    let found = kernel().filter(|_| Path::new("/bin/busybox").exists());
    let Some((kernel, modules)) = found else {
        eprintln!("not run: no kernel (cargo xtask test --only guest fetches one) or no busybox");
        return None;
    };
    let root = lab.path("system");
    for folder in ["bin", "proc", "sys", "dev", "modules"] {
        fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("a copy");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/exit.c");
    let built = Command::new("cc")
        .args(["-static", "-O1", "-o"])
        .arg(root.join("exit"))
        .arg(source)
        .status();
    assert!(built.expect("a C compiler").success());
    let mut loads = String::new();
    for module in MODULES {
        let name = module.rsplit('/').next().expect("a name");
        let source = modules.join(format!("{module}.ko"));
        if fs::copy(source, root.join(format!("modules/{name}.ko"))).is_ok() {
            loads += &["insmod /modules/", name, ".ko\n"].concat();
        }
    }
    let init = format!(
        "#!/bin/busybox sh\n/bin/busybox --install -s /bin\nexport PATH=/bin\nmount -t proc proc /proc\n\
         mount -t sysfs sys /sys\nmount -t devtmpfs dev /dev\n{loads}{script}\npoweroff -f\n"
    );
    fs::write(root.join("init"), init).expect("a file");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(root.join("init"), executable).expect("a mode");
    let packed = Command::new("sh")
        .args([
            "-c",
            "find . | /bin/busybox cpio -o -H newc > ../system.cpio 2>/dev/null",
        ])
        .current_dir(&root)
        .status();
    assert!(packed.expect("cpio").success());
    Some(Guest {
        kernel: Some(kernel),
        initrd: Some(lab.path("system.cpio")),
        memory_mib: guest_memory_mib(256).expect("enough"),
        ..lab.guest("console=ttyS0 loglevel=1 panic=-1")
    })
}

#[test]
fn linux_ends_with_an_exit_code_and_finds_its_environment_and_its_disks() {
    let Some(lab) = Lab::without_kernel() else {
        return;
    };
    let script = "cat /sys/firmware/qemu_fw_cfg/by_name/opt/mezz/environment/raw\n\
                  head -c 5 /dev/vda; echo; echo changed > /dev/vda\n\
                  (echo no > /dev/vdb) 2>/dev/null || echo refused\n\
                  /exit 7";
    let Some(guest) = guest(&lab, script) else {
        return;
    };
    for name in ["disk", "fixed"] {
        fs::write(lab.path(name), vec![b'x'; 1 << 20]).expect("a disk");
    }
    let disk = |name, access| Disk {
        path: lab.path(name),
        access,
    };
    let guest = Guest {
        environment: vec!["A=1".to_owned(), "B=two words".to_owned()],
        disks: vec![
            disk("disk", DiskAccess::ReadWrite),
            disk("fixed", DiskAccess::ReadOnly),
        ],
        ..guest
    };
    let (output, status) = lab.start(&guest).finish();
    assert!(
        output.ends_with("A=1\nB=two words\nxxxxx\nrefused\n"),
        "{output}"
    );
    assert_eq!(status, Some(7));
    assert!(
        fs::read(lab.path("disk"))
            .expect("a disk")
            .starts_with(b"changed\n")
    );
    assert!(
        fs::read(lab.path("fixed"))
            .expect("a disk")
            .starts_with(b"xxxxx")
    );
}

#[test]
fn a_port_of_the_host_leads_into_the_guest() {
    let Some(lab) = Lab::without_kernel() else {
        return;
    };
    let script = "ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0\n\
                  mkdir /www; echo from within > /www/index.html; httpd -f -p 80 -h /www";
    let Some(guest) = guest(&lab, script) else {
        return;
    };
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let forward = Forward {
        protocol: Protocol::Tcp,
        address: Ipv4Addr::LOCALHOST.into(),
        host: port,
        guest: 80,
    };
    let mut started = lab.start(&Guest {
        forwards: vec![forward],
        ..guest
    });
    let mut answer = String::new();
    eventually("it answers", || {
        assert!(started.lives(), "it ended");
        answer = page(port).unwrap_or_default();
        answer.contains("from within")
    });
    started.signal_tree("KILL");
}

fn page(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
