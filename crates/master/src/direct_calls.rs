//! Calls on a subscribed stream, straight from the read buffer into the core's queue.
//!
//! Takes a call only when [`crate::scheduler_api`] would answer it 202 without waiting for the core; leaves everything
//! else, and every refusal, to it.

use std::pin::Pin;
use std::sync::Arc;

use mezz_core::event::Event;
use mezz_core::validation;
use mezz_http::direct::{Direct, DirectCall};
use mezz_http::negotiate::MediaType;
use mezz_proto::v1::scheduler::{Call, call};
use mezz_warden::crash_point;

use crate::inbox::Input;
use crate::leading::is_leading;
use crate::scheduler_api::{self, NO_REPLY, PATH, STREAM_ID};
use crate::shared::Shared;

/// The calls of one connection.
pub(crate) struct DirectCalls {
    shared: Arc<Shared>,
    inputs: Vec<Input>,
}

impl DirectCalls {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            inputs: Vec::new(),
        }
    }

    fn event(&self, direct: &DirectCall<'_>) -> Option<Event> {
        if direct.path != PATH || !is_leading(&self.shared) {
            return None;
        }
        let stream_id = direct.header(STREAM_ID)?;
        let media = match direct.header("content-type")? {
            "application/x-protobuf" => MediaType::Protobuf,
            "application/json" => MediaType::Json,
            _ => return None,
        };
        let call: Call = scheduler_api::decode(media, direct.body).ok()?;
        let kind = call::Type::try_from(call.r#type?).ok()?;
        validation::scheduler_call(&call).ok()?;
        let is_plain = !matches!(
            kind,
            call::Type::Unknown
                | call::Type::Subscribe
                | call::Type::UpdateFramework
                | call::Type::ReconcileOperations
        );
        (is_plain && scheduler_api::is_open(&self.shared, Some(stream_id), &call))
            .then(|| scheduler_api::call_event(NO_REPLY, Some(stream_id), call))
    }
}

impl Direct for DirectCalls {
    fn take(&mut self, call: &DirectCall<'_>) -> bool {
        let event = self.event(call);
        let is_taken = event.is_some();
        self.inputs.extend(event.map(Input::Event));
        is_taken
    }

    fn hand_over(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            self.shared.inbox.send_all(&mut self.inputs).await;
            crash_point("master.before_reply");
        })
    }
}
