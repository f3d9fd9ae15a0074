//! Command lines of monitors, what labels say, and what ends mean.

use mezz_vm::{
    Acceleration, Control, Disk, DiskAccess, Ended, Forward, Guest, GuestError, Invocation,
    LabelError, Machine, Monitor, NOT_STARTED, PANICKED, Places, Protocol, Seen, Told, Wishes,
    exit_code, guest_memory_mib, invocation, processors, read_qmp,
};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

fn guest(monitor: Monitor) -> Guest {
    Guest {
        monitor,
        machine: Machine::Q35,
        acceleration: Acceleration::Kvm,
        kernel: Some(PathBuf::from("/box/vmlinux")),
        initrd: Some(PathBuf::from("/box/initrd")),
        command_line: "console=ttyS0 quiet".to_owned(),
        disks: vec![Disk {
            path: PathBuf::from("/box/disk"),
            access: DiskAccess::ReadOnly,
        }],
        processors: 2,
        memory_mib: 192,
        forwards: Vec::new(),
        shared: None,
        environment: Vec::new(),
        user: None,
    }
}

fn made(guest: &Guest) -> Result<Invocation, GuestError> {
    let places = Places {
        folder: Path::new("/made"),
    };
    invocation(guest, Path::new("/usr/bin/monitor"), places)
}

/// The value after each such option.
fn values<'a>(invocation: &'a Invocation, option: &str) -> Vec<&'a str> {
    let pairs = invocation.arguments.windows(2);
    let found = pairs.filter(|pair| pair[0] == option);
    found.map(|pair| pair[1].as_str()).collect()
}

#[test]
fn qemu_has_what_was_asked_for_and_no_defaults() {
    let mut guest = guest(Monitor::Qemu);
    guest.forwards = vec![
        Forward {
            protocol: Protocol::Tcp,
            address: Ipv4Addr::LOCALHOST.into(),
            host: 31000,
            guest: 80,
        },
        Forward {
            protocol: Protocol::Udp,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            host: 31001,
            guest: 53,
        },
    ];
    guest.shared = Some(PathBuf::from("/box"));
    guest.environment = vec!["A=1".to_owned()];
    let made = made(&guest).expect("it can be had");
    assert_eq!(made.control, Control::Qmp);
    assert!(made.arguments.contains(&"-nodefaults".to_owned()));
    assert!(made.arguments.contains(&"-no-reboot".to_owned()));
    assert_eq!(values(&made, "-machine"), ["q35,vmport=off"]);
    assert_eq!(values(&made, "-accel"), ["kvm"]);
    assert_eq!(values(&made, "-smp"), ["2"]);
    assert_eq!(values(&made, "-m"), ["192M"]);
    assert_eq!(values(&made, "-kernel"), ["/box/vmlinux"]);
    assert_eq!(values(&made, "-append"), ["console=ttyS0 quiet"]);
    assert_eq!(
        values(&made, "-netdev"),
        ["user,id=net0,hostfwd=tcp:127.0.0.1:31000-:80,hostfwd=udp::31001-:53"]
    );
    let drive = values(&made, "-drive")[0];
    assert!(drive.contains("file=/box/disk,format=raw") && drive.ends_with("read-only=on"));
    assert!(values(&made, "-fsdev")[0].contains("security_model=mapped-xattr"));
    assert_eq!(
        values(&made, "-fw_cfg"),
        ["name=opt/mezz/environment,file=/made/environment"]
    );
    assert_eq!(made.files[0].text, "A=1\n");
    assert!(values(&made, "-sandbox")[0].contains("elevateprivileges=deny"));
}

#[test]
fn qemu_becomes_the_tasks_user_and_does_without_the_processor_where_it_must() {
    let guest = Guest {
        machine: Machine::Micro,
        acceleration: Acceleration::Emulated,
        user: Some((1000, 100)),
        ..guest(Monitor::Qemu)
    };
    let made = made(&guest).expect("it can be had");
    assert_eq!(values(&made, "-accel"), ["tcg"]);
    assert!(values(&made, "-machine")[0].starts_with("microvm"));
    assert!(values(&made, "-device").contains(&"virtio-net-device,netdev=net0"));
    assert_eq!(values(&made, "-runas"), ["1000:100"]);
    assert!(!values(&made, "-sandbox")[0].contains("elevateprivileges"));
}

#[test]
fn firecracker_reads_its_configuration() {
    let made = made(&guest(Monitor::Firecracker)).expect("it can be had");
    assert_eq!(
        made.arguments,
        ["--no-api", "--config-file", "/made/firecracker.json"]
    );
    assert_eq!(made.control, Control::Signal(15));
    let config: Value = serde_json::from_str(&made.files[0].text).expect("JSON");
    assert_eq!(
        config,
        json!({
            "boot-source": {"kernel_image_path": "/box/vmlinux", "initrd_path": "/box/initrd",
                            "boot_args": "console=ttyS0 quiet"},
            "drives": [{"drive_id": "disk0", "path_on_host": "/box/disk", "is_root_device": false,
                        "is_read_only": true}],
            "machine-config": {"vcpu_count": 2, "mem_size_mib": 192}
        })
    );
}

