//! The warden alone, as a small binary: for its own tests and measurements. Users start it as `mezz warden`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(std::ffi::OsStr::new(mezz_warden::VERB)) {
        eprintln!("usage: mezz-warden warden --socket PATH [--work-dir DIR]");
        return ExitCode::from(2);
    }
    mezz_warden::run(arguments)
}
