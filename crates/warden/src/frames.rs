//! Requests and replies as bytes: frames of a length, a tag and the fields.
//!
//! Must never change the meaning of a tag: a new meaning gets a new tag.

use crate::protocol::{
    Exit, ExitStatus, LaunchPhase, LaunchState, LaunchStep, MAX_FRAME_BYTES, Reply, Request,
    RequestKind, ShutdownLaunches, SignalScope, Usage,
};
use mezz_launch_plan::wire::{DecodeError, Reader, Writer};
use mezz_launch_plan::{KillMethod, LaunchId, decode_plan, encode_plan};

/// Appends a frame around what `body` writes.
fn frame(buffer: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    body(buffer);
    let length = u32::try_from(buffer.len() - start - 4).expect("a frame is far below 4 GiB");
    buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// The body of the first whole frame and how many bytes it takes, if it is there.
pub(crate) fn next_frame(buffer: &[u8]) -> Result<Option<(&[u8], usize)>, DecodeError> {
    let Some((head, rest)) = buffer.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*head) as usize;
    if length > MAX_FRAME_BYTES {
        return Err(DecodeError::UnknownValue {
            field: "frame.length",
            value: length as u64,
        });
    }
    Ok(rest.get(..length).map(|body| (body, length + 4)))
}

/// Appends one request as a frame.
pub fn encode_request(request: &Request, buffer: &mut Vec<u8>) {
    frame(buffer, |buffer| {
        if let Request::Launch(plan) = request {
            Writer::new(buffer).u8(2);
            encode_plan(plan, buffer);
            return;
        }
        let mut w = Writer::new(buffer);
        match request {
            Request::Launch(_) => {}
            Request::Hello {
                version,
                generation,
            } => {
                w.u8(1);
                w.u32(*version);
                w.u64(*generation);
            }
            Request::Signal {
                launch_id,
                signal,
                scope,
            } => {
                w.u8(3);
                w.u64(launch_id.0);
                w.i32(*signal);
                w.u8(u8::from(*scope == SignalScope::Tree));
            }
            Request::KillTree { launch_id } => {
                w.u8(4);
                w.u64(launch_id.0);
            }
            Request::Acknowledge { launch_id } => {
                w.u8(5);
                w.u64(launch_id.0);
            }
            Request::List => w.u8(6),
            Request::Usage { launch_id } => {
                w.u8(7);
                w.u64(launch_id.0);
            }
            Request::Reexec { path } => {
                w.u8(8);
                w.bytes(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()));
            }
            Request::Shutdown { launches } => {
                w.u8(9);
                w.u8(u8::from(*launches == ShutdownLaunches::Leave));
            }
            Request::CloseInput { launch_id } => {
                w.u8(11);
                w.u64(launch_id.0);
            }
            Request::Reattach { launch_id } => {
                w.u8(12);
                w.u64(launch_id.0);
            }
            Request::KillStray {
                launch_id,
                kill,
                marker,
            } => {
                w.u8(10);
                w.u64(launch_id.0);
                kill.encode(&mut w);
                w.bytes(marker.as_bytes());
            }
        }
    });
}

