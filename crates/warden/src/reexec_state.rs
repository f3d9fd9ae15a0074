//! The warden's memory as bytes, for its successor in the same process.
//!
//! Must never change without a new version: the two programs are different releases.

use crate::frames::{decode_exit, encode_exit};
use crate::protocol::Exit;
use crate::tree::TreeId;
use crate::tree_ending::{Answer, Means};
use mezz_launch_plan::wire::{DecodeError, Reader, Writer};
use mezz_launch_plan::{KillMethod, LaunchId, Leftovers, Survival};
use std::os::fd::RawFd;
use std::path::PathBuf;

/// The version of this form.
const STATE_VERSION: u32 = 1;

/// What goes over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SavedState {
    pub(crate) socket: PathBuf,
    pub(crate) work_dir: Option<PathBuf>,
    pub(crate) generation: u64,
    pub(crate) listener: RawFd,
    pub(crate) lock: RawFd,
    pub(crate) signals: RawFd,
    pub(crate) open_files: (u64, u64),
    pub(crate) controller: Option<SavedPeer>,
    pub(crate) launches: Vec<SavedLaunch>,
    pub(crate) endings: Vec<SavedEnding>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SavedPeer {
    pub(crate) socket: RawFd,
    pub(crate) incoming: Vec<u8>,
    /// Bytes not sent, with the descriptors that go with the first.
    pub(crate) outgoing: Vec<(Vec<u8>, Vec<RawFd>)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SavedLaunch {
    pub(crate) id: LaunchId,
    pub(crate) tree: TreeId,
    pub(crate) survival: Survival,
    pub(crate) leftovers: Leftovers,
    pub(crate) exit: Option<Exit>,
    pub(crate) pidfd: Option<RawFd>,
    pub(crate) stdin: Option<RawFd>,
    pub(crate) outputs: Vec<RawFd>,
    pub(crate) init_status: Option<RawFd>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SavedEnding {
    pub(crate) id: LaunchId,
    pub(crate) tree: TreeId,
    pub(crate) means: Means,
    pub(crate) answer: Answer,
}

pub(crate) fn encode(state: &SavedState) -> Vec<u8> {
    let mut buffer = Vec::new();
    let mut w = Writer::new(&mut buffer);
    w.u32(STATE_VERSION);
    path(&mut w, &state.socket);
    w.u8(u8::from(state.work_dir.is_some()));
    path(
        &mut w,
        state
            .work_dir
            .as_deref()
            .unwrap_or(std::path::Path::new("")),
    );
    w.u64(state.generation);
    for fd in [state.listener, state.lock, state.signals] {
        w.i32(fd);
    }
    w.u64(state.open_files.0);
    w.u64(state.open_files.1);
    w.u8(u8::from(state.controller.is_some()));
    if let Some(peer) = &state.controller {
        w.i32(peer.socket);
        w.bytes(&peer.incoming);
        w.count(peer.outgoing.len());
        for (bytes, fds) in &peer.outgoing {
            w.bytes(bytes);
            descriptors(&mut w, fds);
        }
    }
    w.count(state.launches.len());
    for launch in &state.launches {
        encode_launch(launch, &mut w);
    }
    w.count(state.endings.len());
    for ending in &state.endings {
        w.u64(ending.id.0);
        encode_tree(&ending.tree, &mut w);
        w.u8(u8::from(ending.means == Means::Wait));
        w.u8(u8::from(ending.answer == Answer::TreeGone));
    }
    buffer
}

pub(crate) fn decode(bytes: &[u8]) -> Result<SavedState, DecodeError> {
    let mut r = Reader::new(bytes);
    let version = r.u32("state.version")?;
    if version != STATE_VERSION {
        return Err(DecodeError::UnknownValue {
            field: "state.version",
            value: version.into(),
        });
    }
    let socket = decode_path(&mut r)?;
    let durable = r.u8("state.durable")? != 0;
    let work_dir = decode_path(&mut r)?;
    let state = SavedState {
        socket,
        work_dir: durable.then_some(work_dir),
        generation: r.u64("state.generation")?,
        listener: r.i32("state.listener")?,
        lock: r.i32("state.lock")?,
        signals: r.i32("state.signals")?,
        open_files: (r.u64("state.open_files")?, r.u64("state.open_files")?),
        controller: decode_peer(&mut r)?,
        launches: list(&mut r, "state.launches", decode_launch)?,
        endings: list(&mut r, "state.endings", |r| {
            Ok(SavedEnding {
                id: LaunchId(r.u64("ending.id")?),
                tree: decode_tree(r)?,
                means: if r.u8("ending.means")? == 0 {
                    Means::Kill
                } else {
                    Means::Wait
                },
                answer: if r.u8("ending.answer")? == 0 {
                    Answer::None
                } else {
                    Answer::TreeGone
                },
            })
        })?,
    };
    r.finish()?;
    Ok(state)
}

fn list<T>(
    r: &mut Reader<'_>,
    field: &'static str,
    item: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = r.count(field)?;
    (0..count).map(|_| item(r)).collect()
}

fn path(w: &mut Writer<'_>, path: &std::path::Path) {
    w.bytes(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()));
}

fn decode_path(r: &mut Reader<'_>) -> Result<PathBuf, DecodeError> {
    let bytes = r.bytes("state.path")?;
    Ok(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes).into())
}

