//! Custom executors over the executor API, in JSON and protobuf.
#![allow(clippy::unwrap_used)]

mod support;

use http_body_util::BodyExt;
use mezz_proto::v1::executor::{Call, Event, call, event};
use mezz_proto::v1::{self, TaskState};
use prost::Message;
use support::{Agent, FRAMEWORK, FakeMaster, framework, shell};

fn executor_task(id: &str, executor: &str, command: &str) -> v1::TaskInfo {
    let mut task = shell(id, "");
    let command = v1::CommandInfo {
        value: Some(command.into()),
        ..v1::CommandInfo::default()
    };
    task.command = None;
    task.executor = Some(Box::new(v1::ExecutorInfo {
        executor_id: v1::ExecutorId {
            value: executor.into(),
        },
        command: Some(command),
        ..v1::ExecutorInfo::default()
    }));
    task
}

/// An executor made of words: its process only sleeps.
struct Executor<'a> {
    agent: &'a Agent,
    binary: bool,
    id: &'static str,
    body: hyper::body::Incoming,
    decoder: mezz_proto::recordio::Decoder,
}

impl<'a> Executor<'a> {
    async fn subscribe(agent: &'a Agent, id: &'static str, binary: bool) -> Self {
        loop {
            let subscribe = Call {
                subscribe: Some(call::Subscribe::default()),
                ..envelope(id, call::Type::Subscribe)
            };
            let response = post(agent, binary, &subscribe).await;
            if response.status() == 400 {
                // The agent has not heard of the executor yet.
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                continue;
            }
            assert_eq!(response.status(), 200);
            let media = if binary {
                "application/x-protobuf"
            } else {
                "application/json"
            };
            assert_eq!(response.headers()["content-type"], media);
            assert_eq!(response.headers()["transfer-encoding"], "chunked");
            let decoder = mezz_proto::recordio::Decoder::new(1 << 20);
            return Self {
                agent,
                binary,
                id,
                body: response.into_body(),
                decoder,
            };
        }
    }

    async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(record) = self.decoder.next().unwrap() {
                return Some(if self.binary {
                    Event::decode(&record[..]).unwrap()
                } else {
                    mezz_proto::from_json(&record).unwrap()
                });
            }
            let frame = tokio::time::timeout(std::time::Duration::from_secs(20), self.body.frame())
                .await
                .expect("the agent speaks")?;
            let Ok(data) = frame.ok()?.into_data() else {
                continue;
            };
            self.decoder.push(&data);
            assert!(self.decoder.is_at_boundary() || !data.is_empty());
        }
    }

    /// The next event of this kind.
    async fn until(&mut self, kind: event::Type) -> Event {
        loop {
            let event = self.event().await.expect("the stream stands");
            if event.r#type() == kind {
                return event;
            }
        }
    }

    async fn update(&self, task: &str, state: TaskState, uuid: u8) -> u16 {
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: task.into() },
            state: state.into(),
            source: Some(v1::task_status::Source::Executor.into()),
            uuid: Some(vec![uuid; 16].into()),
            ..v1::TaskStatus::default()
        };
        self.call(&Call {
            update: Some(call::Update { status }),
            ..envelope(self.id, call::Type::Update)
        })
        .await
    }

    async fn call(&self, call: &Call) -> u16 {
        post(self.agent, self.binary, call).await.status().as_u16()
    }
}

fn envelope(executor: &str, kind: call::Type) -> Call {
    Call {
        executor_id: v1::ExecutorId {
            value: executor.into(),
        },
        framework_id: v1::FrameworkId {
            value: FRAMEWORK.into(),
        },
        r#type: Some(kind.into()),
        ..Call::default()
    }
}

async fn post(agent: &Agent, binary: bool, call: &Call) -> hyper::Response<hyper::body::Incoming> {
    let (media, body) = if binary {
        ("application/x-protobuf", call.encode_to_vec())
    } else {
        ("application/json", mezz_proto::to_json(call))
    };
    agent
        .open_bytes(
            "POST",
            "/api/v1/executor",
            &[("Content-Type", media), ("Accept", media)],
            body,
        )
        .await
}

