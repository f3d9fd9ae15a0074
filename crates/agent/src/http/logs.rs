//! `GET /v1/tasks/{framework}/{task}/logs`: the output of a task as lines of JSON, followed to its end if wanted.

mod tail;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use mezz_agent_core::{AgentRecords, ExecutorKind, LaunchId};
use mezz_http::query::Query;
use mezz_http::request::segments;
use mezz_http::stream::{StreamError, StreamLimits, StreamSender, stream};
use mezz_http::{Request, Response, respond};
use mezz_proto::v1::TaskState;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::{AgentHttp, shown};
use crate::inbox::Inbox;
use crate::log_rotation::LogRotation;
use tail::{Output, Rest, Tail};

/// How long a follower waits for a task that the agent does not know yet.
const ARRIVAL: Duration = Duration::from_secs(30);
/// How often files are looked at while somebody follows.
const LOOK: Duration = Duration::from_millis(20);
/// How often the task is looked at while somebody follows.
const LOOK_AT_TASK: Duration = Duration::from_millis(250);

/// What is wanted.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    stdout: bool,
    stderr: bool,
    follow: bool,
    tail: Option<usize>,
    offset: Option<u64>,
}

/// Where a task's output lies, and how far the task is.
#[derive(Clone, Debug)]
struct Found {
    sandbox: PathBuf,
    launch_id: LaunchId,
    kind: ExecutorKind,
    state: TaskState,
    message: Option<String>,
}

pub(super) async fn answer(
    agent: &AgentHttp,
    request: &Request,
    tail: &str,
) -> Result<Response, Response> {
    request.expect_method(&[Method::GET])?;
    let parts = segments(tail);
    let [framework, task, what] = parts.as_slice() else {
        return Err(respond::not_found());
    };
    if what != "logs" {
        return Err(respond::not_found());
    }
    let wanted = wanted(&request.query())
        .map_err(|detail| problem(StatusCode::BAD_REQUEST, "The query is wrong", detail))?;
    let source = Source {
        inbox: Arc::clone(&agent.inbox),
        work_dir: agent.work_dir.clone(),
        rotation: agent.rotation.clone(),
        framework: framework.clone(),
        task: task.clone(),
    };
    let found = source.wait(wanted.follow).await.ok_or_else(|| {
        problem(
            StatusCode::NOT_FOUND,
            "No such task",
            format!("this agent knows no task {framework}/{task}"),
        )
    })?;
    let (sender, reader) = stream(StreamLimits {
        max_records: 64,
        max_bytes: 1 << 20,
    });
    tokio::spawn(async move {
        // A reader that has gone needs no answer.
        let _ = source.produce(&sender, wanted, found).await;
        sender.end();
    });
    Ok(respond::streaming("application/x-ndjson", reader))
}

fn problem(status: StatusCode, title: &str, detail: String) -> Response {
    respond::problem(
        status,
        &respond::Problem {
            title: title.to_owned(),
            detail,
            ..respond::Problem::default()
        },
    )
}

fn wanted(query: &Query) -> Result<Wanted, String> {
    let (stdout, stderr) = match query.get("stream") {
        None | Some("both") => (true, true),
        Some("stdout") => (true, false),
        Some("stderr") => (false, true),
        Some(other) => {
            return Err(format!(
                "'stream' is '{other}'; it can be stdout, stderr or both"
            ));
        }
    };
    let offset = query.number("offset")?;
    Ok(Wanted {
        stdout,
        stderr,
        follow: query.flag("follow")?,
        tail: query.number("tail")?,
        offset,
    })
}

/// Where records come from.
#[derive(Debug)]
struct Source {
    inbox: Arc<Inbox>,
    work_dir: PathBuf,
    rotation: LogRotation,
    framework: String,
    task: String,
}

impl Source {
    async fn look(&self) -> Option<Found> {
        self.find(&*self.inbox.view().await?)
    }

