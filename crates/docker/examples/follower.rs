//! The process that stands for a container, alone: `follower FILE`. The agent has it under a verb.

use std::process::ExitCode;

fn main() -> ExitCode {
    let spec = std::env::args_os().nth(1).expect("a file to read");
    mezz_docker::follow::follow(std::path::Path::new(&spec))
}
