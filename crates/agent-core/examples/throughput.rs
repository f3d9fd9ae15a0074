//! Prints what one command task costs in the agent core, from launch to the acknowledgement of its end.
// An example may read the clock; the crate may not.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_types)]

use mezz_agent_core::{AgentCore, Config, Effect, Event, LaunchId, Now};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{AcknowledgeUpdate, Admitted, Registered, RunTask, RunTasks};
use mezz_proto::v1::{
    AgentId, AgentInfo, CommandInfo, FrameworkId, FrameworkInfo, MasterInfo, TaskId, TaskInfo,
};
use std::time::Instant;

const TASKS: u64 = 100_000;
const BATCH: u64 = 100;

fn main() {
    let mut core = AgentCore::new(Config::new(
        AgentInfo::default(),
        "/w",
        "127.0.0.1",
        5051,
        1,
    ));
    let now = Now {
        mono_ns: 1,
        wall_ns: 1,
    };
    let mut effects = Vec::new();
    let admitted = Admitted {
        cluster_id: "c".to_owned(),
        epoch: 1,
        mezz_version: String::new(),
        window: None,
        ping_timeout_ms: 75_000,
    };
    let registered = Registered {
        agent_id: AgentId {
            value: "a".to_owned(),
        },
        master: MasterInfo::default(),
    };
    core.handle(now, Event::Recovered(Box::default()), &mut effects);
    core.handle(now, Event::MasterConnected, &mut effects);
    core.handle(
        now,
        Event::FromMaster(Box::new(Body::Admitted(admitted))),
        &mut effects,
    );
    core.handle(
        now,
        Event::FromMaster(Box::new(Body::Registered(registered))),
        &mut effects,
    );
    let started = Instant::now();
    let mut journal = Vec::new();
    for batch in 0..TASKS / BATCH {
        effects.clear();
        core.handle(
            now,
            Event::FromMaster(Box::new(Body::RunTasks(launches(batch)))),
            &mut effects,
        );
        settle(&mut core, now, &mut effects, &mut journal);
        journal.clear();
    }
    let elapsed = started.elapsed();
    println!(
        "{TASKS} tasks in {elapsed:?}: {:.1} us each",
        elapsed.as_secs_f64() * 1e6 / TASKS as f64
    );
}

fn launches(batch: u64) -> RunTasks {
    let framework_id = FrameworkId {
        value: "f".to_owned(),
    };
    let framework = (batch == 0).then(|| FrameworkInfo {
        id: Some(framework_id.clone()),
        checkpoint: Some(true),
        ..FrameworkInfo::default()
    });
    let command = CommandInfo {
        value: Some("/bin/true".to_owned()),
        shell: Some(false),
        ..CommandInfo::default()
    };
    let tasks = (0..BATCH).map(|index| {
        let launch_token = batch * BATCH + index;
        let task_id = TaskId {
            value: format!("task-{launch_token}"),
        };
        RunTask {
            launch_token,
            task: TaskInfo {
                name: "t".to_owned(),
                task_id,
                command: Some(command.clone()),
                ..TaskInfo::default()
            },
            instance: None,
        }
    });
    RunTasks {
        framework_id,
        framework,
        tasks: tasks.collect(),
    }
}

/// Plays warden, journal and master until nothing more happens.
fn settle(core: &mut AgentCore, now: Now, effects: &mut Vec<Effect>, journal: &mut Vec<u8>) {
    while !effects.is_empty() {
        for effect in std::mem::take(effects) {
            match effect {
                Effect::Checkpoint { records, .. } => {
                    for record in &records {
                        record.encode(journal);
                    }
                }
                Effect::Launch(launch) => run(core, now, launch.launch_id, effects),
                Effect::ToMaster(body) => acknowledge(core, now, *body, effects),
                _ => {}
            }
        }
    }
}

fn run(core: &mut AgentCore, now: Now, launch_id: LaunchId, effects: &mut Vec<Effect>) {
    core.handle(now, Event::ContainerStarted { launch_id, pid: 1 }, effects);
    core.handle(
        now,
        Event::ContainerExited {
            launch_id,
            wait_status: 0,
        },
        effects,
    );
}

fn acknowledge(core: &mut AgentCore, now: Now, body: Body, effects: &mut Vec<Effect>) {
    let Body::StatusUpdate(update) = body else {
        return;
    };
    let uuid = update.status.uuid.unwrap();
    let acknowledgement = AcknowledgeUpdate {
        framework_id: update.framework_id,
        task_id: update.status.task_id,
        uuid,
    };
    core.handle(
        now,
        Event::FromMaster(Box::new(Body::AcknowledgeUpdate(acknowledgement))),
        effects,
    );
}
