//! A framework for tests: subscribes over the v1 API, launches, acknowledges, and remembers the updates.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mezz_proto::v1::scheduler::{Call, Event};
use serde_json::{Value, json};

use crate::encoding::Encoding;
use crate::event_stream::EventStream;
use crate::http_client::{Client, HttpError, Response};
use crate::wait::PATIENCE;

const PATH: &str = "/api/v1/scheduler";

/// A subscribed framework. Dropping it closes its stream, as a crash does.
#[derive(Debug)]
pub struct Framework {
    client: Client,
    encoding: Encoding,
    id: String,
    stream_id: String,
    events: EventStream,
    seen: Vec<Value>,
    offers: Vec<Value>,
    updates: BTreeMap<String, Vec<Value>>,
    acknowledging: Acknowledging,
}

/// What a framework does with updates that carry a uuid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledging {
    /// Acknowledges each as it comes.
    Always,
    /// Leaves that to the test.
    ByHand,
}

/// The `FrameworkInfo` of a test framework: its name, its roles, checkpointing, an hour of fail-over.
pub fn framework_info(name: &str, roles: &[&str]) -> Value {
    json!({
        "user": std::env::var("USER").unwrap_or_else(|_| "root".into()),
        "name": name,
        "roles": roles,
        "checkpoint": true,
        "failover_timeout": 3600.0,
        "capabilities": [{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}, {"type": "RESERVATION_REFINEMENT"}],
    })
}

impl Framework {
    /// Subscribes with `info`; panics when the first event is not SUBSCRIBED.
    #[track_caller]
    pub fn subscribe(client: &Client, info: &Value) -> Self {
        Self::try_subscribe(client, info)
            .unwrap_or_else(|error| panic!("cannot subscribe: {error}"))
    }

    /// Subscribes in an encoding; panics when the first event is not SUBSCRIBED.
    #[track_caller]
    pub fn subscribe_in(encoding: Encoding, client: &Client, info: &Value) -> Self {
        Self::try_subscribe_with(encoding, client, &json!({"framework_info": info}))
            .unwrap_or_else(|error| panic!("cannot subscribe: {error}"))
    }

    /// Subscribes with `info`, which holds the id when the framework is not new.
    pub fn try_subscribe(client: &Client, info: &Value) -> Result<Self, HttpError> {
        Self::try_subscribe_with(Encoding::Json, client, &json!({"framework_info": info}))
    }

    /// Subscribes with the contents of the call: `framework_info`, `suppressed_roles` and so on.
    pub fn try_subscribe_with(
        encoding: Encoding,
        client: &Client,
        subscribe: &Value,
    ) -> Result<Self, HttpError> {
        let mut events = client.open(&encoding.post::<Call>(PATH, &subscription(subscribe)))?;
        let stream_id = events
            .header("Mesos-Stream-Id")
            .unwrap_or_default()
            .to_owned();
        let first = events.next_record()?.unwrap_or_default();
        let first = encoding.decode::<Event>(&first).map_err(|error| {
            HttpError::Decode(format!("{error} in an answer {}", events.status))
        })?;
        let id = first["subscribed"]["framework_id"]["value"].as_str();
        let Some(id) = id else {
            return Err(HttpError::Decode(format!(
                "answer {} with the first event {first}",
                events.status
            )));
        };
        let id = id.to_owned();
        Ok(Self {
            client: client.clone(),
            encoding,
            id,
            stream_id,
            events,
            seen: vec![first],
            offers: Vec::new(),
            updates: BTreeMap::new(),
            acknowledging: Acknowledging::Always,
        })
    }

    /// Chooses whether updates are acknowledged as they come.
    pub fn acknowledging(mut self, acknowledging: Acknowledging) -> Self {
        self.acknowledging = acknowledging;
        self
    }

    /// The id that the master has given.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The stream id that calls carry.
    pub fn stream_id(&self) -> &str {
        &self.stream_id
    }

    /// The event stream, for tests that read it themselves.
    pub fn events(&mut self) -> &mut EventStream {
        &mut self.events
    }

    /// Sends a call; type and contents are given, ids and headers are added.
    pub fn call(&self, kind: &str, contents: Option<Value>) -> Result<Response, HttpError> {
        let mut call = json!({"type": kind, "framework_id": {"value": self.id}});
        if let Some(contents) = contents {
            call[kind.to_lowercase()] = contents;
        }
        let request = self.encoding.post::<Call>(PATH, &call);
        self.client
            .send(&request.header("Mesos-Stream-Id", &self.stream_id))
    }

    /// Sends a call; panics when it is not accepted with 202.
    #[track_caller]
    pub fn accepted(&self, kind: &str, contents: Option<Value>) {
        let answer = self
            .call(kind, contents)
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(answer.status, 202, "{kind}: {}", answer.text());
    }

    /// Takes the next event into account and returns it; panics at the end of the stream.
    #[track_caller]
    pub fn next_event(&mut self) -> Value {
        let event = self.try_next_event();
        let event = event.unwrap_or_else(|error| panic!("the stream fails: {error}"));
        event.unwrap_or_else(|| panic!("the stream of {} has ended", self.id))
    }

    /// Takes the next event into account and returns it; `None` at the end of the stream.
    pub fn try_next_event(&mut self) -> Result<Option<Value>, HttpError> {
        let Some(record) = self.events.next_record()? else {
            return Ok(None);
        };
        let event = self.encoding.decode::<Event>(&record)?;
        self.on_event(&event);
        self.seen.push(event.clone());
        Ok(Some(event))
    }

