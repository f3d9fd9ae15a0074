//! What is written for which limits, in which order.

mod others;
mod processors_and_memory;
mod support;
