//! Brings what belongs to one agent into the processor's cache, all at once.
//!
//! An agent's data lies in some twenty blocks of memory. In a large cluster none of them is in the cache when the agent
//! becomes free, and a walk through them waits for one after the other. Reads that do not depend on each other wait
//! together. Nothing follows from what is read.

use std::hint::black_box;

use mezz_resource::{Resources, Value};

use crate::agent::Agent;

/// Words in one line of the cache.
const LINE: usize = 8;

impl Agent {
    /// Reads a word of each block that giving resources back and granting them again goes through.
    pub(crate) fn draw_near(&self) {
        let held = self
            .held
            .iter()
            .map(|(_, resources)| first_words(resources));
        let refused = self.filters.sets().map(first_words);
        let marks = self.refused.words().iter().step_by(LINE).copied();
        let own = [&self.available, &self.refused_of, &self.spec.total];
        let own = own.into_iter().map(first_words);
        black_box(
            held.chain(refused)
                .chain(marks)
                .chain(own)
                .fold(0, |all, word| all ^ word),
        );
    }
}

fn first_words(resources: &Resources) -> u64 {
    resources.iter().fold(0, |all, resource| {
        all ^ match resource.value() {
            Value::Scalar(scalar) => scalar.is_zero().into(),
            Value::Ranges(ranges) => ranges.iter().next().map_or(0, |range| range.begin),
            Value::Set(names) => names.len() as u64,
        }
    })
}
