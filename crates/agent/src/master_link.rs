//! The way to the master: dials, runs the session, and hands what it brings to the core's thread.

use std::sync::Arc;
use std::time::Duration;

use mezz_http::session::{self, Carrier, Session, SessionConfig};
use mezz_proto::agent_protocol::frame::Body;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::inbox::{Inbox, Input};

/// The channel of an agent that has a connection of its own.
const CHANNEL: u32 = 1;
/// How long the last words may take to leave.
const FLUSH_DEADLINE: Duration = Duration::from_millis(500);

/// At most one attempt or session at a time.
#[derive(Debug)]
pub(crate) struct MasterLink {
    masters: Vec<String>,
    runtime: Handle,
    inbox: Arc<Inbox>,
    link: u64,
    task: Option<JoinHandle<()>>,
    sender: Option<session::Sender>,
}

impl MasterLink {
    pub(crate) fn new(masters: Vec<String>, runtime: Handle, inbox: Arc<Inbox>) -> Self {
        Self {
            masters,
            runtime,
            inbox,
            link: 0,
            task: None,
            sender: None,
        }
    }

    /// Begins an attempt; an earlier one is given up.
    pub(crate) fn dial(&mut self) {
        self.drop_session();
        self.link += 1;
        let (link, inbox, masters) = (self.link, Arc::clone(&self.inbox), self.masters.clone());
        self.task = Some(self.runtime.spawn(async move {
            let reason = run_session(link, &inbox, &masters).await;
            inbox.put(Input::MasterDown { link, reason });
        }));
    }

    /// Ends the session or the attempt; the end is told like any other.
    pub(crate) fn hang_up(&mut self) {
        self.drop_session();
        self.inbox.put(Input::MasterDown {
            link: self.link,
            reason: "hung up".to_owned(),
        });
    }

    /// Whether this is news of the present session.
    pub(crate) fn is_current(&self, link: u64) -> bool {
        link == self.link
    }

    pub(crate) fn on_up(&mut self, sender: session::Sender) {
        self.sender = Some(sender);
    }

    /// Forgets the session; `false` if it was forgotten before.
    pub(crate) fn on_down(&mut self) -> bool {
        self.link += 1;
        self.sender = None;
        self.task.take().is_some()
    }

    /// Sends what belongs together in one go. A session that broke tells so by itself.
    pub(crate) fn send(&self, bodies: &mut Vec<Body>) {
        if let Some(sender) = &self.sender
            && let Err(error) = sender.send_all(bodies.drain(..).map(|body| (CHANNEL, body)))
        {
            tracing::debug!(%error, "the session takes no more");
        }
        bodies.clear();
    }

    /// Lets what is queued leave, then ends the session.
    pub(crate) fn finish(mut self) {
        if let Some(sender) = self.sender.take() {
            let wait = async { tokio::time::timeout(FLUSH_DEADLINE, sender.flushed()).await };
            if self.runtime.block_on(wait).is_err() {
                tracing::warn!("the master did not take the last words of this agent");
            }
            sender.close();
        }
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    fn drop_session(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.close();
        }
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Runs one attempt to its end and says why it ended.
async fn run_session(link: u64, inbox: &Arc<Inbox>, masters: &[String]) -> String {
    let carrier = match reach(masters).await {
        Ok(carrier) => carrier,
        Err(reason) => return reason,
    };
    let (sender, mut receiver) = Session::new(carrier, SessionConfig::default());
    inbox.put(Input::MasterUp { link, sender });
    let mut bodies = Vec::new();
    loop {
        match receiver.next_batch(&mut bodies).await {
            Ok(true) => inbox.put(Input::FromMaster {
                link,
                bodies: std::mem::take(&mut bodies),
            }),
            Ok(false) => return "the master ended the session".to_owned(),
            Err(error) => return error.to_string(),
        }
    }
}

/// The first master that takes us; all reasons if none does.
async fn reach(masters: &[String]) -> Result<Carrier, String> {
    let mut reasons = Vec::new();
    for master in masters {
        match session::dial_once(master).await {
            Ok(carrier) => return Ok(carrier),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(reasons.join("; "))
}
