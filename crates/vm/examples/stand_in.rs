//! The stand-in of a machine as a program, for the tests: `stand_in FILE`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let file = std::env::args_os().nth(1).expect("a file");
    mezz_vm::stand_in(file.as_ref())
}
