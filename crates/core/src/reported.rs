//! A task as it enters the records: the header that filters and lists need, and its wire form, which is not decoded
//! further. An agent that comes back brings its tasks encoded, and that encoding is what the record keeps.

use std::sync::Arc;

use bytes::Bytes;
use mezz_proto::v1;
use mezz_resource::Resources;
use prost::DecodeError;
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use rustc_hash::FxHashMap;

use crate::time::Wall;
use crate::wire::is_terminal;

/// Sets of resources that are remembered; beyond it all are forgotten and learnt again.
const REMEMBERED: usize = 4096;

/// A task to be put into the records.
#[derive(Clone, Debug)]
pub(crate) struct NewTask {
    pub(crate) id: Box<str>,
    /// Set for tasks of custom executors only.
    pub(crate) executor_id: Option<Box<str>>,
    pub(crate) state: v1::TaskState,
    pub(crate) update_state: Option<v1::TaskState>,
    pub(crate) update_uuid: Option<[u8; 16]>,
    /// When it first had any status, was first running, and first at its end: by the agent's clock.
    pub(crate) first_at: Option<Wall>,
    pub(crate) started_at: Option<Wall>,
    pub(crate) finished_at: Option<Wall>,
    pub(crate) wire: Bytes,
}

impl NewTask {
    /// A task that the master has made itself.
    pub(crate) fn of(task: &v1::Task) -> Self {
        let wire = Bytes::from(task.encode_to_vec());
        let reported = Reported::read(wire).expect("it was encoded just now");
        reported.task
    }
}

/// A task as an agent reports it.
#[derive(Clone, Debug)]
pub(crate) struct Reported {
    pub(crate) framework_id: Box<str>,
    pub(crate) task: NewTask,
    /// Where the resources lie in the wire form.
    resources: Vec<std::ops::Range<usize>>,
}

impl Reported {
    /// Reads the header of an encoded `mesos.v1.Task`.
    pub(crate) fn read(wire: Bytes) -> Result<Self, DecodeError> {
        let mut head = Head::default();
        let mut rest: &[u8] = &wire;
        while !rest.is_empty() {
            let (number, kind) = decode_key(&mut rest)?;
            match kind {
                WireType::Varint => head.on_number(number, decode_varint(&mut rest)?),
                WireType::LengthDelimited => {
                    let field = take_slice(&mut rest)?;
                    let end = wire.len() - rest.len();
                    head.on_slice(number, field, end)?;
                }
                kind => prost::encoding::skip_field(
                    kind,
                    number,
                    &mut rest,
                    prost::encoding::DecodeContext::default(),
                )?,
            }
        }
        let state =
            |number: Option<i32>| number.and_then(|number| v1::TaskState::try_from(number).ok());
        let task = NewTask {
            id: head.id.into(),
            executor_id: head.executor_id.map(Into::into),
            state: state(head.state).unwrap_or(v1::TaskState::TaskStaging),
            update_state: state(head.update_state),
            update_uuid: head.update_uuid.and_then(|uuid| uuid.try_into().ok()),
            first_at: head.first_at,
            started_at: head.started_at,
            finished_at: head.finished_at,
            wire: wire.clone(),
        };
        Ok(Self {
            framework_id: head.framework_id.into(),
            task,
            resources: head.resources,
        })
    }
}

/// What is read of a task, field by field.
#[derive(Default)]
struct Head<'a> {
    id: &'a str,
    framework_id: &'a str,
    executor_id: Option<&'a str>,
    state: Option<i32>,
    update_state: Option<i32>,
    update_uuid: Option<&'a [u8]>,
    first_at: Option<Wall>,
    started_at: Option<Wall>,
    finished_at: Option<Wall>,
    has_status: bool,
    has_run: bool,
    has_ended: bool,
    resources: Vec<std::ops::Range<usize>>,
}

impl<'a> Head<'a> {
    fn on_number(&mut self, field: u32, value: u64) {
        // What is no number of an enum counts as absent.
        let number = i32::try_from(value).ok();
        match field {
            6 => self.state = number,
            9 => self.update_state = number,
            _ => {}
        }
    }

    fn on_slice(&mut self, field: u32, slice: &'a [u8], end: usize) -> Result<(), DecodeError> {
        match field {
            2 => self.id = value_of(slice)?,
            3 => self.framework_id = value_of(slice)?,
            4 => self.executor_id = Some(value_of(slice)?),
            7 => self.resources.push(end - slice.len()..end),
            8 => self.on_status(slice)?,
            10 => self.update_uuid = Some(slice),
            _ => {}
        }
        Ok(())
    }

    fn on_status(&mut self, slice: &[u8]) -> Result<(), DecodeError> {
        let status = StatusHead::decode(slice)?;
        let state = v1::TaskState::try_from(status.state.unwrap_or_default())
            .unwrap_or(v1::TaskState::TaskStaging);
        let at = moment(status.timestamp);
        if !std::mem::replace(&mut self.has_status, true) {
            self.first_at = at;
        }
        if state == v1::TaskState::TaskRunning && !std::mem::replace(&mut self.has_run, true) {
            self.started_at = at;
        }
        if is_terminal(state) && !std::mem::replace(&mut self.has_ended, true) {
            self.finished_at = at;
        }
        Ok(())
    }
}

