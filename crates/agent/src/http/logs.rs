//! `GET /v1/tasks/{framework}/{task}/logs`: the output of a task as lines of JSON, followed to its end if wanted.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{Method, StatusCode};
use mezz_agent_core::{AgentRecords, ExecutorKind, LaunchId};
use mezz_http::files::{Location, open_in};
use mezz_http::query::Query;
use mezz_http::request::segments;
use mezz_http::stream::{StreamError, StreamLimits, StreamSender, stream};
use mezz_http::{Request, Response, respond};
use mezz_proto::v1::TaskState;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::{AgentHttp, shown};
use crate::inbox::Inbox;

/// How long a follower waits for a task that the agent does not know yet.
const ARRIVAL: Duration = Duration::from_secs(30);
/// How often files are looked at while somebody follows.
const LOOK: Duration = Duration::from_millis(20);
/// How often the task is looked at while somebody follows.
const LOOK_AT_TASK: Duration = Duration::from_millis(250);
/// The longest piece of output in one record.
const PIECE_BYTES: usize = 48 << 10;

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
                tails.push(Tail::new(name, &found.sandbox, &wanted));
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

/// What to do with a character whose end is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Wait for its end.
    Whole,
    /// Nothing more will come.
    All,
}

/// One output file being read.
#[derive(Debug)]
struct Tail {
    name: &'static str,
    location: Location,
    file: Option<File>,
    offset: u64,
    last: Option<usize>,
}

impl Tail {
    fn new(name: &'static str, sandbox: &Path, wanted: &Wanted) -> Self {
        // A task may have put a link in the file's place: it is resolved inside the sandbox.
        let location = Location {
            root: sandbox.to_owned(),
            relative: PathBuf::from(name),
        };
        Self {
            name,
            location,
            file: None,
            offset: wanted.offset.unwrap_or(0),
            last: wanted.tail,
        }
    }

    /// The next piece, if there is one.
    fn next(&mut self, rest: Rest) -> Option<Value> {
        if self.file.is_none() {
            self.file = Some(open_in(&self.location).ok()?);
        }
        let file = self.file.as_ref()?;
        if let Some(lines) = self.last.take() {
            self.offset = last_lines(file, lines).unwrap_or(0);
        }
        let mut piece = vec![0; PIECE_BYTES];
        let count = file.read_at(&mut piece, self.offset).ok()?;
        piece.truncate(count);
        if count == 0 {
            // Rotated by copy and truncate: what is new begins at the front.
            if file.metadata().is_ok_and(|data| data.len() < self.offset) {
                self.offset = 0;
            }
            return None;
        }
        let (record, taken) = record(self.name, self.offset, &piece, rest)?;
        self.offset += taken as u64;
        Some(record)
    }
}

/// The record of a piece, and how much of it was taken; `None` to wait for the end of a character.
fn record(name: &str, offset: u64, piece: &[u8], rest: Rest) -> Option<(Value, usize)> {
    let text = match std::str::from_utf8(piece) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(&piece[..error.valid_up_to()]).ok()
        }
        Err(error) if error.error_len().is_none() && rest == Rest::Whole => return None,
        Err(_) => None,
    };
    if let Some(text) = text {
        return Some((
            json!({ "stream": name, "offset": offset, "data": text }),
            text.len(),
        ));
    }
    let encoded = base64::engine::general_purpose::STANDARD.encode(piece);
    Some((
        json!({ "stream": name, "offset": offset, "base64": encoded }),
        piece.len(),
    ))
}

/// Where the last `lines` lines begin.
fn last_lines(file: &File, lines: usize) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    let mut end = length;
    let mut left = lines;
    let mut block = vec![0; 64 << 10];
    while end > 0 {
        let begin = end.saturating_sub(block.len() as u64);
        let piece = &mut block[..usize::try_from(end - begin).unwrap_or(0)];
        file.read_exact_at(piece, begin)?;
        for (index, byte) in piece.iter().enumerate().rev() {
            let at = begin + index as u64;
            // The newline that ends the last line begins no line.
            if *byte == b'\n' && at + 1 < length {
                left = left.saturating_sub(1);
                if left == 0 {
                    return Ok(at + 1);
                }
            }
        }
        end = begin;
    }
    Ok(if lines == 0 { length } else { 0 })
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_character_cut_in_two_is_waited_for_and_other_bytes_come_as_base64() {
        let text = "né".as_bytes();
        assert_eq!(record("stdout", 0, &text[..2], Rest::Whole).unwrap().1, 1);
        assert!(record("stdout", 1, &text[1..2], Rest::Whole).is_none());
        let (value, taken) = record("stdout", 1, &text[1..2], Rest::All).unwrap();
        assert_eq!((value["base64"].as_str(), taken), (Some("ww=="), 1));
        let (value, _) = record("stderr", 7, b"\xff\xfe", Rest::Whole).unwrap();
        assert_eq!(
            value,
            json!({ "stream": "stderr", "offset": 7, "base64": "//4=" })
        );
    }

    #[test]
    fn the_last_lines_are_found_with_and_without_a_final_newline() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo\nthree\n").unwrap();
        assert_eq!(last_lines(&file, 2).unwrap(), 4);
        assert_eq!(last_lines(&file, 9).unwrap(), 0);
        file.write_all(b"four").unwrap();
        assert_eq!(last_lines(&file, 2).unwrap(), 8);
    }
}
