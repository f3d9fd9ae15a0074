//! Reaching what the host shares by name: objects of System V, queues, sockets, network devices.

use crate::{Attempt, Outcome, call, given};
use std::ffi::CString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("attach-shared-memory", || by_key(libc::SYS_shmget, true)),
    ("find-a-semaphore", || by_key(libc::SYS_semget, true)),
    ("find-a-message-queue", || by_key(libc::SYS_msgget, false)),
    ("open-a-message-queue", open_queue),
    ("open-shared-memory", || {
        std::fs::read(given("SHARED_FILE")?).map(drop)
    }),
    ("connect-to-a-nameless-socket", connect_abstract),
    ("connect-to-a-port-of-the-host", || {
        std::net::TcpStream::connect(given("ADDRESS")?).map(drop)
    }),
    ("see-the-devices-of-the-network", see_devices),
    ("see-the-connections-of-the-host", see_connections),
    ("open-a-raw-socket", || {
        socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)
    }),
    ("listen-to-all-packets", || {
        socket(libc::AF_PACKET, libc::SOCK_RAW, 0)
    }),
    ("talk-to-the-hypervisor", || {
        socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)
    }),
    ("use-a-low-port", || {
        std::net::TcpListener::bind(("127.0.0.1", 79)).map(drop)
    }),
    ("take-the-loopback-down", take_down),
    ("rename-the-host", || rename(libc::SYS_sethostname)),
    ("rename-the-domain", || rename(libc::SYS_setdomainname)),
];

fn by_key(number: libc::c_long, sized: bool) -> Outcome {
    let key: usize = given("KEY")?.parse().map_err(io::Error::other)?;
    // SAFETY: numbers only; nothing is made.
    unsafe { call(number, [key, usize::from(sized), 0, 0, 0]) }.map(drop)
}

fn open_queue() -> Outcome {
    let name = CString::new(given("QUEUE")?).map_err(io::Error::other)?;
    // SAFETY: the name is terminated; nothing is made.
    let queue = unsafe { libc::mq_open(name.as_ptr(), libc::O_RDONLY) };
    if queue < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn connect_abstract() -> Outcome {
    let address = SocketAddr::from_abstract_name(given("NAMELESS")?)?;
    UnixStream::connect_addr(&address).map(drop)
}

fn see_devices() -> Outcome {
    let text = std::fs::read_to_string("/proc/net/dev")?;
    let others = text
        .lines()
        .skip(2)
        .filter(|line| !line.trim_start().starts_with("lo:"));
    if others.count() > 0 {
        Ok(())
    } else {
        Err(io::Error::other("there is the loopback alone"))
    }
}

fn see_connections() -> Outcome {
    let address: std::net::SocketAddr = given("ADDRESS")?.parse().map_err(io::Error::other)?;
    let text = std::fs::read_to_string("/proc/net/tcp")?;
    if text.contains(&format!(":{:04X} ", address.port())) {
        Ok(())
    } else {
        Err(io::Error::other("the listener is not seen"))
    }
}

fn socket(family: i32, kind: i32, protocol: i32) -> Outcome {
    // SAFETY: numbers only.
    let socket = unsafe { libc::socket(family, kind, protocol) };
    if socket < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Sets the flags of the loopback device to what they are.
fn take_down() -> Outcome {
    // SAFETY: an all-zero request is a valid one.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    // SAFETY: numbers only.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) };
    for order in [libc::SIOCGIFFLAGS, libc::SIOCSIFFLAGS] {
        // SAFETY: the request is one of a device, with its name.
        if unsafe { libc::ioctl(socket, order, &raw mut request) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Gives the name that is there already.
fn rename(number: libc::c_long) -> Outcome {
    let file = if number == libc::SYS_sethostname {
        "hostname"
    } else {
        "domainname"
    };
    let name = std::fs::read_to_string(format!("/proc/sys/kernel/{file}"))?;
    let name = name.trim_end();
    // SAFETY: the text is as long as is said.
    unsafe {
        call(
            number,
            [name.as_ptr().expose_provenance(), name.len(), 0, 0, 0],
        )
    }
    .map(drop)
}
