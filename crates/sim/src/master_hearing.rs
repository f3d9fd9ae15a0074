//! What reaches the master: frames, calls and the ends of links, read as its shell would read them.

use mezz_core::event::{Event, OperatorAction, OperatorCall, SchedulerCall, Subscribe};
use mezz_core::key::{RequestKey, SessionKey, StreamKey};
use mezz_proto::agent_protocol::Frame;
use mezz_proto::v1::scheduler;
use mezz_proto::{decode_binary, from_json};

use crate::network::Peer;
use crate::world::World;

impl World {
    pub(crate) fn master_hears_agent(&mut self, link: u64, agent: usize, bytes: &[u8]) {
        match decode_binary::<Frame>(bytes) {
            Ok(Frame {
                body: Some(body), ..
            }) => {
                self.master_event(Event::Agent {
                    session: SessionKey(link),
                    body: Box::new(body),
                });
            }
            other => self.fail(format!("agent {agent} sent what is no frame: {other:?}")),
        }
    }

    pub(crate) fn master_hears_framework(&mut self, link: u64, framework: usize, bytes: &[u8]) {
        let call = if self.frameworks[framework].json {
            from_json::<scheduler::Call>(bytes).map_err(|error| error.to_string())
        } else {
            decode_binary::<scheduler::Call>(bytes).map_err(|error| error.to_string())
        };
        let checked =
            call.and_then(|call| mezz_core::validation::scheduler_call(&call).map(|()| call));
        let call = match checked {
            Ok(call) => call,
            Err(error) => {
                return self.fail(format!(
                    "a call of framework {framework} is refused: {error}"
                ));
            }
        };
        let stream_id = format!("stream-{link}");
        if let Some(subscribe) = call.subscribe {
            let stream = StreamKey(link);
            return self.master_event(Event::Subscribe(Box::new(Subscribe {
                stream,
                stream_id,
                principal: None,
                subscribe: *subscribe,
            })));
        }
        let request = self.request();
        self.master_event(Event::Call(Box::new(SchedulerCall {
            request,
            stream_id: Some(stream_id),
            principal: None,
            call,
        })));
    }

    pub(crate) fn request(&mut self) -> RequestKey {
        self.master.next_request += 1;
        RequestKey(self.master.next_request)
    }

    pub(crate) fn operator(&mut self, action: OperatorAction) {
        self.note(|| format!("operator: {action:?}"));
        let request = self.request();
        self.master_event(Event::Operator(Box::new(OperatorCall {
            request,
            principal: None,
            action,
        })));
    }

    pub(crate) fn master_loses(&mut self, link: u64, life: u64, peer: Peer) {
        if life != self.master.life {
            return;
        }
        match peer {
            Peer::Agent(_) => self.master_event(Event::SessionClosed(SessionKey(link))),
            Peer::Framework(_) => self.master_event(Event::StreamClosed(StreamKey(link))),
        }
    }
}
