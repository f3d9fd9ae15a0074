//! Streams to and from containers: ATTACH_CONTAINER_INPUT, ATTACH_CONTAINER_OUTPUT, LAUNCH_NESTED_CONTAINER_SESSION.
//!
//! Owns the records on the wire; the far ends of containers are in `container_io`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use mezz_agent_core::{ContainerAnswer, ContainerCall, ContainerPath, LaunchId};
use mezz_http::negotiate::MediaType;
use mezz_http::stream::{StreamError, StreamLimits, StreamSender, stream};
use mezz_http::{Request, Response, respond};
use mezz_proto::v1::DurationInfo;
use mezz_proto::v1::agent::call::{AttachContainerInput, Type, attach_container_input};
use mezz_proto::v1::agent::process_io::{self, control, data};
use mezz_proto::v1::agent::{Call, ProcessIo};
use mezz_proto::{recordio, to_json_ascii};
use prost::Message as _;
use tokio::sync::mpsc;

use super::container_calls::{self, path};
use super::media_types::MediaTypes;
use super::{AgentHttp, operator_api};
use crate::container_io::{
    Channel, ContainerIo, InputError, InputHold, Output, OutputStream, Size,
};
use crate::inbox::{Inbox, Input};

/// The longest record of input.
const LONGEST_RECORD: usize = 16 << 20;
/// How long a writer whose container has no output any more may take to notice.
const AFTER_OUTPUT: Duration = Duration::from_secs(1);
/// What Mesos says where nobody holds the far ends.
const NO_SWITCHBOARD: &str = "I/O switchboard server was disabled for this container";

/// What Mesos says where they are gone.
const SHUT_DOWN: &str = "I/O switchboard has shutdown";

/// Ends a session when it is dropped, however that comes about.
pub(super) struct Session {
    path: ContainerPath,
    launch_id: LaunchId,
    inbox: Arc<Inbox>,
    container_io: Arc<ContainerIo>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.container_io.forget(self.launch_id);
        let (answer, _) = tokio::sync::oneshot::channel();
        let path = self.path.clone();
        self.inbox
            .put_container_call(ContainerCall::Destroy { path }, answer);
    }
}

impl Session {
    pub(super) fn new(agent: &AgentHttp, path: ContainerPath, launch_id: LaunchId) -> Self {
        Self {
            path,
            launch_id,
            inbox: Arc::clone(&agent.inbox),
            container_io: Arc::clone(&agent.container_io),
        }
    }

    /// The far ends of its container.
    pub(super) async fn channel(&self) -> Result<Arc<Channel>, Response> {
        self.container_io
            .find(self.launch_id)
            .await
            .ok_or_else(|| no_switchboard(NO_SWITCHBOARD))
    }
}

/// LAUNCH_NESTED_CONTAINER_SESSION.
pub(super) async fn session(
    agent: &AgentHttp,
    call: Call,
    types: MediaTypes,
) -> Result<Response, Response> {
    let launch = container_calls::session(call)?;
    let path = launch.path.clone();
    let answer = container_calls::ask(agent, ContainerCall::Launch(Box::new(launch))).await?;
    let ContainerAnswer::Launched { launch_id } = answer else {
        let kind = Type::LaunchNestedContainerSession;
        return Ok(container_calls::respond_with(answer, kind, types.accept));
    };
    let session = Session::new(agent, path, launch_id);
    let channel = session.channel().await?;
    Ok(outgoing(agent, &channel, types, Some(session)))
}

/// ATTACH_CONTAINER_OUTPUT.
pub(super) async fn output(
    agent: &AgentHttp,
    call: &Call,
    types: MediaTypes,
) -> Result<Response, Response> {
    let asked = call.attach_container_output.clone().unwrap_or_default();
    let channel = find(agent, &path(&asked.container_id)?).await?;
    Ok(outgoing(agent, &channel, types, None))
}

/// The far ends of a container of this name.
pub(super) async fn find(
    agent: &AgentHttp,
    path: &ContainerPath,
) -> Result<Arc<Channel>, Response> {
    let launch_id = launch_of(agent, path).await?;
    let found = agent.container_io.find(launch_id).await;
    found.ok_or_else(|| no_switchboard(NO_SWITCHBOARD))
}