/// Reads the body of one request frame.
pub fn decode_request(body: &[u8]) -> Result<Request, DecodeError> {
    let mut r = Reader::new(body);
    let id = |r: &mut Reader<'_>| r.u64("request.launch_id").map(LaunchId);
    let request = match r.u8("request")? {
        1 => Request::Hello {
            version: r.u32("hello.version")?,
            generation: r.u64("hello.generation")?,
        },
        2 => return Ok(Request::Launch(Box::new(decode_plan(r.rest())?))),
        3 => Request::Signal {
            launch_id: id(&mut r)?,
            signal: r.i32("signal.signal")?,
            scope: if r.u8("signal.scope")? == 0 {
                SignalScope::Process
            } else {
                SignalScope::Tree
            },
        },
        4 => Request::KillTree {
            launch_id: id(&mut r)?,
        },
        5 => Request::Acknowledge {
            launch_id: id(&mut r)?,
        },
        6 => Request::List,
        7 => Request::Usage {
            launch_id: id(&mut r)?,
        },
        8 => {
            let bytes = r.bytes("reexec.path")?;
            Request::Reexec {
                path: <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes).into(),
            }
        }
        9 => Request::Shutdown {
            launches: if r.u8("shutdown.launches")? == 0 {
                ShutdownLaunches::Kill
            } else {
                ShutdownLaunches::Leave
            },
        },
        10 => Request::KillStray {
            launch_id: id(&mut r)?,
            kill: KillMethod::decode(&mut r)?,
            marker: r.c_string("kill_stray.marker")?,
        },
        11 => Request::CloseInput {
            launch_id: id(&mut r)?,
        },
        12 => Request::Reattach {
            launch_id: id(&mut r)?,
        },
        value => {
            return Err(DecodeError::UnknownValue {
                field: "request",
                value: value.into(),
            });
        }
    };
    r.finish()?;
    Ok(request)
}

/// Appends one reply as a frame.
pub fn encode_reply(reply: &Reply, buffer: &mut Vec<u8>) {
    frame(buffer, |buffer| {
        let mut w = Writer::new(buffer);
        match reply {
            Reply::Welcome {
                version,
                plan_version,
                warden_pid,
                launches,
            } => {
                w.u8(1);
                w.u32(*version);
                w.u8(*plan_version);
                w.u32(*warden_pid);
                w.u32(*launches);
            }
            Reply::Superseded { generation } => {
                w.u8(2);
                w.u64(*generation);
            }
            Reply::Started {
                launch_id,
                pid,
                start_ticks,
                descriptors,
            } => {
                w.u8(3);
                w.u64(launch_id.0);
                w.u32(*pid);
                w.u64(*start_ticks);
                w.u8(*descriptors);
            }
            Reply::LaunchFailed {
                launch_id,
                step,
                errno,
                message,
            } => {
                w.u8(4);
                w.u64(launch_id.0);
                w.u8(step.number());
                w.i32(*errno);
                w.bytes(message.as_bytes());
            }
            Reply::Exited(exit) => {
                w.u8(5);
                encode_exit(exit, &mut w);
            }
            Reply::TreeGone { launch_id } => {
                w.u8(6);
                w.u64(launch_id.0);
            }
            Reply::Listing { launches } => {
                w.u8(7);
                w.count(launches.len());
                for state in launches {
                    encode_state(state, &mut w);
                }
            }
            Reply::Usage { launch_id, usage } => {
                w.u8(8);
                w.u64(launch_id.0);
                w.u64(usage.user_us);
                w.u64(usage.system_us);
                w.u64(usage.rss_bytes);
                w.u32(usage.processes);
            }
            Reply::Refused {
                launch_id,
                request,
                errno,
                message,
            } => {
                w.u8(9);
                w.u64(launch_id.0);
                w.u8(request.number());
                w.i32(*errno);
                w.bytes(message.as_bytes());
            }
            Reply::ReexecFailed { message } => {
                w.u8(10);
                w.bytes(message.as_bytes());
            }
        }
    });
}

