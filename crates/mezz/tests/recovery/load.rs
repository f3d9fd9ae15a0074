//! A framework that lives through the death of whatever it speaks to: it subscribes again under its id, asks for
//! the state of what it waits for, and writes down all it hears.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use mezz_testkit::framework::{command_task, framework_info};
use mezz_testkit::http_client::{Client, Request};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/scheduler";
/// How often it asks for the state of tasks that it has not heard the end of.
const RECONCILE_EVERY: Duration = Duration::from_millis(500);
/// Tasks to one ACCEPT.
const AT_ONCE: usize = 100;
/// What a task whose name begins with `heavy` carries about: enough of them make a journal long.
const HEAVY_BYTES: usize = 3 << 20;

/// What is known of a task.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    /// Where it was sent.
    pub(crate) agent: Option<Value>,
    /// What it runs, for when its offer was taken back before it came.
    command: String,
    /// Every update, in its order, without answers to reconciliation that say nothing new.
    pub(crate) updates: Vec<Value>,
}

impl Seen {
    /// The states heard, without repetitions.
    pub(crate) fn states(&self) -> Vec<&str> {
        let mut states: Vec<&str> = self
            .updates
            .iter()
            .filter_map(|status| status["state"].as_str())
            .collect();
        states.dedup();
        states
    }

    /// The state it ended in.
    pub(crate) fn end(&self) -> Option<&str> {
        self.states().into_iter().find(|state| is_terminal(state))
    }

    /// The update that told its end.
    pub(crate) fn last_words(&self) -> &Value {
        self.updates
            .iter()
            .find(|status| is_terminal(status["state"].as_str().unwrap_or_default()))
            .unwrap_or(&Value::Null)
    }
}

pub(crate) fn is_terminal(state: &str) -> bool {
    !matches!(
        state,
        "TASK_STAGING" | "TASK_STARTING" | "TASK_RUNNING" | "TASK_KILLING" | "TASK_UNREACHABLE"
    )
}

/// The framework.
pub(crate) struct Load {
    client: Client,
    info: Value,
    stream: Option<(String, Receiver<Value>)>,
    waiting: VecDeque<(String, String)>,
    /// Tasks to be killed, and asked for again until they have ended.
    unwanted: BTreeSet<String>,
    /// Everything that was ever sent.
    pub(crate) tasks: BTreeMap<String, Seen>,
    /// Resources that are held instead of used: offers not yet answered.
    asked_at: Instant,
    /// How often it had to subscribe.
    pub(crate) subscriptions: usize,
}

impl Load {
    /// A framework of this name that checkpoints.
    pub(crate) fn new(master: &str, name: &str) -> Self {
        Self::with(master, framework_info(name, &["*"]))
    }

    pub(crate) fn with(master: &str, info: Value) -> Self {
        Self {
            client: Client::new(master),
            info,
            stream: None,
            waiting: VecDeque::new(),
            unwanted: BTreeSet::new(),
            tasks: BTreeMap::new(),
            asked_at: Instant::now(),
            subscriptions: 0,
        }
    }

    /// The id that the first master gave.
    pub(crate) fn id(&self) -> &str {
        self.info["id"]["value"].as_str().unwrap_or_default()
    }

    /// Wants a task to be run, once.
    pub(crate) fn want(&mut self, id: impl Into<String>, command: impl Into<String>) {
        self.waiting.push_back((id.into(), command.into()));
    }

    /// Kills a task, however often that takes.
    pub(crate) fn kill(&mut self, id: &str) {
        self.unwanted.insert(id.to_owned());
        self.call("KILL", json!({"task_id": {"value": id}}));
    }

    /// Ends the framework.
    pub(crate) fn leave(mut self) {
        self.call("TEARDOWN", Value::Null);
    }

    /// Whether nothing waits for an offer.
    pub(crate) fn is_all_sent(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether every task that was wanted has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.open().next().is_none()
    }