#[tokio::test]
async fn an_executor_gets_its_tasks_and_reports_them() {
    for binary in [false, true] {
        let mut master = FakeMaster::start().await;
        let agent = Agent::start(&master.address, None, &[]);
        let mut link = master.accept().await;
        link.run(
            &framework(true),
            vec![executor_task("t1", "exec", "exec sleep 60")],
        );
        let mut executor = Executor::subscribe(&agent, "exec", binary).await;
        let subscribed = executor
            .until(event::Type::Subscribed)
            .await
            .subscribed
            .unwrap();
        assert_eq!(subscribed.executor_info.executor_id.value, "exec");
        assert_eq!(subscribed.framework_info.id.unwrap().value, FRAMEWORK);
        let launch = executor.until(event::Type::Launch).await.launch.unwrap();
        assert_eq!(launch.task.task_id.value, "t1");
        assert_eq!(executor.update("t1", TaskState::TaskStaging, 1).await, 400);
        assert_eq!(executor.update("t1", TaskState::TaskRunning, 1).await, 202);
        let status = link.update().await;
        assert_eq!(status.state(), TaskState::TaskRunning);
        link.acknowledge(&status);
        let acknowledged = executor
            .until(event::Type::Acknowledged)
            .await
            .acknowledged
            .unwrap();
        assert_eq!(acknowledged.uuid, vec![1; 16]);
        assert_eq!(
            executor
                .call(&envelope("exec", call::Type::Heartbeat))
                .await,
            202
        );
        link.kill("t1");
        assert_eq!(
            executor
                .until(event::Type::Kill)
                .await
                .kill
                .unwrap()
                .task_id
                .value,
            "t1"
        );
        assert_eq!(executor.update("t1", TaskState::TaskKilled, 2).await, 202);
        let seen = link.finish(&["t1"]).await;
        assert_eq!(seen["t1"][0].state(), TaskState::TaskKilled);
        drop(executor);
    }
}

#[tokio::test]
async fn a_custom_executor_sees_the_variables_of_mesos() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let link = master.accept().await;
    link.run(
        &framework(true),
        vec![executor_task("t1", "exec", "env; exec sleep 60")],
    );
    let mut executor = Executor::subscribe(&agent, "exec", false).await;
    executor.until(event::Type::Launch).await;
    let path = "/files/read?path=/frameworks/fw-0000/executors/exec/runs/latest/stdout&offset=0";
    while !agent.get(path).await.1.contains("MESOS_") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let environment = agent.json(path).await;
    let environment = environment["data"].as_str().unwrap();
    let endpoint = agent.url.strip_prefix("http://").unwrap();
    for line in [
        &format!("MESOS_FRAMEWORK_ID={FRAMEWORK}"),
        "MESOS_EXECUTOR_ID=exec",
        &format!("MESOS_AGENT_ENDPOINT={endpoint}"),
        &format!("MESOS_SLAVE_PID=slave(1)@{endpoint}"),
        &format!("MESOS_SLAVE_ID={}", support::AGENT),
        "MESOS_CHECKPOINT=1",
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=5secs",
        "MESOS_RECOVERY_TIMEOUT=15mins",
    ] {
        assert!(
            environment.lines().any(|have| have == line),
            "{line} in {environment}"
        );
    }
    assert!(environment.contains("MESOS_SANDBOX=/"), "{environment}");
    assert!(environment.contains("MESOS_DIRECTORY=/"), "{environment}");
}

#[tokio::test]
async fn an_executor_that_dies_takes_its_tasks_with_it() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    link.run(
        &framework(true),
        vec![executor_task("t1", "exec", "sleep 0.3; exit 4")],
    );
    let mut executor = Executor::subscribe(&agent, "exec", false).await;
    executor.until(event::Type::Launch).await;
    assert_eq!(executor.update("t1", TaskState::TaskRunning, 1).await, 202);
    let seen = link.finish(&["t1"]).await;
    assert_eq!(
        seen["t1"].last().unwrap().reason(),
        v1::task_status::Reason::ExecutorTerminated
    );
    while executor.event().await.is_some() {}
}
