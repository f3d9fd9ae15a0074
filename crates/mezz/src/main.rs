//! The `mezz` binary: one program for every role of Mezzanine. This module owns the way from the process's start to the
//! role that was asked for, and nothing of what the role does.

mod args;
mod exit;
mod flags;
mod nearest;
mod settings;

fn main() {}