    /// Handles what comes until `done` holds; panics with the state of all tasks when it does not in time.
    #[track_caller]
    pub(crate) fn until(
        &mut self,
        what: &str,
        limit: Duration,
        mut done: impl FnMut(&Self) -> bool,
    ) {
        let deadline = Instant::now() + limit;
        while !done(self) {
            assert!(
                Instant::now() < deadline,
                "not within {limit:?}: {what}\nwaiting: {:?}\n{}",
                self.waiting,
                self.summary()
            );
            self.step();
        }
    }

    /// Goes on until every task that was wanted has ended.
    #[track_caller]
    pub(crate) fn until_all_ended(&mut self, limit: Duration) {
        self.until("every task has ended", limit, Self::is_over);
    }

    /// Goes on for a while, to hear what should not be said.
    pub(crate) fn listen(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.step();
        }
    }

    /// How many tasks are in this state now.
    pub(crate) fn count(&self, state: &str) -> usize {
        self.tasks
            .values()
            .filter(|seen| seen.states().last() == Some(&state))
            .count()
    }

    fn open(&self) -> impl Iterator<Item = (&String, &Seen)> {
        self.tasks.iter().filter(|(_, seen)| seen.end().is_none())
    }

    /// One line a task, for the reader of a failure; tasks of the same fate share it.
    pub(crate) fn summary(&self) -> String {
        let mut fates: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (id, seen) in &self.tasks {
            let reason = seen
                .updates
                .last()
                .map(|status| format!("{} {}", status["reason"], status["message"]));
            fates
                .entry(format!(
                    "{:?} {}",
                    seen.states(),
                    reason.unwrap_or_default()
                ))
                .or_default()
                .push(id);
        }
        let lines: Vec<String> = fates
            .iter()
            .map(|(fate, ids)| format!("{} × {fate}: {:?}", ids.len(), &ids[..ids.len().min(4)]))
            .collect();
        lines.join("\n")
    }

    /// One event, or a short wait for one.
    pub(crate) fn step(&mut self) {
        let Some((_, events)) = &self.stream else {
            if !self.subscribe() {
                std::thread::sleep(Duration::from_millis(10));
            }
            return;
        };
        match events.recv_timeout(Duration::from_millis(20)) {
            Ok(event) => self.on_event(&event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.stream = None,
        }
        if self.stream.is_some() && self.asked_at.elapsed() > RECONCILE_EVERY {
            self.reconcile();
        }
    }

    fn subscribe(&mut self) -> bool {
        let mut call = json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": self.info}});
        if let Some(id) = self.info.get("id") {
            call["framework_id"] = id.clone();
        }
        let Ok(mut events) = self.client.open(&Request::json(PATH, &call)) else {
            return false;
        };
        if events.status != 200 {
            return false;
        }
        let stream_id = events
            .header("Mesos-Stream-Id")
            .unwrap_or_default()
            .to_owned();
        let Ok(Some(first)) = events.next_json() else {
            return false;
        };
        assert_eq!(first["type"], "SUBSCRIBED", "{first}");
        self.info["id"] = first["subscribed"]["framework_id"].clone();
        self.subscriptions += 1;
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            while let Ok(Some(event)) = events.next_json() {
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        self.stream = Some((stream_id, receiver));
        self.reconcile();
        true
    }

    /// Sends a call; what fails because the master is gone is settled after the next subscription.
    fn call(&mut self, kind: &str, contents: Value) {
        let Some((stream_id, _)) = &self.stream else {
            return;
        };
        let call =
            json!({"type": kind, "framework_id": self.info["id"], kind.to_lowercase(): contents});
        let answer = self
            .client
            .send(&Request::json(PATH, &call).header("Mesos-Stream-Id", stream_id));
        if let Ok(answer) = answer {
            // A new master does not know the stream of the old one.
            let known = matches!(answer.status, 202 | 403 | 503)
                || answer.text().contains("subscri")
                || answer.text().contains("stream");
            assert!(known, "{kind}: {} {}", answer.status, answer.text());
        }
    }

    fn reconcile(&mut self) {
        self.asked_at = Instant::now();
        let tasks: Vec<Value> = self
            .open()
            .map(|(id, seen)| json!({"task_id": {"value": id}, "agent_id": seen.agent}))
            .collect();
        if !tasks.is_empty() {
            self.call("RECONCILE", json!({"tasks": tasks}));
        }
        let unwanted: Vec<String> = self
            .open()
            .filter(|(id, _)| self.unwanted.contains(*id))
            .map(|(id, _)| id.clone())
            .collect();
        for id in unwanted {
            self.call("KILL", json!({"task_id": {"value": id}}));
        }
    }

    fn on_event(&mut self, event: &Value) {
        match event["type"].as_str().unwrap_or_default() {
            "OFFERS" => {
                for offer in event["offers"]["offers"].as_array().into_iter().flatten() {
                    self.on_offer(offer);
                }
            }
            "UPDATE" => self.on_update(&event["update"]["status"]),
            "ERROR" => panic!("the master says {event}"),
            _ => {}
        }
    }

    fn on_offer(&mut self, offer: &Value) {
        let count = self.waiting.len().min(AT_ONCE).min(tasks_that_fit(offer));
        if count == 0 {
            let filters = json!({"refuse_seconds": 0.2});
            return self.call(
                "DECLINE",
                json!({"offer_ids": [offer["id"]], "filters": filters}),
            );
        }
        let mut infos = Vec::new();
        for (id, command) in self.waiting.drain(..count) {
            let mut info = command_task(offer, &id, &command);
            if id.starts_with("heavy") {
                info["labels"] =
                    json!({"labels": [{"key": "ballast", "value": "x".repeat(HEAVY_BYTES)}]});
            }
            infos.push(info);
            let seen = Seen {
                agent: Some(offer["agent_id"].clone()),
                command,
                updates: Vec::new(),
            };
            assert!(
                self.tasks.insert(id.clone(), seen).is_none(),
                "{id} was wanted twice"
            );
        }
        let operations = json!([{"type": "LAUNCH", "launch": {"task_infos": infos}}]);
        let filters = json!({"refuse_seconds": 0.0});
        self.call(
            "ACCEPT",
            json!({"offer_ids": [offer["id"]], "operations": operations, "filters": filters}),
        );
    }

    fn on_update(&mut self, status: &Value) {
        let id = status["task_id"]["value"].as_str().unwrap_or_default();
        let acknowledgement = status
            .get("uuid")
            .map(|uuid| json!({"agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": uuid}));
        let seen = self
            .tasks
            .get_mut(id)
            .unwrap_or_else(|| panic!("an update of a task that was never sent: {status}"));
        // Its offer was gone before the launch came: it is sent again with another.
        if status["reason"] == "REASON_INVALID_OFFERS" {
            let again = (id.to_owned(), seen.command.clone());
            self.tasks.remove(id);
            return self.waiting.push_back(again);
        }
        let is_answer = status["reason"] == "REASON_RECONCILIATION";
        let is_repeated = seen
            .updates
            .iter()
            .any(|known| known["uuid"] == status["uuid"] && known.get("uuid").is_some());
        // The answer to a question may come before the updates that it sums up; those are what counts.
        if !is_answer {
            seen.updates
                .retain(|known| known["reason"] != "REASON_RECONCILIATION");
        }
        // It may also cross the end on its way.
        if !is_repeated
            && !(is_answer
                && (seen.end().is_some()
                    || !is_terminal(status["state"].as_str().unwrap_or_default())))
        {
            seen.updates.push(status.clone());
        }
        if let Some(acknowledgement) = acknowledgement {
            self.call("ACKNOWLEDGE", acknowledgement);
        }
    }
}

/// How many of the tasks of [`command_task`] an offer has room for.
fn tasks_that_fit(offer: &Value) -> usize {
    let amount = |name: &str| {
        let resource = offer["resources"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|resource| resource["name"] == name);
        resource
            .and_then(|resource| resource["scalar"]["value"].as_f64())
            .unwrap_or_default()
    };
    let fits = (amount("cpus") / 0.01 + 0.001).min(amount("mem") / 8.0 + 0.001);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small count"
    )]
    let fits = fits.floor() as usize;
    fits
}