async fn launch_of(agent: &AgentHttp, path: &ContainerPath) -> Result<LaunchId, Response> {
    let records = agent.view().await?;
    let nested = records
        .containers
        .iter()
        .find(|container| container.path == *path && container.pid.is_some())
        .map(|container| container.launch_id);
    let of_executor = || {
        let mut executors = super::shown::executors(&records);
        let found = executors.find(|(_, executor)| {
            path.depth() == 0
                && executor.pid.is_some()
                && executor.container_id.to_string() == path.root()
        });
        found.map(|(_, executor)| executor.launch_id)
    };
    nested.or_else(of_executor).ok_or_else(|| {
        // Clients take this for the end of a container that they were about to write to.
        let mut others = records.containers.iter().map(|other| &other.path);
        let mut executors = super::shown::executors(&records);
        let root_is_known = others.any(|other| other.root() == path.root())
            || executors.any(|(_, executor)| executor.container_id.to_string() == path.root());
        if root_is_known {
            return no_switchboard(SHUT_DOWN);
        }
        let text = format!("Container {path} cannot be found");
        respond::text(StatusCode::NOT_FOUND, text)
    })
}

fn no_switchboard(text: &str) -> Response {
    respond::text(StatusCode::INTERNAL_SERVER_ERROR, text)
}

/// The stream of a container's output. A session lasts as long as it.
fn outgoing(
    agent: &AgentHttp,
    channel: &Arc<Channel>,
    types: MediaTypes,
    session: Option<Session>,
) -> Response {
    let output = agent.container_io.attach(channel);
    let (sender, reader) = stream(StreamLimits {
        max_records: 64,
        max_bytes: 4 << 20,
    });
    let heartbeat = agent.heartbeat;
    let media = types.message_accept;
    tokio::spawn(async move {
        // A reader that has gone needs no answer.
        let _ = relay(&sender, output, media, heartbeat).await;
        drop(session);
        sender.end();
    });
    let mut response = respond::streaming(types.accept.name(), reader);
    if types.accept == MediaType::RecordIo {
        let name = HeaderValue::from_static(media.name());
        response.headers_mut().insert("Message-Content-Type", name);
    }
    response
}

async fn relay(
    sender: &StreamSender,
    mut output: mpsc::Receiver<Output>,
    media: MediaType,
    heartbeat: Duration,
) -> Result<(), StreamError> {
    let mut beat = tokio::time::interval(heartbeat.max(Duration::from_millis(1)));
    loop {
        let record = tokio::select! {
            piece = output.recv() => match piece {
                Some(piece) => of_output(piece),
                None => return Ok(()),
            },
            _ = beat.tick() => of_heartbeat(heartbeat),
            () = sender.closed() => return Err(StreamError::Closed),
        };
        sender.send_waiting(encoded(&record, media)).await?;
    }
}

fn encoded(record: &ProcessIo, media: MediaType) -> Bytes {
    match media {
        MediaType::Protobuf => recordio::encode(&record.encode_to_vec()),
        MediaType::Json | MediaType::RecordIo => recordio::encode(&to_json_ascii(record)),
    }
}

fn of_output(output: Output) -> ProcessIo {
    let kind = match output.stream {
        OutputStream::Stdout => data::Type::Stdout,
        OutputStream::Stderr => data::Type::Stderr,
    };
    ProcessIo {
        r#type: Some(process_io::Type::Data.into()),
        data: Some(process_io::Data {
            r#type: Some(kind.into()),
            data: Some(output.data),
        }),
        control: None,
    }
}

fn of_heartbeat(interval: Duration) -> ProcessIo {
    let nanoseconds = i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX);
    ProcessIo {
        r#type: Some(process_io::Type::Control.into()),
        data: None,
        control: Some(process_io::Control {
            r#type: Some(control::Type::Heartbeat.into()),
            tty_info: None,
            heartbeat: Some(control::Heartbeat {
                interval: Some(DurationInfo { nanoseconds }),
            }),
        }),
    }
}

/// Calls of a streaming request.
struct Calls {
    request: Request,
    decoder: recordio::Decoder,
    media: MediaType,
}

impl Calls {
    /// The next call; `None` at the end.
    async fn next(&mut self) -> Result<Option<Call>, Response> {
        loop {
            let record = self.decoder.next();
            let record = record.map_err(|error| respond::bad_request(error.to_string()))?;
            if let Some(record) = record {
                return operator_api::decode_call(self.media, &record).map(Some);
            }
            let Some(piece) = self.request.next_piece().await else {
                return Ok(None);
            };
            self.decoder.push(&piece);
        }
    }
}

