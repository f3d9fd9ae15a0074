//! The way into the core's thread: anybody puts inputs in, one thread takes them all at once.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mezz_agent_core::{
    AgentRecords, ContainerAnswer, ContainerCall, ContainerFacts, Event, LaunchId, RequestId,
};
use mezz_http::session;
use mezz_http::stream::StreamReader;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1::executor;
use mezz_warden::Usage;
use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::oneshot;

use crate::preparing::Prepared;
use crate::streams::Encoding;

/// One thing for the core's thread.
#[derive(Debug)]
pub(crate) enum Input {
    /// An event as it is.
    Event(Event),
    /// A session stands; `link` tells this attempt from earlier ones.
    MasterUp { link: u64, sender: session::Sender },
    /// What a session brought.
    FromMaster { link: u64, bodies: Vec<(u32, Body)> },
    /// A session or an attempt ended.
    MasterDown { link: u64, reason: String },
    /// A launch was prepared, or nothing is left of it.
    Prepared {
        launch_id: LaunchId,
        outcome: Result<Box<Prepared>, String>,
    },
    /// What could only be learned of a container that runs.
    Started {
        launch_id: LaunchId,
        facts: Box<ContainerFacts>,
    },
    /// A container that is elsewhere was told to end; now its process is to.
    KillTree { launch_id: LaunchId },
    /// A call to the executor API.
    ExecutorCall {
        call: Box<executor::Call>,
        encoding: Encoding,
        answer: oneshot::Sender<ExecutorAnswer>,
    },
    /// A call about a container that no executor stands for.
    ContainerCall {
        request: RequestId,
        call: Box<ContainerCall>,
        answer: oneshot::Sender<ContainerAnswer>,
    },
    /// A container is to see the end of its standard input.
    LastOfStdin { launch_id: LaunchId },
    /// Somebody wants to see the agent.
    View {
        answer: oneshot::Sender<Arc<AgentRecords>>,
    },
    /// Somebody wants to know what containers use.
    Usage {
        launches: Vec<LaunchId>,
        answer: oneshot::Sender<Vec<(LaunchId, Usage)>>,
    },
    /// Somebody waits for the end of a container.
    WatchExit {
        launch_id: LaunchId,
        answer: oneshot::Sender<i32>,
    },
    /// Somebody asks how a container has ended.
    KnownExit {
        launch_id: LaunchId,
        answer: oneshot::Sender<Option<i32>>,
    },
}

/// What the executor API answers.
#[derive(Debug)]
pub(crate) enum ExecutorAnswer {
    Outcome(mezz_agent_core::CallOutcome),
    Stream(StreamReader),
}

#[derive(Debug, Default)]
struct Queue {
    inputs: Vec<Input>,
    /// Nobody reads any more.
    closed: bool,
}

/// The queue and the descriptor by which its reader is woken.
#[derive(Debug)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    wake: OwnedFd,
    /// Names calls about containers.
    calls: AtomicU64,
}

impl Inbox {
    pub(crate) fn new() -> std::io::Result<Arc<Self>> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Self {
            queue: Mutex::default(),
            wake,
            calls: AtomicU64::new(0),
        }))
    }

    /// Puts one input in; the reader is woken only by the first of a batch.
    pub(crate) fn put(&self, input: Input) {
        let mut queue = self.lock();
        if queue.closed {
            return;
        }
        queue.inputs.push(input);
        let first = queue.inputs.len() == 1;
        drop(queue);
        if first {
            // The counter cannot overflow: it is reset at each batch.
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
    }

    /// Takes everything; `into` must be empty and its room is reused.
    pub(crate) fn take(&self, into: &mut Vec<Input>) {
        let mut counter = [0; 8];
        let _ = rustix::io::read(&self.wake, &mut counter);
        std::mem::swap(&mut self.lock().inputs, into);
    }

    /// Drops what is in it and all that comes: whoever waits for an answer learns that there is none.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        let dropped = std::mem::take(&mut queue.inputs);
        drop(queue);
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Readable when there is something.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// The agent at this moment; `None` when its core has stopped.
    pub(crate) async fn view(&self) -> Option<Arc<AgentRecords>> {
        let (answer, view) = oneshot::channel();
        self.put(Input::View { answer });
        view.await.ok()
    }

    /// Like [`Inbox::view`], for threads that may block.
    pub(crate) fn view_blocking(&self) -> Option<Arc<AgentRecords>> {
        let (answer, view) = oneshot::channel();
        self.put(Input::View { answer });
        view.blocking_recv().ok()
    }

    /// Hands in a call about a container.
    pub(crate) fn put_container_call(
        &self,
        call: ContainerCall,
        answer: oneshot::Sender<ContainerAnswer>,
    ) -> RequestId {
        let request = RequestId(self.calls.fetch_add(1, Ordering::Relaxed));
        self.put(Input::ContainerCall {
            request,
            call: Box::new(call),
            answer,
        });
        request
    }

    /// What becomes of a call about a container; `None` when the core has stopped. The core is told when nobody waits
    /// any more.
    pub(crate) async fn container_call(
        self: &Arc<Self>,
        call: ContainerCall,
    ) -> Option<ContainerAnswer> {
        struct Waiting {
            inbox: Arc<Inbox>,
            request: Option<RequestId>,
        }
        impl Drop for Waiting {
            fn drop(&mut self) {
                if let Some(request) = self.request {
                    let gone = Event::ContainerCallerGone { request };
                    self.inbox.put(Input::Event(gone));
                }
            }
        }
        let (answer, answered) = oneshot::channel();
        let request = self.put_container_call(call, answer);
        let mut waiting = Waiting {
            inbox: Arc::clone(self),
            request: Some(request),
        };
        let answer = answered.await.ok();
        waiting.request = None;
        answer
    }

    /// What containers use; those that nobody knows any more are left out.
    pub(crate) async fn usage(&self, launches: Vec<LaunchId>) -> Vec<(LaunchId, Usage)> {
        if launches.is_empty() {
            return Vec::new();
        }
        let (answer, usage) = oneshot::channel();
        self.put(Input::Usage { launches, answer });
        usage.await.unwrap_or_default()
    }

    /// The wait status of a container once it has ended; `None` when it was not learned.
    pub(crate) async fn exit(&self, launch_id: LaunchId) -> Option<i32> {
        let (answer, exit) = oneshot::channel();
        self.put(Input::WatchExit { launch_id, answer });
        exit.await.ok()
    }

    /// The wait status of a container if its end was seen.
    pub(crate) async fn known_exit(&self, launch_id: LaunchId) -> Option<i32> {
        let (answer, exit) = oneshot::channel();
        self.put(Input::KnownExit { launch_id, answer });
        exit.await.ok().flatten()
    }
}