    /// The newest task of that id.
    fn find(&self, records: &AgentRecords) -> Option<Found> {
        let frameworks = records
            .frameworks
            .iter()
            .chain(&records.completed_frameworks);
        for framework in
            frameworks.filter(|framework| shown::framework_id(framework) == self.framework)
        {
            for executor in framework
                .executors
                .iter()
                .chain(framework.completed_executors.iter().rev())
            {
                let tasks = executor
                    .queued
                    .iter()
                    .chain(&executor.tasks)
                    .chain(executor.completed.iter().rev().map(|task| &**task));
                for task in tasks {
                    if task.info.task_id.value == self.task {
                        return Some(Found {
                            sandbox: self.work_dir.join(&executor.sandbox),
                            launch_id: executor.launch_id,
                            kind: executor.kind,
                            state: task.state,
                            message: task
                                .statuses
                                .last()
                                .and_then(|status| status.message.clone()),
                        });
                    }
                }
            }
        }
        None
    }

    async fn wait(&self, follow: bool) -> Option<Found> {
        let end = Instant::now() + ARRIVAL;
        let mut pause = Duration::from_millis(1);
        loop {
            let found = self.look().await;
            if found.is_some() || !follow || Instant::now() > end {
                return found;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK);
        }
    }

    async fn produce(
        &self,
        sender: &StreamSender,
        wanted: Wanted,
        found: Found,
    ) -> Result<(), StreamError> {
        let mut tails: Vec<Tail> = Vec::new();
        for (name, on) in [("stdout", wanted.stdout), ("stderr", wanted.stderr)] {
            if on {
                let output = Output {
                    name,
                    launch_id: found.launch_id,
                    last: wanted.tail,
                    offset: wanted.offset,
                };
                tails.push(Tail::new(output, &found.sandbox, &self.rotation));
            }
        }
        if !wanted.follow {
            return pump(&mut tails, sender, Rest::All).await;
        }
        let (found, wait_status) = self.follow(&mut tails, sender, found).await?;
        pump(&mut tails, sender, Rest::All).await?;
        let end = json!({ "end": { "state": found.state.as_str_name(), "message": found.message, "wait_status": wait_status } });
        sender.send_waiting(line(&end)).await
    }

    /// Hands output on until the task has ended.
    async fn follow(
        &self,
        tails: &mut [Tail],
        sender: &StreamSender,
        mut found: Found,
    ) -> Result<(Found, Option<i32>), StreamError> {
        let exit = self.inbox.exit(found.launch_id);
        tokio::pin!(exit);
        let mut next_look = Instant::now() + LOOK_AT_TASK;
        loop {
            pump(tails, sender, Rest::Whole).await?;
            if sender.is_closed() {
                return Err(StreamError::Closed);
            }
            if shown::is_terminal(found.state) {
                // The exit has been seen before the state, if this life of the agent saw it at all.
                let status = timeout(Duration::from_millis(1), &mut exit)
                    .await
                    .ok()
                    .flatten();
                return Ok((found, status));
            }
            // A command task ends with its container; others only in the executor's words.
            let ended = if found.kind == ExecutorKind::Command {
                timeout(LOOK, &mut exit).await.ok()
            } else {
                sleep(LOOK).await;
                None
            };
            if let Some(status) = ended {
                let last = self.look().await.unwrap_or(found);
                return Ok((last, status));
            }
            if Instant::now() >= next_look {
                next_look = Instant::now() + LOOK_AT_TASK;
                found = self.look().await.unwrap_or(found);
            }
        }
    }
}

async fn pump(tails: &mut [Tail], sender: &StreamSender, rest: Rest) -> Result<(), StreamError> {
    loop {
        let mut idle = true;
        for tail in &mut *tails {
            if let Some(record) = tail.next(rest) {
                idle = false;
                sender.send_waiting(line(&record)).await?;
            }
        }
        if idle {
            return Ok(());
        }
    }
}

fn line(value: &Value) -> Bytes {
    let mut text = value.to_string().into_bytes();
    text.push(b'\n');
    text.into()
}
