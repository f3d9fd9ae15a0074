//! `GET /v1/tasks/{id}/logs`: waits until the task has an agent, then passes that agent's records through.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use mezz_core::key::AgentKey;
use mezz_core::records::{TaskList, TaskRecord};
use mezz_http::client::{ClientError, ClientResponse};
use mezz_http::query::percent_encode;
use mezz_http::stream::{StreamLimits, stream};
use mezz_http::task_output::{OutputFormat, OutputWriter, Positions};
use mezz_http::{Request, Response, respond};
use mezz_proto::v1;
use prost::Message as _;

use super::given::Given;
use super::problems::{bad_request, problem};
use super::tasks::{Found, find, framework_id};
use crate::shared::Shared;
use crate::view::View;

/// How often an agent is asked for a task that it does not know yet.
const ATTEMPTS: u32 = 12;
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Where the records of a placed task come from.
struct Source {
    authority: String,
    path: String,
}

/// How the reader wants its answer.
struct Reader {
    format: OutputFormat,
    /// What it has, as it brought it along.
    known: Positions,
    follow: bool,
}

impl Reader {
    fn new(request: &Request, given: &Given) -> Result<Self, Response> {
        let (status, detail) = OutputFormat::NONE_ACCEPTED;
        let format = OutputFormat::accepted(request.headers()).ok_or_else(|| {
            let hint = "leave the Accept header out to get records as lines of JSON";
            problem(status, detail, Some(hint))
        })?;
        let known =
            Positions::of(request.headers()).map_err(|error| bad_request(&error.to_string()))?;
        Ok(Self {
            format,
            known,
            follow: given.flag("follow"),
        })
    }

    fn with(&self, body: impl Into<mezz_http::Body>) -> Response {
        respond::with_type(StatusCode::OK, self.format.content_type(), body)
    }

    /// The whole answer about a task that ended without having written anything.
    fn ended(&self, status: &v1::TaskStatus) -> Response {
        let state = status.state().as_str_name();
        let last =
            OutputWriter::new(self.format, self.known).end(state, status.message.as_deref(), None);
        self.with(last.filter(|_| self.follow).unwrap_or_default())
    }
}

