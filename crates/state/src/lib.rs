//! What the state of a core is made of: records in copy-on-write pages, the two clocks of an event, and the forms in which
//! state is written into a snapshot. It knows nothing of what the records say.

pub mod pages;
pub mod serde_forms;
pub mod time;
