//! GET_STATE and GET_TASKS, whose answers grow with the cluster: tasks go over from their records without being decoded.

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use mezz_core::key::TaskKey;
use mezz_core::records::{AgentState, TaskList};
use mezz_http::negotiate::MediaType;
use mezz_proto::v1::master::response;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use super::reads;
use crate::json::Json;
use crate::pieces::Pieces;
use crate::task_wire::{KnownTexts, write_v1};
use crate::view::View;

/// Tasks whose encodings one part of a protobuf answer holds.
const PART: usize = 500;

/// Which answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Large {
    State,
    Tasks,
}

/// The tasks of a view by the list of the answer that they belong to.
#[derive(Default)]
struct Lists {
    live: Vec<TaskKey>,
    unreachable: Vec<TaskKey>,
    completed: Vec<TaskKey>,
}

impl Lists {
    fn new(view: &View) -> Self {
        let mut lists = Self::default();
        for (_, task) in view.records.tasks.iter() {
            match task.list {
                TaskList::Live => lists.live.push(task.key),
                TaskList::Unreachable => lists.unreachable.push(task.key),
                TaskList::Completed => lists.completed.push(task.key),
            }
        }
        lists
    }
}

/// The answer in pieces.
pub(super) fn pieces(view: &Arc<View>, what: Large, media: MediaType) -> Pieces {
    match media {
        MediaType::Protobuf => protobuf(view, what),
        MediaType::Json | MediaType::RecordIo => json(view, what),
    }
}

fn json(view: &Arc<View>, what: Large) -> Pieces {
    let lists = Lists::new(view);
    let mut pieces = Pieces::default();
    pieces.json(0, false, move |json| {
        json.open(b'{');
        match what {
            Large::State => {
                json.key("type").string("GET_STATE");
                json.key("get_state").open(b'{');
            }
            Large::Tasks => json.key("type").string("GET_TASKS"),
        }
        json.key("get_tasks").open(b'{');
        json.key("tasks").open(b'[');
    });
    let tasks = |pieces: &mut Pieces, keys: &[TaskKey]| {
        let view = Arc::clone(view);
        pieces.list(keys, move |json, keys| write_tasks(json, &view, keys));
    };
    tasks(&mut pieces, &lists.live);
    pieces.json(0, true, |json| {
        json.close(b']');
        json.key("unreachable_tasks").open(b'[');
    });
    tasks(&mut pieces, &lists.unreachable);
    pieces.json(0, true, |json| {
        json.close(b']');
        json.key("completed_tasks").open(b'[');
    });
    tasks(&mut pieces, &lists.completed);
    pieces.json(0, true, |json| {
        json.close(b']');
        json.close(b'}');
    });
    if what == Large::State {
        state_after_tasks(&mut pieces, view);
    }
    pieces.json(0, true, |json| json.close(b'}'));
    pieces
}

fn write_tasks(json: &mut Json, view: &View, keys: &[TaskKey]) {
    let mut known = KnownTexts::default();
    for key in keys {
        if let Some(task) = view.records.tasks.get(key.index()) {
            json.item(|out| write_v1(&task.wire, out, &mut known));
        }
    }
}

fn state_after_tasks(pieces: &mut Pieces, view: &Arc<View>) {
    let seen = Arc::clone(view);
    pieces.json(0, true, move |json| {
        json.key("get_executors").message(&reads::executors(&seen));
        json.key("get_frameworks")
            .message(&reads::frameworks(&seen));
        json.key("get_agents").open(b'{');
        json.key("agents").open(b'[');
    });
    let agents: Vec<_> = view
        .records
        .agents
        .iter()
        .map(|(_, agent)| agent)
        .filter(|agent| {
            matches!(
                agent.state,
                AgentState::Connected | AgentState::Disconnected
            )
        })
        .cloned()
        .collect();
    pieces.list(&agents, |json, agents| {
        for agent in agents {
            json.message(&reads::agent(agent));
        }
    });
    let seen = Arc::clone(view);
    pieces.json(0, true, move |json| {
        json.close(b']');
        json.key("recovered_agents").array(|json| {
            for (_, agent) in seen.records.agents.iter() {
                if agent.state == AgentState::Recovered {
                    json.message(&reads::agent_info(agent));
                }
            }
        });
        json.close(b'}');
        json.close(b'}');
    });
}

/// Field numbers of `GetTasks`.
const LIVE: u32 = 2;
const UNREACHABLE: u32 = 5;
const COMPLETED: u32 = 3;

fn protobuf(view: &Arc<View>, what: Large) -> Pieces {
    let lists = Lists::new(view);
    let fields = [
        (LIVE, lists.live),
        (UNREACHABLE, lists.unreachable),
        (COMPLETED, lists.completed),
    ];
    let tasks_length: usize = fields
        .iter()
        .flat_map(|(_, keys)| keys)
        .map(|key| field_length(wire_length(view, *key)))
        .sum();
    // Everything of the state but its tasks, which stand in front.
    let rest = match what {
        Large::State => Bytes::from(reads::state_without_tasks(view).encode_to_vec()),
        Large::Tasks => Bytes::new(),
    };
    let head = protobuf_head(what, tasks_length, rest.len());
    let mut pieces = Pieces::default();
    pieces.bytes(0, move || head);
    for (field, keys) in fields {
        for part in keys.chunks(PART) {
            let (view, part) = (Arc::clone(view), part.to_vec());
            pieces.bytes(part.len(), move || encoded_tasks(&view, field, &part));
        }
    }
    pieces.bytes(0, move || rest);
    pieces
}

/// The type of the answer, and the keys and lengths of the messages around the tasks.
fn protobuf_head(what: Large, tasks: usize, rest: usize) -> Bytes {
    let mut head = Vec::new();
    let (kind, field) = match what {
        Large::State => (response::Type::GetState, 9),
        Large::Tasks => (response::Type::GetTasks, 13),
    };
    encode_key(1, WireType::Varint, &mut head);
    encode_varint(kind as u64, &mut head);
    encode_key(field, WireType::LengthDelimited, &mut head);
    if what == Large::State {
        encode_varint((field_length(tasks) + rest) as u64, &mut head);
        encode_key(1, WireType::LengthDelimited, &mut head);
    }
    encode_varint(tasks as u64, &mut head);
    head.into()
}

fn wire_length(view: &View, key: TaskKey) -> usize {
    let task = view.records.tasks.get(key.index());
    task.map_or(0, |task| task.wire.len())
}

/// Length of a field with a number below 16 and so long a content.
fn field_length(content: usize) -> usize {
    1 + encoded_len_varint(content as u64) + content
}

fn encoded_tasks(view: &View, field: u32, keys: &[TaskKey]) -> Bytes {
    let length = keys
        .iter()
        .map(|key| field_length(wire_length(view, *key)))
        .sum();
    let mut out = Vec::with_capacity(length);
    for key in keys {
        if let Some(task) = view.records.tasks.get(key.index()) {
            encode_key(field, WireType::LengthDelimited, &mut out);
            encode_varint(task.wire.len() as u64, &mut out);
            out.put_slice(&task.wire);
        }
    }
    out.into()
}