#[test]
fn cloud_hypervisor_has_its_console_on_the_serial_line() {
    let made = made(&guest(Monitor::CloudHypervisor)).expect("it can be had");
    assert_eq!(values(&made, "--kernel"), ["/box/vmlinux"]);
    assert_eq!(values(&made, "--initramfs"), ["/box/initrd"]);
    assert_eq!(values(&made, "--cmdline"), ["console=ttyS0 quiet"]);
    assert_eq!(values(&made, "--cpus"), ["boot=2"]);
    assert_eq!(values(&made, "--memory"), ["size=192M"]);
    assert_eq!(values(&made, "--serial"), ["tty"]);
    assert_eq!(values(&made, "--disk"), ["path=/box/disk,readonly=on"]);
}

#[test]
fn what_a_monitor_cannot_do_is_refused() {
    let nothing = Guest {
        kernel: None,
        disks: Vec::new(),
        ..guest(Monitor::Qemu)
    };
    assert_eq!(made(&nothing), Err(GuestError::NothingToBoot));
    let slow = Guest {
        acceleration: Acceleration::Emulated,
        ..guest(Monitor::Firecracker)
    };
    let error = made(&slow).expect_err("it cannot emulate").to_string();
    assert!(error.starts_with("firecracker needs /dev/kvm"), "{error}");
    let shared = Guest {
        shared: Some(PathBuf::from("/box")),
        ..guest(Monitor::CloudHypervisor)
    };
    let error = made(&shared).expect_err("it has no such thing").to_string();
    assert_eq!(
        error,
        "cloud-hypervisor cannot share the sandbox; use the monitor qemu"
    );
    let odd = Guest {
        initrd: Some(PathBuf::from("/box/a,b")),
        ..guest(Monitor::Qemu)
    };
    let error = made(&odd).expect_err("it would be two").to_string();
    assert!(error.contains("holds a comma"), "{error}");
}

#[test]
fn resources_become_memory_and_processors() {
    assert_eq!(guest_memory_mib(256), Ok(192));
    let error = guest_memory_mib(32).expect_err("too little").to_string();
    assert!(error.contains("at least 80 MiB, 64 of them"), "{error}");
    assert_eq!([1, 1000, 1001, 2500].map(processors), [1, 1, 2, 3]);
    assert_eq!(processors(0), 1);
}

#[test]
fn labels_say_what_the_command_cannot() {
    let wishes = Wishes::read([
        ("owner", "me"),
        ("mezzanine.vm.machine", "microvm"),
        ("mezzanine.vm.initrd", "boot/initrd"),
        ("mezzanine.vm.disks", "root.img:ro, data.img"),
        ("mezzanine.vm.share", "sandbox"),
    ]);
    assert_eq!(
        wishes.expect("they are right"),
        Wishes {
            monitor: Monitor::Qemu,
            machine: Machine::Micro,
            initrd: Some(PathBuf::from("boot/initrd")),
            disks: vec![
                (PathBuf::from("root.img"), DiskAccess::ReadOnly),
                (PathBuf::from("data.img"), DiskAccess::ReadWrite),
            ],
            shares_sandbox: true,
        }
    );
    let wrong = |name, value| Wishes::read([(name, value)]).expect_err(value).to_string();
    assert!(wrong("mezzanine.vm.kernel", "x").contains("there is no label mezzanine.vm.kernel"));
    assert!(wrong("mezzanine.vm.monitor", "xen").contains("\"xen\" is none of qemu"));
    for path in ["/etc/shadow", "../x", "", "a/./../b"] {
        let error = Wishes::read([("mezzanine.vm.initrd", path)]);
        assert!(matches!(error, Err(LabelError::Path { .. })), "{path:?}");
    }
}

#[test]
fn ends_of_monitors_are_ends_of_tasks() {
    let made = Seen {
        started: true,
        panicked: false,
    };
    let qemu = |seen, ended| exit_code(&Control::Qmp, seen, ended);
    assert_eq!(qemu(made, Ended::Exited(0)), 0);
    assert_eq!(qemu(made, Ended::Exited(15)), 7, "written to the exit port");
    assert_eq!(qemu(made, Ended::Signalled(9)), 137);
    assert_eq!(qemu(Seen::default(), Ended::Exited(1)), NOT_STARTED);
    let panicked = Seen {
        panicked: true,
        ..made
    };
    assert_eq!(qemu(panicked, Ended::Exited(0)), PANICKED);
    let other = exit_code(&Control::Signal(15), Seen::default(), Ended::Exited(1));
    assert_eq!(other, 1);
}

#[test]
fn what_qemu_tells_is_understood() {
    assert_eq!(
        read_qmp(r#"{"QMP": {"version": {}, "capabilities": []}}"#),
        Told::Greeting
    );
    assert_eq!(read_qmp(r#"{"return": {}}"#), Told::Done);
    let event = r#"{"event": "GUEST_PANICKED", "data": {"action": "poweroff"}}"#;
    assert_eq!(read_qmp(event), Told::Panicked);
    let refused = r#"{"error": {"class": "GenericError", "desc": "no"}}"#;
    assert_eq!(read_qmp(refused), Told::Refused("no".to_owned()));
    assert_eq!(read_qmp("not JSON"), Told::Nothing);
}
