//! Simulated agents: many on one connection, each with a channel of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::{Bytes, BytesMut};
use mezz_bench::shapes::encoded;
use mezz_http::session::dial;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{self as agent, Hello};
use mezz_proto::v1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use super::frames::{Outgoing, WINDOW, take_frames};

/// What an agent does with tasks that it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// RUNNING, and when that is acknowledged FINISHED.
    Finish,
    /// RUNNING only.
    KeepRunning,
    /// FINISHED, but FAILED for one of a hundred.
    EndAtOnce,
}

/// What an agent says when it has been admitted: a registration, encoded ahead of time.
pub(crate) type Registration = Bytes;

/// What the agents have seen together.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) registered: AtomicU64,
    pub(crate) launched: AtomicU64,
    /// Updates that were acknowledged.
    pub(crate) acknowledged: AtomicU64,
    pub(crate) pings: AtomicU64,
    broken: Mutex<Option<String>>,
}

/// Agents that are connected for as long as this lives.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) counters: Arc<Counters>,
    /// Ids by the position of the registration, as far as they were given.
    ids: Arc<Mutex<Vec<String>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Fleet {
    /// Dials and registers all agents, `per_connection` on each connection.
    pub(crate) fn start(
        runtime: &Runtime,
        master: &str,
        registrations: &[Registration],
        per_connection: usize,
        duty: Duty,
    ) -> Self {
        let counters = Arc::new(Counters::default());
        let ids = Arc::new(Mutex::new(vec![String::new(); registrations.len()]));
        let tasks = registrations
            .chunks(per_connection)
            .enumerate()
            .map(|(number, chunk)| {
                let connection = Connection {
                    first: number * per_connection,
                    registrations: chunk.to_vec(),
                    duty,
                    counters: Arc::clone(&counters),
                    ids: Arc::clone(&ids),
                    own_ids: vec![v1::AgentId::default(); chunk.len()],
                    held: HashMap::new(),
                    next_uuid: (number as u128) << 64,
                };
                let (master, counters) = (master.to_owned(), Arc::clone(&counters));
                runtime.spawn(async move {
                    if let Err(error) = connection.run(&master).await {
                        counters
                            .broken
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .get_or_insert(error.to_string());
                    }
                })
            })
            .collect();
        Self {
            counters,
            ids,
            tasks,
        }
    }

    /// Waits until all have registered and returns their ids.
    pub(crate) fn registered(&self, limit: Duration) -> Result<Vec<String>> {
        let end = Instant::now() + limit;
        let wanted = self.ids().len() as u64;
        loop {
            self.check()?;
            let registered = self.counters.registered.load(Ordering::Relaxed);
            if registered >= wanted {
                return Ok(self.ids());
            }
            if Instant::now() > end {
                bail!("{registered} of {wanted} agents registered within {limit:?}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn ids(&self) -> Vec<String> {
        self.ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Fails when a connection was lost.
    pub(crate) fn check(&self) -> Result<()> {
        let broken = self.counters.broken.lock();
        match &*broken.unwrap_or_else(PoisonError::into_inner) {
            Some(error) => bail!("a connection of simulated agents broke: {error}"),
            None => Ok(()),
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// An update that waits to be acknowledged.
struct Held {
    framework_id: v1::FrameworkId,
    task_id: v1::TaskId,
}

struct Connection {
    /// Position of the first agent of this connection.
    first: usize,
    registrations: Vec<Registration>,
    duty: Duty,
    counters: Arc<Counters>,
    ids: Arc<Mutex<Vec<String>>>,
    own_ids: Vec<v1::AgentId>,
    held: HashMap<u128, Held>,
    next_uuid: u128,
}

impl Connection {
    async fn run(mut self, master: &str) -> Result<()> {
        let mut io = dial(master).await?;
        let mut out = Outgoing::default();
        let hello = encoded(Body::Hello(Hello {
            protocol_version: 1,
            mezz_version: env!("CARGO_PKG_VERSION").into(),
            boot_id: "boot".into(),
            window: Some(WINDOW),
            ..Hello::default()
        }));
        for channel in 1..=self.registrations.len() {
            out.ordered(u32::try_from(channel)?, hello.clone());
        }
        let mut buffer = BytesMut::with_capacity(256 * 1024);
        loop {
            if !out.buffer.is_empty() {
                io.write_all(&out.buffer).await?;
                out.buffer.clear();
            }
            buffer.reserve(128 * 1024);
            if io.read_buf(&mut buffer).await? == 0 {
                bail!("the master closed it");
            }
            let mut refused = None;
            take_frames(&mut buffer, &mut out, |out, channel, body| {
                if let Err(error) = self.on_body(out, channel, body) {
                    refused = Some(error);
                }
            })?;
            if let Some(error) = refused {
                return Err(error);
            }
            out.settle();
        }
    }

    fn on_body(&mut self, out: &mut Outgoing, channel: u32, body: Body) -> Result<()> {
        let index = channel as usize - 1;
        match body {
            Body::Admitted(_) => {
                out.ordered(channel, std::mem::take(&mut self.registrations[index]));
            }
            Body::Registered(registered) => {
                self.own_ids[index] = registered.agent_id.clone();
                let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
                ids[self.first + index] = registered.agent_id.value;
                drop(ids);
                self.counters.registered.fetch_add(1, Ordering::Relaxed);
            }
            Body::Refused(refused) => bail!("refused: {}", refused.message),
            Body::Ping(_) => {
                self.counters.pings.fetch_add(1, Ordering::Relaxed);
                out.unordered(channel, &encoded(Body::Pong(agent::Pong {})));
            }
            Body::RunTasks(run) => self.on_run(out, channel, run),
            Body::AcknowledgeUpdate(acknowledged) => {
                self.on_acknowledged(out, channel, &acknowledged);
            }
            _ => {}
        }
        Ok(())
    }

    fn on_run(&mut self, out: &mut Outgoing, channel: u32, run: agent::RunTasks) {
        let count = run.tasks.len() as u64;
        self.counters.launched.fetch_add(count, Ordering::Relaxed);
        for task in run.tasks {
            let held = Held {
                framework_id: run.framework_id.clone(),
                task_id: task.task.task_id,
            };
            self.next_uuid += 1;
            let state = match self.duty {
                Duty::Finish | Duty::KeepRunning => v1::TaskState::TaskRunning,
                Duty::EndAtOnce if self.next_uuid.is_multiple_of(100) => v1::TaskState::TaskFailed,
                Duty::EndAtOnce => v1::TaskState::TaskFinished,
            };
            let body = self.update(channel, &held, state);
            out.ordered(channel, body);
            self.held.insert(self.next_uuid, held);
        }
    }

    fn on_acknowledged(
        &mut self,
        out: &mut Outgoing,
        channel: u32,
        acknowledged: &agent::AcknowledgeUpdate,
    ) {
        let Ok(uuid) = <[u8; 16]>::try_from(acknowledged.uuid.as_ref()) else {
            return;
        };
        let Some(held) = self.held.remove(&u128::from_be_bytes(uuid)) else {
            return;
        };
        self.counters.acknowledged.fetch_add(1, Ordering::Relaxed);
        if self.duty == Duty::Finish {
            self.next_uuid += 1;
            let body = self.update(channel, &held, v1::TaskState::TaskFinished);
            out.ordered(channel, body);
        }
    }

    fn update(&self, channel: u32, held: &Held, state: v1::TaskState) -> Bytes {
        let agent_id = self.own_ids[channel as usize - 1].clone();
        update(held, agent_id, state, self.next_uuid)
    }
}

fn update(held: &Held, agent_id: v1::AgentId, state: v1::TaskState, uuid: u128) -> Bytes {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    encoded(Body::StatusUpdate(agent::StatusUpdate {
        framework_id: held.framework_id.clone(),
        status: v1::TaskStatus {
            task_id: held.task_id.clone(),
            agent_id: Some(agent_id),
            state: state as i32,
            source: Some(v1::task_status::Source::Executor as i32),
            uuid: Some(Bytes::copy_from_slice(&uuid.to_be_bytes())),
            timestamp: Some(now.as_secs_f64()),
            ..v1::TaskStatus::default()
        },
        latest_state: Some(state as i32),
        executor_id: None,
    }))
}