/// The fields of `mesos.v1.TaskStatus` that the header needs.
#[derive(Clone, PartialEq, Message)]
struct StatusHead {
    #[prost(int32, optional, tag = "2")]
    state: Option<i32>,
    #[prost(double, optional, tag = "6")]
    timestamp: Option<f64>,
}

fn take_slice<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let length = usize::try_from(decode_varint(rest)?).unwrap_or(usize::MAX);
    let Some((slice, after)) = rest.split_at_checked(length) else {
        return Err(malformed());
    };
    *rest = after;
    Ok(slice)
}

/// The `value` of an id message.
fn value_of(mut slice: &[u8]) -> Result<&str, DecodeError> {
    let mut value = "";
    while !slice.is_empty() {
        let (number, kind) = decode_key(&mut slice)?;
        if kind == WireType::LengthDelimited {
            let field = take_slice(&mut slice)?;
            if number == 1 {
                value = std::str::from_utf8(field).map_err(|_| malformed())?;
            }
        } else {
            prost::encoding::skip_field(
                kind,
                number,
                &mut slice,
                prost::encoding::DecodeContext::default(),
            )?;
        }
    }
    Ok(value)
}

/// The error of a field that ends before its length, or is no text.
fn malformed() -> DecodeError {
    // A buffer that ends inside a number gives the only error that can be made from outside.
    decode_varint(&mut &[0x80_u8][..]).expect_err("a number that does not end")
}

/// A time of a status, where it makes sense.
pub(crate) fn moment(timestamp: Option<f64>) -> Option<Wall> {
    let seconds = timestamp.filter(|seconds| (0.0..1e10).contains(seconds))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded just before"
    )]
    let nanoseconds = (seconds * 1e9) as u64;
    Some(Wall(nanoseconds))
}

/// What a task holds, and its role.
type Held = (Arc<Resources>, Arc<str>);

/// Sets of resources by their encoding: equal tasks share one, and it is parsed once.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownResources {
    known: FxHashMap<Box<[u8]>, Held>,
    scratch: Vec<u8>,
}

impl PartialEq for KnownResources {
    /// What is remembered saves work and changes no decision: two cores that differ in it are equal.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl KnownResources {
    /// What a reported task holds, under its role.
    pub(crate) fn of(&mut self, reported: &Reported) -> Held {
        self.scratch.clear();
        for range in &reported.resources {
            // With the length before each, since two sets may differ only in where one resource ends.
            self.scratch
                .extend_from_slice(&(range.len() as u64).to_le_bytes());
            self.scratch
                .extend_from_slice(&reported.task.wire[range.clone()]);
        }
        if let Some((resources, role)) = self.known.get(&self.scratch[..]) {
            return (Arc::clone(resources), Arc::clone(role));
        }
        let decoded: Vec<v1::Resource> = reported
            .resources
            .iter()
            .filter_map(|range| v1::Resource::decode(&reported.task.wire[range.clone()]).ok())
            .collect();
        let resources = Resources::from_proto(&decoded).unwrap_or_default();
        let role: Arc<str> = resources
            .allocation_role()
            .cloned()
            .unwrap_or_else(|| "*".into());
        let resources = Arc::new(resources.allocated_to(&role));
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let key = self.scratch.as_slice().into();
        self.known
            .insert(key, (Arc::clone(&resources), Arc::clone(&role)));
        (resources, role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> v1::Task {
        let status = |state: v1::TaskState, timestamp| v1::TaskStatus {
            state: state as i32,
            timestamp: Some(timestamp),
            ..v1::TaskStatus::default()
        };
        v1::Task {
            name: "n".into(),
            task_id: v1::TaskId { value: "t1".into() },
            framework_id: v1::FrameworkId { value: "f1".into() },
            state: v1::TaskState::TaskFinished as i32,
            statuses: vec![
                status(v1::TaskState::TaskStarting, 1.0),
                status(v1::TaskState::TaskRunning, 2.0),
                status(v1::TaskState::TaskRunning, 3.0),
                status(v1::TaskState::TaskFinished, 4.0),
            ],
            status_update_state: Some(v1::TaskState::TaskRunning as i32),
            status_update_uuid: Some(vec![9; 16].into()),
            ..v1::Task::default()
        }
    }

    #[test]
    fn the_header_of_an_encoded_task_is_what_the_task_says() {
        let reported = Reported::read(task().encode_to_vec().into()).unwrap();
        assert_eq!(&*reported.framework_id, "f1");
        let read = reported.task;
        assert_eq!(&*read.id, "t1");
        assert_eq!(read.executor_id, None);
        assert_eq!(read.state, v1::TaskState::TaskFinished);
        assert_eq!(read.update_state, Some(v1::TaskState::TaskRunning));
        assert_eq!(read.update_uuid, Some([9; 16]));
        assert_eq!(read.first_at, Some(Wall(1_000_000_000)));
        assert_eq!(read.started_at, Some(Wall(2_000_000_000)));
        assert_eq!(read.finished_at, Some(Wall(4_000_000_000)));
    }

    #[test]
    fn an_encoding_that_is_cut_off_is_refused() {
        let wire = task().encode_to_vec();
        let mut refused = 0;
        for length in 0..wire.len() {
            refused += usize::from(Reported::read(wire[..length].to_vec().into()).is_err());
        }
        assert!(refused > wire.len() / 2, "{refused} of {}", wire.len());
    }
}
