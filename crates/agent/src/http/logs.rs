//! `GET /v1/tasks/{framework}/{task}/logs`: the output of a task, followed to its end if wanted.

mod tail;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use mezz_agent_core::{AgentRecords, ExecutorKind, ExecutorRecord, LaunchId};
use mezz_http::query::Query;
use mezz_http::request::segments;
use mezz_http::stream::{StreamError, StreamLimits, StreamSender, stream};
use mezz_http::task_output::{OutputFormat, OutputWriter, Positions};
use mezz_http::{Request, Response, respond};
use mezz_proto::v1::TaskState;
use tokio::time::{Instant, sleep, timeout};

use super::{AgentHttp, sandbox_files, shown};
use crate::inbox::Inbox;
use crate::log_rotation::LogRotation;
use tail::{Output, Rest, Tail};

/// How long a follower waits for a task that the agent does not know yet.
const ARRIVAL: Duration = Duration::from_secs(30);
/// How often files are looked at while somebody follows.
const LOOK: Duration = Duration::from_millis(20);
/// How often the task is looked at while somebody follows.
const LOOK_AT_TASK: Duration = Duration::from_millis(250);
/// Keeps silent connections open through proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What is wanted.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    stdout: bool,
    stderr: bool,
    follow: bool,
    tail: Option<usize>,
    offset: Option<u64>,
    /// What a reader who was here before has.
    known: Positions,
}

impl Wanted {
    /// Where to begin in one output: a reader who was here before goes on there.
    fn output(&self, name: &'static str, launch_id: LaunchId) -> Output {
        let known = self.known.in_stream(name);
        Output {
            name,
            launch_id,
            last: if known.is_some() { None } else { self.tail },
            offset: known.or(self.offset),
        }
    }
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

impl Found {
    /// Refuses a task that has ended, and whose sandbox was collected since then.
    async fn check(&self, task: &str) -> Result<(), Response> {
        let is_there = tokio::fs::try_exists(&self.sandbox).await;
        if !shown::is_terminal(self.state) || is_there.unwrap_or(true) {
            return Ok(());
        }
        Err(problem(
            StatusCode::GONE,
            "No output any more",
            format!("the sandbox of task {task} is not here any more"),
        ))
    }
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
    let (status, detail) = OutputFormat::NONE_ACCEPTED;
    let format = OutputFormat::accepted(request.headers())
        .ok_or_else(|| problem(status, "Not acceptable", detail.to_owned()))?;
    let bad = |title: &str, detail: String| problem(StatusCode::BAD_REQUEST, title, detail);
    let known = Positions::of(request.headers())
        .map_err(|error| bad("A header is wrong", error.to_string()))?;
    if known.ended {
        // Nothing more will ever come; this status keeps readers of events from asking again.
        return Ok(respond::empty(StatusCode::NO_CONTENT));
    }
    let wanted =
        wanted(&request.query(), known).map_err(|detail| bad("The query is wrong", detail))?;
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
    if !wanted.follow {
        found.check(task).await?;
    }
    let (sender, reader) = stream(StreamLimits {
        max_records: 64,
        max_bytes: 1 << 20,
    });
    tokio::spawn(async move {
        let writer = OutputWriter::new(format, known);
        let answer = Answer {
            sender: &sender,
            writer,
            silent_since: Instant::now(),
        };
        // A reader that has gone needs no answer.
        let _ = source.produce(answer, wanted, found).await;
        sender.end();
    });
    Ok(respond::streaming(format.content_type(), reader))
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

fn wanted(query: &Query, known: Positions) -> Result<Wanted, String> {
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
        known,
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
                        let member = executor
                            .members
                            .iter()
                            .find(|member| member.id() == self.task);
                        let container = member.unwrap_or(executor);
                        return Some(Found {
                            sandbox: self.sandbox(executor, container),
                            launch_id: container.launch_id,
                            kind: container.kind,
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

    /// A task of a pod has one of its own, and is found there when its container is no more.
    fn sandbox(&self, executor: &ExecutorRecord, container: &ExecutorRecord) -> PathBuf {
        let of_pod = (container.kind == ExecutorKind::Default)
            .then(|| executor.container_of(&self.task))
            .flatten();
        match of_pod {
            Some(id) => self
                .work_dir
                .join(sandbox_files::own_path(&self.framework, &id)),
            None => self.work_dir.join(&container.sandbox),
        }
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
        mut answer: Answer<'_>,
        wanted: Wanted,
        found: Found,
    ) -> Result<(), StreamError> {
        let mut tails: Vec<Tail> = Vec::new();
        for (name, on) in [("stdout", wanted.stdout), ("stderr", wanted.stderr)] {
            if on {
                let output = wanted.output(name, found.launch_id);
                tails.push(Tail::new(output, &found.sandbox, &self.rotation));
            }
        }
        if !wanted.follow {
            return answer.pump(&mut tails, Rest::All).await;
        }
        let (found, wait_status) = self.follow(&mut tails, &mut answer, found).await?;
        answer.pump(&mut tails, Rest::All).await?;
        answer.end(&found, wait_status).await
    }

    /// Hands output on until the task has ended.
    async fn follow(
        &self,
        tails: &mut [Tail],
        answer: &mut Answer<'_>,
        mut found: Found,
    ) -> Result<(Found, Option<i32>), StreamError> {
        let exit = self.inbox.exit(found.launch_id);
        tokio::pin!(exit);
        let mut next_look = Instant::now() + LOOK_AT_TASK;
        loop {
            answer.pump(tails, Rest::Whole).await?;
            answer.keep_alive().await?;
            if shown::is_terminal(found.state) {
                // The exit has been seen before the state, if this life of the agent saw it at all.
                let status = self.inbox.known_exit(found.launch_id).await;
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

/// The answer to one reader.
struct Answer<'s> {
    sender: &'s StreamSender,
    writer: OutputWriter,
    silent_since: Instant,
}

impl Answer<'_> {
    /// Hands on what the outputs have.
    async fn pump(&mut self, tails: &mut [Tail], rest: Rest) -> Result<(), StreamError> {
        loop {
            let mut idle = true;
            for tail in &mut *tails {
                if let Some(piece) = tail.next(rest) {
                    idle = false;
                    self.silent_since = Instant::now();
                    self.sender.send_waiting(self.writer.piece(piece)).await?;
                }
            }
            if idle {
                return Ok(());
            }
        }
    }

    /// An error when the reader has gone.
    async fn keep_alive(&mut self) -> Result<(), StreamError> {
        if self.sender.is_closed() {
            return Err(StreamError::Closed);
        }
        if self.silent_since.elapsed() < KEEP_ALIVE {
            return Ok(());
        }
        self.silent_since = Instant::now();
        match self.writer.format().keep_alive() {
            Some(nothing) => self.sender.send_waiting(nothing).await,
            None => Ok(()),
        }
    }

    async fn end(&mut self, found: &Found, wait_status: Option<i32>) -> Result<(), StreamError> {
        let state = found.state.as_str_name();
        let last = self
            .writer
            .end(state, found.message.as_deref(), wait_status);
        match last {
            Some(last) => self.sender.send_waiting(last).await,
            None => Ok(()),
        }
    }
}
