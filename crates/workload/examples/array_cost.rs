//! What a large array job costs the controllers: `array_cost [INDICES] [PARALLELISM] [BATCH]` runs all indices, one in a
//! hundred failing, in batches of events, and prints bytes written and the largest memory of the process.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::{BTreeMap, VecDeque};

use mezz_proto::v1::TaskState;
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_state::time::{Mono, Now, Wall};
use mezz_workload::Workloads;
use mezz_workload::call::{ApplyMode, Call, Conflict};
use mezz_workload::effect::{Effect, Effects};
use mezz_workload::event::{AgentInfo, Event, Placed, Status};
use mezz_workload::key::RequestKey;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|text| text.parse::<usize>().unwrap());
    let indices = arguments.next().unwrap_or(1_000_000);
    let parallelism = arguments.next().unwrap_or(512);
    let batch = arguments.next().unwrap_or(64);
    let before = memory_kib();
    let mut w = Workloads::new();
    let mut queue: VecDeque<Event> = VecDeque::from([
        Event::Restored(Vec::new()),
        Event::Reconciled,
        Event::Call {
            request: RequestKey(0),
            call: Box::new(apply(indices, parallelism)),
            by: None,
        },
    ]);
    let mut time = 1_767_225_600_000_000_000;
    let (mut written, mut launched, mut batches) = (0_u64, 0_usize, 0_u64);
    while !queue.is_empty() {
        let mut effects = Effects::default();
        let now = Now {
            mono: Mono(time),
            wall: Wall(time),
        };
        let events: Vec<Event> = queue.drain(..batch.min(queue.len())).collect();
        w.handle_all(now, events, &mut effects);
        time += 1_000_000;
        batches += 1;
        for effect in effects.list {
            match effect {
                Effect::Persist(writes) => {
                    let bytes = writes
                        .iter()
                        .map(|(_, value)| value.as_ref().map_or(0, bytes::Bytes::len));
                    written += bytes.sum::<usize>() as u64;
                }
                Effect::Demand { key, demand } => {
                    let is_place = |event: &&Event| matches!(event, Event::Placed(_));
                    let on_their_way = queue.iter().filter(is_place).count() as u64;
                    for place in on_their_way..demand.count {
                        queue.push_back(Event::Placed(Placed {
                            demand: key,
                            agent: agent(place % 100),
                            ports: Vec::new(),
                            resources: Vec::new(),
                        }));
                    }
                }
                Effect::Launch(launch) => {
                    launched += 1;
                    queue.push_back(end(&launch.task.task_id.value, launched));
                }
                _ => {}
            }
        }
    }
    let run = w.records().runs.iter().next().unwrap().1;
    println!("{:?}: {:?}", run.state, run.counts);
    println!("{launched} launches in {batches} batches, {written} bytes written");
    println!("{before} KiB before, {} KiB at most", memory_kib());
}

fn apply(indices: usize, parallelism: usize) -> Call {
    let spec = serde_json::json!({
        "template": { "containers": [{ "command": "true" }] },
        "completions": indices, "parallelism": parallelism, "max_failed": "2%",
    });
    Call::Apply {
        objects: vec![Object {
            name: Name::new("/array").unwrap(),
            labels: BTreeMap::new(),
            spec: Spec::from_json(Kind::Job, spec).unwrap(),
            generation: None,
        }],
        mode: ApplyMode::Commit,
        conflict: Conflict::Supersede,
    }
}

fn agent(number: u64) -> AgentInfo {
    AgentInfo {
        id: format!("5b0c1a3e-0000-0000-0000-{number:012}-S0")
            .as_str()
            .into(),
        hostname: format!("host-{number}").as_str().into(),
        ip: "10.0.0.1".into(),
        region: None,
        zone: None,
    }
}

fn end(id: &str, number: usize) -> Event {
    let is_failure = number.is_multiple_of(100);
    Event::Status {
        instance: id.into(),
        status: Status {
            state: if is_failure {
                TaskState::TaskFailed
            } else {
                TaskState::TaskFinished
            },
            at: None,
            reason: None,
            message: "".into(),
            healthy: None,
            check: None,
            findings: None,
            exit_status: Some(i32::from(is_failure)),
            addresses: Vec::new(),
        },
    }
}

/// The largest memory of this process so far.
fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
