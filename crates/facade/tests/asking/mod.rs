//! A facade before the real controllers, in the cluster of twenty lines that their own tests use.

#![allow(dead_code, reason = "each test file uses a part")]

#[path = "../../../workload/tests/cluster/mod.rs"]
mod cluster;

use mezz_facade::world::Cluster as Facts;
use mezz_facade::{Answer, Body, Outcome, Request, World};
use serde_json::Value;

use cluster::Cluster;
use mezz_workload::placing::NoPlaces;

/// A facade's way in.
pub(crate) type Facade = fn(&Request, &World<'_>) -> Outcome;

/// A server that knows one facade.
pub(crate) struct Server {
    facade: Facade,
    facts: Facts,
    pub(crate) cluster: Cluster,
}

impl Server {
    pub(crate) fn new(facade: Facade) -> Self {
        Self {
            facade,
            facts: Facts {
                leader: "m:5050".into(),
                version: "0".into(),
                ..Facts::default()
            },
            cluster: Cluster::new(1, 20),
        }
    }

    fn step(&self, then: impl FnOnce(&World<'_>) -> Outcome) -> Outcome {
        let world = World {
            work: self.cluster.w.records(),
            now: self.cluster.now().wall,
            cluster: &self.facts,
        };
        then(&world)
    }

    /// A request, and all that it leads to.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let request = request(method, path, body);
        let facade = self.facade;
        let mut outcome = self.step(|world| facade(&request, world));
        loop {
            outcome = match outcome {
                Outcome::Answer(answer) | Outcome::StepDown(answer) => return answer,
                Outcome::Call(call, then) => {
                    let reply = self.cluster.call(call);
                    self.step(|world| then(&reply, world))
                }
                Outcome::NoPlaces(names, then) => {
                    let none = names.iter().map(|_| NoPlaces::default()).collect();
                    self.step(|world| then(none, world))
                }
                Outcome::Events(_) => return Answer::empty(200),
            };
        }
    }

    /// Status and JSON, or text.
    pub(crate) fn get(&mut self, path: &str) -> (u16, Value) {
        parted(self.ask("GET", path, ""))
    }

    /// Status and JSON, or text.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.parted(method, path, &text)
    }

    /// Status and JSON, or text, of a request with any body.
    pub(crate) fn parted(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        parted(self.ask(method, path, body))
    }
}

fn parted(answer: Answer) -> (u16, Value) {
    let body = match answer.body {
        Body::Json(value) => value,
        Body::Text(_, text) => text.into(),
        Body::Nothing => Value::Null,
    };
    (answer.status, body)
}

fn request(method: &str, path: &str, body: &str) -> Request {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    Request {
        method: method.into(),
        path: path.into(),
        query: pairs
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                (key.to_owned(), value.to_owned())
            })
            .collect(),
        body: body.as_bytes().to_vec(),
        ..Request::default()
    }
}
