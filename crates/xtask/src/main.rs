//! `cargo xtask test | tidy | bench | lab`: everything a developer runs on this repository.

#![allow(clippy::print_stdout)] // a command line tool talks on stdout

mod bench;
mod clients;
mod command;
mod guest;
mod instructions;
mod prerequisites;
mod tally;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  test  [--only STEP,…] [--skip STEP,…]   run the tests; steps: fmt clippy tidy unit doc
                                          guest clients
  tidy  [--sizes]                         check the rules of the source tree (--sizes: list what is too large)
  bench [NAME]                            measure; without NAME: list the benchmarks
  lab                                     faults between hosts (not built yet)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = root();
    let result = match arguments.first().map(String::as_str) {
        Some("test") => test::run(&root, &arguments[1..]),
        Some("tidy") => tidy::run(&root, &arguments[1..]),
        Some("bench") => bench::run(&root, &arguments[1..]),
        Some("lab") => Err(anyhow::anyhow!("`cargo xtask lab` is not built yet")),
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some(other) => Err(anyhow::anyhow!("unknown command `{other}`\n{USAGE}")),
        None => Err(anyhow::anyhow!("{USAGE}")),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The root of the repository, from where this crate was built.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("the crate lies two folders below the root")
        .to_owned()
}