/// Reads the body of one reply frame.
pub fn decode_reply(body: &[u8]) -> Result<Reply, DecodeError> {
    let mut r = Reader::new(body);
    let id = |r: &mut Reader<'_>| r.u64("reply.launch_id").map(LaunchId);
    let reply = match r.u8("reply")? {
        1 => Reply::Welcome {
            version: r.u32("welcome.version")?,
            plan_version: r.u8("welcome.plan_version")?,
            warden_pid: r.u32("welcome.warden_pid")?,
            launches: r.u32("welcome.launches")?,
        },
        2 => Reply::Superseded {
            generation: r.u64("superseded.generation")?,
        },
        3 => Reply::Started {
            launch_id: id(&mut r)?,
            pid: r.u32("started.pid")?,
            start_ticks: r.u64("started.start_ticks")?,
            descriptors: r.u8("started.descriptors")?,
        },
        4 => Reply::LaunchFailed {
            launch_id: id(&mut r)?,
            step: LaunchStep::from_number(r.u8("launch_failed.step")?)?,
            errno: r.i32("launch_failed.errno")?,
            message: r.text("launch_failed.message")?,
        },
        5 => Reply::Exited(decode_exit(&mut r)?),
        6 => Reply::TreeGone {
            launch_id: id(&mut r)?,
        },
        7 => {
            let count = r.count("listing.launches")?;
            Reply::Listing {
                launches: (0..count)
                    .map(|_| decode_state(&mut r))
                    .collect::<Result<_, _>>()?,
            }
        }
        8 => Reply::Usage {
            launch_id: id(&mut r)?,
            usage: Usage {
                user_us: r.u64("usage.user_us")?,
                system_us: r.u64("usage.system_us")?,
                rss_bytes: r.u64("usage.rss_bytes")?,
                processes: r.u32("usage.processes")?,
            },
        },
        9 => Reply::Refused {
            launch_id: id(&mut r)?,
            request: RequestKind::from_number(r.u8("refused.request")?)?,
            errno: r.i32("refused.errno")?,
            message: r.text("refused.message")?,
        },
        10 => Reply::ReexecFailed {
            message: r.text("reexec_failed.message")?,
        },
        value => {
            return Err(DecodeError::UnknownValue {
                field: "reply",
                value: value.into(),
            });
        }
    };
    r.finish()?;
    Ok(reply)
}

/// The bytes that an encoded exit takes.
pub(crate) const EXIT_BYTES: usize = 8 + 4 + 4 + 8 * 4;

pub(crate) fn encode_exit(exit: &Exit, w: &mut Writer<'_>) {
    w.u64(exit.launch_id.0);
    w.u32(exit.pid);
    w.i32(exit.status.raw());
    w.u64(exit.user_us);
    w.u64(exit.system_us);
    w.u64(exit.max_rss_kib);
    w.u64(exit.at_us);
}

pub(crate) fn decode_exit(r: &mut Reader<'_>) -> Result<Exit, DecodeError> {
    Ok(Exit {
        launch_id: LaunchId(r.u64("exit.launch_id")?),
        pid: r.u32("exit.pid")?,
        status: ExitStatus::from_raw(r.i32("exit.status")?),
        user_us: r.u64("exit.user_us")?,
        system_us: r.u64("exit.system_us")?,
        max_rss_kib: r.u64("exit.max_rss_kib")?,
        at_us: r.u64("exit.at_us")?,
    })
}

fn encode_state(state: &LaunchState, w: &mut Writer<'_>) {
    w.u64(state.launch_id.0);
    w.u32(state.pid);
    w.u64(state.start_ticks);
    match &state.phase {
        LaunchPhase::Launching => w.u8(0),
        LaunchPhase::Running => w.u8(1),
        LaunchPhase::Exited(exit) => {
            w.u8(2);
            encode_exit(exit, w);
        }
    }
}

fn decode_state(r: &mut Reader<'_>) -> Result<LaunchState, DecodeError> {
    Ok(LaunchState {
        launch_id: LaunchId(r.u64("listing.launch_id")?),
        pid: r.u32("listing.pid")?,
        start_ticks: r.u64("listing.start_ticks")?,
        phase: match r.u8("listing.phase")? {
            0 => LaunchPhase::Launching,
            1 => LaunchPhase::Running,
            2 => LaunchPhase::Exited(decode_exit(r)?),
            value => {
                return Err(DecodeError::UnknownValue {
                    field: "listing.phase",
                    value: value.into(),
                });
            }
        },
    })
}
