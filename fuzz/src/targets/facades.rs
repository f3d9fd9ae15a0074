//! Bodies for the APIs of other systems, with the controllers behind them.

use mezz_facade::world::Cluster;
use mezz_facade::{Answer, Outcome, Request, World, chronos, marathon, metronome};
use mezz_spec::Object;
use mezz_state::time::{Mono, Now, SECOND_NS, Wall};
use mezz_workload::Workloads;
use mezz_workload::call::{Call, Reply};
use mezz_workload::effect::{Effect, Effects};
use mezz_workload::event::Event;
use mezz_workload::key::RequestKey;

/// 2026-01-01T00:00:00Z.
const NOW: Wall = Wall(1_767_225_600 * SECOND_NS);
/// So many calls one request may lead to.
const CALLS: usize = 20;

type Facade = fn(&Request, &World<'_>) -> Outcome;

struct Server {
    w: Workloads,
    cluster: Cluster,
}

impl Server {
    fn new() -> Self {
        let mut server = Self {
            w: Workloads::new(),
            cluster: Cluster::default(),
        };
        server.handle(Event::Restored(Vec::new()));
        server.handle(Event::Reconciled);
        server
    }

    fn handle(&mut self, event: Event) -> Option<Reply> {
        let mut effects = Effects::default();
        let now = Now {
            mono: Mono(0),
            wall: NOW,
        };
        self.w.handle(now, event, &mut effects);
        effects.list.into_iter().find_map(|effect| match effect {
            Effect::Reply { reply, .. } => Some(reply),
            _ => None,
        })
    }

    fn world(&self) -> World<'_> {
        World {
            work: self.w.records(),
            now: NOW,
            cluster: &self.cluster,
        }
    }

    /// The answer; none for what a shell does by itself.
    fn ask(&mut self, facade: Facade, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
        let request = Request {
            method: method.into(),
            path: path.into(),
            body: body.to_vec(),
            ..Request::default()
        };
        let mut outcome = facade(&request, &self.world());
        for _ in 0..CALLS {
            outcome = match outcome {
                Outcome::Answer(answer) => return Some(answer),
                Outcome::Call(call, then) => {
                    check_objects(&call);
                    let reply = self.handle(Event::Call {
                        by: None,
                        request: RequestKey(0),
                        call: Box::new(call),
                    });
                    then(&reply.expect("a call is answered"), &self.world())
                }
                _ => return None,
            };
        }
        panic!("{method} {path} never ends");
    }
}

/// What a facade makes of a body is what somebody could have written.
fn check_objects(call: &Call) {
    let Call::Apply { objects, .. } = call else {
        return;
    };
    for object in objects {
        let again = Object::from_value(object.to_value());
        assert_eq!(again.as_ref(), Ok(object));
    }
}

/// The path by the first byte, the body after it. What is taken is answered the same when it is asked for and can be
/// written again; what is refused is the client's fault.
pub(crate) fn check(data: &[u8]) {
    let (first, body) = data.split_first().unwrap_or((&b'a', &[]));
    let (facade, method, path, list): (Facade, _, _, _) = match first {
        b'g' => (marathon::handle, "PUT", "/v2/groups", "/v2/groups"),
        b'j' => (metronome::handle, "POST", "/v1/jobs", "/v1/jobs"),
        b's' => (metronome::handle, "POST", "/v0/scheduled-jobs", "/v1/jobs"),
        b'c' => (
            metronome::handle,
            "POST",
            "/v1/jobs/a/schedules",
            "/v1/jobs",
        ),
        b'i' => (
            chronos::handle,
            "POST",
            "/v1/scheduler/iso8601",
            "/v1/scheduler/jobs",
        ),
        b'd' => (
            chronos::handle,
            "POST",
            "/v1/scheduler/dependency",
            "/v1/scheduler/jobs",
        ),
        _ => (marathon::handle, "POST", "/v2/apps", "/v2/apps"),
    };
    let mut server = Server::new();
    let first = match first {
        b'c' => Some((path, r#"{"id": "a", "run": {"cmd": "x"}}"#, "/v1/jobs")),
        b'd' => Some((
            path,
            r#"{"name": "a", "command": "x"}"#,
            "/v1/scheduler/iso8601",
        )),
        _ => None,
    };
    if let Some((_, body, path)) = first {
        let made = server.ask(facade, "POST", path, body.as_bytes());
        assert!(made.is_some_and(|answer| answer.status < 300));
    }
    if let Some(answer) = server.ask(facade, method, path, body) {
        assert!(answer.status < 500 || answer.status == 501, "{answer:?}");
    }
    let listed = server.ask(facade, "GET", list, &[]);
    assert!(listed.is_none_or(|answer| answer.status == 200));
}
