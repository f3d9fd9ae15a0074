//! The controllers of services, jobs, crons and dags as one pure state machine: `(state, now, event) -> effects`.
//!
//! It owns what users want to run and how far that has come. It places nothing itself: it says to the ledger, through
//! the core, how much of what is wanted, and is told where the next instance goes. It never reads a clock, a file, a
//! socket or a random source.

pub mod call;
pub mod effect;
pub mod event;
pub mod fact;
pub mod key;
pub mod records;