/// A streaming request: the first record is a call like any other, of which there is one that goes on.
pub(super) async fn streaming(
    agent: &AgentHttp,
    request: Request,
    types: MediaTypes,
) -> Result<Response, Response> {
    let mut calls = Calls {
        request,
        decoder: recordio::Decoder::new(LONGEST_RECORD),
        media: types.message_content,
    };
    let Some(first) = calls.next().await? else {
        return Err(respond::bad_request(
            "Received EOF while reading request body",
        ));
    };
    types.check(first.r#type())?;
    let asked = first.attach_container_input.unwrap_or_default();
    if asked.r#type() != attach_container_input::Type::ContainerId {
        return Err(respond::bad_request(
            "Expecting 'attach_container_input.type' to be CONTAINER_ID",
        ));
    }
    let path = path(&asked.container_id.unwrap_or_default())?;
    let launch_id = launch_of(agent, &path).await?;
    let channel = agent
        .container_io
        .find(launch_id)
        .await
        .ok_or_else(|| no_switchboard(NO_SWITCHBOARD))?;
    let hold = channel.hold_input().ok_or_else(|| {
        respond::text(
            StatusCode::CONFLICT,
            "Multiple input connections are not allowed",
        )
    })?;
    tokio::select! {
        done = incoming(agent, &mut calls, &channel, &hold, launch_id) => done,
        () = over(&channel) => Ok(respond::ok()),
    }
}

/// A while after the container has no output any more.
async fn over(channel: &Channel) {
    channel.ended().await;
    tokio::time::sleep(AFTER_OUTPUT).await;
}

async fn incoming(
    agent: &AgentHttp,
    calls: &mut Calls,
    channel: &Channel,
    hold: &InputHold,
    launch_id: LaunchId,
) -> Result<Response, Response> {
    while let Some(call) = calls.next().await? {
        let asked = call.attach_container_input.unwrap_or_default();
        match piece(asked).map_err(respond::bad_request)? {
            Piece::Nothing => {}
            Piece::Size(size) => channel
                .resize(size)
                .map_err(|error| respond::bad_request(error.to_string()))?,
            Piece::Data(data) if data.is_empty() && !channel.is_terminal() => {
                close_input(&agent.inbox, channel, launch_id);
            }
            Piece::Data(data) => channel
                .write(hold, &data)
                .await
                .map_err(|error: InputError| no_switchboard(&error.to_string()))?,
        }
    }
    Ok(respond::ok())
}

/// Lets the container see the end of its input.
pub(super) fn close_input(inbox: &Inbox, channel: &Channel, launch_id: LaunchId) {
    if channel.close_input() {
        inbox.put(Input::LastOfStdin { launch_id });
    }
}

/// What one record of input is.
enum Piece {
    Nothing,
    Size(Size),
    Data(Bytes),
}

fn piece(asked: AttachContainerInput) -> Result<Piece, String> {
    let expecting = |what: &str| format!("Expecting '{what}' to be present");
    let kind = asked.r#type();
    if kind != attach_container_input::Type::ProcessIo {
        return Err(format!(
            "Expecting 'attach_container_input.type' to be 'PROCESS_IO' instead of: '{}'",
            kind.as_str_name()
        ));
    }
    let message = asked
        .process_io
        .ok_or_else(|| expecting("attach_container_input.process_io"))?;
    if message.r#type.is_none() {
        return Err(expecting("process_io.type"));
    }
    match message.r#type() {
        process_io::Type::Unknown => Err("'process_io.type' is unknown".to_owned()),
        process_io::Type::Control => {
            let control = message
                .control
                .ok_or_else(|| expecting("process_io.control"))?;
            if control.r#type.is_none() {
                return Err(expecting("process_io.control.type"));
            }
            match control.r#type() {
                control::Type::Unknown => Err("'process_io.control.type' is unknown".to_owned()),
                control::Type::Heartbeat => match control.heartbeat {
                    Some(_) => Ok(Piece::Nothing),
                    None => Err(expecting("process_io.control.heartbeat")),
                },
                control::Type::TtyInfo => {
                    let tty = control
                        .tty_info
                        .ok_or_else(|| expecting("process_io.control.tty_info"))?;
                    let size = tty
                        .window_size
                        .ok_or_else(|| expecting("tty_info.window_size"))?;
                    let number = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
                    Ok(Piece::Size(Size {
                        rows: number(size.rows),
                        columns: number(size.columns),
                    }))
                }
            }
        }
        process_io::Type::Data => {
            let data = message.data.ok_or_else(|| expecting("process_io.data"))?;
            if data.r#type.is_none() {
                return Err(expecting("process_io.data.type"));
            }
            if data.r#type() != data::Type::Stdin {
                return Err("Expecting 'process_io.data.type' to be 'STDIN'".to_owned());
            }
            let bytes = data.data.ok_or_else(|| expecting("process_io.data.data"))?;
            Ok(Piece::Data(bytes))
        }
    }
}