    fn on_event(&mut self, event: &Value) {
        match event["type"].as_str().unwrap_or_default() {
            "OFFERS" => self.offers.extend(
                event["offers"]["offers"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default(),
            ),
            "RESCIND" => {
                let gone = &event["rescind"]["offer_id"];
                self.offers.retain(|offer| offer["id"] != *gone);
            }
            "UPDATE" => self.on_update(&event["update"]["status"]),
            _ => {}
        }
    }

    /// Reads events until one of that type comes, and returns it.
    #[track_caller]
    pub fn wait_for_event(&mut self, kind: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no {kind} came");
            let event = self.next_event();
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// Takes what comes within `limit` into account and returns it: for events that must not come.
    pub fn events_within(&mut self, limit: Duration) -> Vec<Value> {
        let mut seen = Vec::new();
        let deadline = Instant::now() + limit;
        while let Some(rest) = deadline.checked_duration_since(Instant::now()) {
            if self.events.silent_for(rest) {
                break;
            }
            match self.try_next_event() {
                Ok(Some(event)) => seen.push(event),
                Ok(None) | Err(_) => break,
            }
        }
        seen
    }

    /// All events so far, from SUBSCRIBED on.
    pub fn seen(&self) -> &[Value] {
        &self.seen
    }

    /// The offers that are not yet used, in their order.
    pub fn offers(&self) -> &[Value] {
        &self.offers
    }

    /// Reads the stream to its end and returns the rest of its events; panics when it does not end.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            match self.try_next_event() {
                Ok(Some(event)) => seen.push(event),
                Ok(None) => return seen,
                Err(error) => panic!("the stream fails: {error}"),
            }
        }
    }

    fn on_update(&mut self, status: &Value) {
        let task = status["task_id"]["value"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        self.updates.entry(task).or_default().push(status.clone());
        if self.acknowledging == Acknowledging::Always && status.get("uuid").is_some() {
            self.acknowledge(status);
        }
    }

    /// Acknowledges an update.
    #[track_caller]
    pub fn acknowledge(&self, status: &Value) {
        let contents = json!({"agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"]});
        self.accepted("ACKNOWLEDGE", Some(contents));
    }

    /// The next offer that is not yet used; waits for one.
    #[track_caller]
    pub fn next_offer(&mut self) -> Value {
        let deadline = Instant::now() + PATIENCE;
        while self.offers.is_empty() {
            assert!(Instant::now() < deadline, "no offer came");
            self.next_event();
        }
        self.offers.remove(0)
    }

    /// Sends an ACCEPT of offers with operations; what is left is offered again at once.
    #[track_caller]
    pub fn accept(&self, offers: &[&Value], operations: &Value) {
        let ids: Vec<&Value> = offers.iter().map(|offer| &offer["id"]).collect();
        let filters = json!({"refuse_seconds": 0.0});
        let contents = json!({"offer_ids": ids, "operations": operations, "filters": filters});
        self.accepted("ACCEPT", Some(contents));
    }

    /// Launches tasks on an offer; what is left of it is offered again at once.
    #[track_caller]
    pub fn launch(&self, offer: &Value, tasks: &[Value]) {
        self.accept(
            &[offer],
            &json!([{"type": "LAUNCH", "launch": {"task_infos": tasks}}]),
        );
    }

    /// Declines an offer for so many seconds.
    #[track_caller]
    pub fn decline(&self, offer: &Value, refuse_seconds: f64) {
        let filters = json!({"refuse_seconds": refuse_seconds});
        self.accepted(
            "DECLINE",
            Some(json!({"offer_ids": [offer["id"]], "filters": filters})),
        );
    }

    /// Kills a task.
    #[track_caller]
    pub fn kill(&self, task: &str) {
        self.accepted("KILL", Some(json!({"task_id": {"value": task}})));
    }

    /// The updates of a task so far, in their order.
    pub fn updates_of(&self, task: &str) -> &[Value] {
        self.updates.get(task).map_or(&[], Vec::as_slice)
    }

    /// The states of a task so far, in their order.
    pub fn states_of(&self, task: &str) -> Vec<&str> {
        self.updates_of(task)
            .iter()
            .filter_map(|status| status["state"].as_str())
            .collect()
    }

    /// Reads events until the task has been in `state`; returns that update.
    #[track_caller]
    pub fn wait_for(&mut self, task: &str, state: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.states_of(task);
            assert!(
                Instant::now() < deadline,
                "{task} is not {state} but {seen:?}"
            );
            if let Some(status) = self
                .updates_of(task)
                .iter()
                .find(|status| status["state"] == state)
            {
                return status.clone();
            }
            self.next_event();
        }
    }
}

/// The SUBSCRIBE call with these contents; the id of the framework is that of its info.
pub fn subscription(subscribe: &Value) -> Value {
    let mut call = json!({"type": "SUBSCRIBE", "subscribe": subscribe});
    if let Some(id) = subscribe["framework_info"].get("id") {
        call["framework_id"] = id.clone();
    }
    call
}

/// A command task for an offer, with 0.01 cpus and 8 MiB of the offer's role.
pub fn command_task(offer: &Value, id: &str, command: &str) -> Value {
    let allocation = &offer["allocation_info"];
    let scalar = |name: &str, value: f64| json!({"name": name, "type": "SCALAR", "scalar": {"value": value}, "allocation_info": allocation});
    json!({
        "name": id,
        "task_id": {"value": id},
        "agent_id": offer["agent_id"],
        "resources": [scalar("cpus", 0.01), scalar("mem", 8.0)],
        "command": {"shell": true, "value": command},
    })
}