fn descriptors(w: &mut Writer<'_>, fds: &[RawFd]) {
    w.count(fds.len());
    for fd in fds {
        w.i32(*fd);
    }
}

fn decode_descriptors(r: &mut Reader<'_>) -> Result<Vec<RawFd>, DecodeError> {
    list(r, "state.descriptors", |r| r.i32("state.descriptor"))
}

/// A descriptor that may be missing, as -1.
fn optional(fd: Option<RawFd>) -> RawFd {
    fd.unwrap_or(-1)
}

fn decode_optional(r: &mut Reader<'_>) -> Result<Option<RawFd>, DecodeError> {
    Ok(Some(r.i32("state.descriptor")?).filter(|fd| *fd >= 0))
}

fn decode_peer(r: &mut Reader<'_>) -> Result<Option<SavedPeer>, DecodeError> {
    if r.u8("state.controller")? == 0 {
        return Ok(None);
    }
    Ok(Some(SavedPeer {
        socket: r.i32("controller.socket")?,
        incoming: r.bytes("controller.incoming")?.to_vec(),
        outgoing: list(r, "controller.outgoing", |r| {
            Ok((
                r.bytes("controller.outgoing")?.to_vec(),
                decode_descriptors(r)?,
            ))
        })?,
    }))
}

pub(crate) fn encode_tree(tree: &TreeId, w: &mut Writer<'_>) {
    tree.kill.encode(w);
    w.u32(tree.pid);
    w.u64(tree.start_ticks);
    w.bytes(tree.marker.as_bytes());
}

pub(crate) fn decode_tree(r: &mut Reader<'_>) -> Result<TreeId, DecodeError> {
    Ok(TreeId {
        kill: KillMethod::decode(r)?,
        pid: r.u32("tree.pid")?,
        start_ticks: r.u64("tree.start_ticks")?,
        marker: r.c_string("tree.marker")?,
    })
}

fn encode_launch(launch: &SavedLaunch, w: &mut Writer<'_>) {
    w.u64(launch.id.0);
    encode_tree(&launch.tree, w);
    w.u8(launch.survival.number());
    w.u8(launch.leftovers.number());
    w.u8(u8::from(launch.exit.is_some()));
    if let Some(exit) = &launch.exit {
        encode_exit(exit, w);
    }
    w.i32(optional(launch.pidfd));
    w.i32(optional(launch.stdin));
    descriptors(w, &launch.outputs);
    w.i32(optional(launch.init_status));
}

fn decode_launch(r: &mut Reader<'_>) -> Result<SavedLaunch, DecodeError> {
    Ok(SavedLaunch {
        id: LaunchId(r.u64("launch.id")?),
        tree: decode_tree(r)?,
        survival: Survival::from_number(r.u8("launch.survival")?)?,
        leftovers: Leftovers::from_number(r.u8("launch.leftovers")?)?,
        exit: if r.u8("launch.exited")? == 0 {
            None
        } else {
            Some(decode_exit(r)?)
        },
        pidfd: decode_optional(r)?,
        stdin: decode_optional(r)?,
        outputs: decode_descriptors(r)?,
        init_status: decode_optional(r)?,
    })
}
