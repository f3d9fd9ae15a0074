//! What a request comes to: an answer, or something to be done first.

use std::fmt;

use mezz_spec::Name;
use mezz_workload::call::{Call, Reply};
use mezz_workload::placing::NoPlaces;

use crate::answer::Answer;
use crate::marathon::events::EventFilter;
use crate::world::World;

/// Makes the next outcome of a reply, with a view that contains what the call did.
pub type AfterCall = Box<dyn FnOnce(&Reply, &World<'_>) -> Outcome + Send>;

/// Makes the next outcome of why instances have no place, in the order of the services asked about.
pub type AfterNoPlaces = Box<dyn FnOnce(Vec<NoPlaces>, &World<'_>) -> Outcome + Send>;

/// What a request comes to.
pub enum Outcome {
    Answer(Answer),
    /// The controllers are called first.
    Call(Call, AfterCall),
    /// It is asked first why the instances of these services that wait have no place.
    NoPlaces(Vec<Name>, AfterNoPlaces),
    /// This master gives up leading, once this is answered.
    StepDown(Answer),
    /// Marathon's events, as they happen.
    Events(EventFilter),
}

impl Outcome {
    /// A call and what follows its reply.
    pub fn call(
        call: Call,
        then: impl FnOnce(&Reply, &World<'_>) -> Outcome + Send + 'static,
    ) -> Self {
        Self::Call(call, Box::new(then))
    }
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => f.debug_tuple("Answer").field(answer).finish(),
            Self::Call(call, _) => f.debug_tuple("Call").field(call).finish(),
            Self::NoPlaces(names, _) => f.debug_tuple("NoPlaces").field(names).finish(),
            Self::StepDown(answer) => f.debug_tuple("StepDown").field(answer).finish(),
            Self::Events(filter) => f.debug_tuple("Events").field(filter).finish(),
        }
    }
}