pub(super) async fn logs(
    shared: &Arc<Shared>,
    framework: Option<&str>,
    id: &str,
    request: &Request,
    given: &Given,
) -> Result<Response, Response> {
    let query = request
        .path_and_query()
        .split_once('?')
        .map_or(String::new(), |(_, query)| format!("?{query}"));
    let reader = Reader::new(request, given)?;
    if reader.known.ended {
        // Nothing more will ever come; this status keeps readers of events from asking again.
        return Ok(respond::empty(StatusCode::NO_CONTENT));
    }
    let source = placed(shared, framework, id, &reader, &query).await?;
    let known = reader.known.to_string();
    let headers = [
        ("Accept", reader.format.content_type()),
        ("Last-Event-ID", &known),
    ];
    let mut pause = FIRST_PAUSE;
    for _ in 0..ATTEMPTS {
        let answered = shared
            .client
            .send(
                &source.authority,
                Method::GET,
                &source.path,
                &headers,
                bytes::Bytes::new(),
            )
            .await;
        match answered {
            Ok(answer) if answer.status == StatusCode::OK => {
                return Ok(pass_through(answer, reader.format));
            }
            Ok(answer) if answer.status == StatusCode::NOT_FOUND => {
                // The launch may still be on its way; a task that ended without one never gets there.
                if let Some(end) = end_without_launch(&shared.view(), framework, id)? {
                    return Ok(reader.ended(&end));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Ok(answer) if answer.status == StatusCode::GONE => return Err(collected(id)),
            Ok(answer) => return Err(agent_refused(&source, answer).await),
            Err(error) => return Err(unreachable_agent(&source, &error)),
        }
    }
    let detail = format!(
        "the agent {} has no output of task '{id}'",
        source.authority
    );
    Err(problem(
        StatusCode::NOT_FOUND,
        &detail,
        Some("its sandbox may have been collected already"),
    ))
}

fn collected(id: &str) -> Response {
    problem(
        StatusCode::NOT_FOUND,
        &format!("the output of task '{id}' is there no more: its sandbox was collected"),
        Some(
            "agents keep sandboxes for --gc-delay, and less long when their disk has no --gc-disk-headroom",
        ),
    )
}

/// Waits until the task has an agent. Facts tell when to look again.
async fn placed(
    shared: &Arc<Shared>,
    framework: Option<&str>,
    id: &str,
    reader: &Reader,
    query: &str,
) -> Result<Source, Response> {
    let mut subscription = None;
    loop {
        let view = shared.view();
        match find(&view, framework, id)? {
            Found::Task(task) if task.agent == AgentKey::NONE => {
                let end = end_without_launch(&view, framework, id)?;
                return Err(reader.ended(&end.unwrap_or_default()));
            }
            Found::Task(task) => return source(&view, task, query),
            Found::Pending(_) if !reader.follow => {
                // Not an error: a task that waits for a place has no output yet.
                return Err(reader.with(""));
            }
            Found::Pending(_) => {}
        }
        match &mut subscription {
            // The first look came before the subscription: look once more.
            None => subscription = Some(shared.hub.subscribe()),
            Some(facts) => {
                if facts.next().await.is_none() {
                    subscription = Some(shared.hub.subscribe());
                }
            }
        }
    }
}

fn source(view: &View, task: &TaskRecord, query: &str) -> Result<Source, Response> {
    let Some(agent) = view.records.agents.get(task.agent.index()) else {
        let detail = format!("the agent that ran task '{}' is no longer known", task.id);
        return Err(problem(StatusCode::NOT_FOUND, &detail, None));
    };
    let component = |text: &str| percent_encode(text).replace('/', "%2F");
    Ok(Source {
        authority: format!("{}:{}", agent.ip, agent.info.port.unwrap_or(5051)),
        path: format!(
            "/v1/tasks/{}/{}/logs{query}",
            component(framework_id(view, task)),
            component(&task.id)
        ),
    })
}

/// The last status of a task that is terminal for the master.
fn end_without_launch(
    view: &View,
    framework: Option<&str>,
    id: &str,
) -> Result<Option<v1::TaskStatus>, Response> {
    let Found::Task(task) = find(view, framework, id)? else {
        return Ok(None);
    };
    if task.list != TaskList::Completed && task.finished_at.is_none() {
        return Ok(None);
    }
    let wire = v1::Task::decode(&*task.wire).unwrap_or_default();
    let fallback = v1::TaskStatus {
        state: task.state as i32,
        ..v1::TaskStatus::default()
    };
    Ok(Some(wire.statuses.last().cloned().unwrap_or(fallback)))
}

fn pass_through(mut answer: ClientResponse, format: OutputFormat) -> Response {
    let (sender, reader) = stream(StreamLimits {
        max_records: 256,
        max_bytes: 1 << 20,
    });
    tokio::spawn(async move {
        loop {
            let piece = tokio::select! {
                piece = answer.next_piece() => piece,
                () = sender.closed() => break,
            };
            let Ok(Some(piece)) = piece else { break };
            if sender.send_waiting(piece).await.is_err() {
                break;
            }
        }
        sender.end();
    });
    respond::streaming(format.content_type(), reader)
}

async fn agent_refused(source: &Source, answer: ClientResponse) -> Response {
    let status = answer.status;
    let body = answer.read(64 << 10).await.unwrap_or_default();
    let detail = format!(
        "the agent {} answered {status}: {}",
        source.authority,
        String::from_utf8_lossy(&body)
    );
    problem(StatusCode::BAD_GATEWAY, &detail, None)
}

fn unreachable_agent(source: &Source, error: &ClientError) -> Response {
    let detail = format!("the agent {} cannot be reached: {error}", source.authority);
    problem(
        StatusCode::BAD_GATEWAY,
        &detail,
        Some("its tasks may still run: try again when it is back"),
    )
}
