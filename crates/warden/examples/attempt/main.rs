//! Tries one thing that a container must not be able to do, and says how far it came.
//!
//! `attempt NAME` prints `done` if it succeeded and `refused: …` otherwise. What it aims at is in the environment, as
//! the test that runs it (`tests/escapes.rs`) says. It must do no harm where it succeeds.
#![allow(unsafe_code, clippy::print_stdout)]

mod files;
mod kernel;
mod outside;
mod privileges;
mod processes;

use std::io;

/// How an attempt ended: an error is a refusal.
type Outcome = io::Result<()>;

/// One thing to try.
type Attempt = (&'static str, fn() -> Outcome);

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    let lists = [
        processes::ATTEMPTS,
        files::ATTEMPTS,
        outside::ATTEMPTS,
        privileges::ATTEMPTS,
        kernel::ATTEMPTS,
    ];
    let mut all = lists.into_iter().flatten();
    match all.find(|(known, _)| *known == name) {
        None => println!("there is no attempt {name:?}"),
        Some((_, attempt)) => match attempt() {
            Ok(()) => println!("done"),
            Err(error) => println!("refused: {error}"),
        },
    }
}

/// A value that the test gave.
fn given(name: &str) -> io::Result<String> {
    let missing = |_| io::Error::other(format!("{name} is not set"));
    std::env::var(name).map_err(missing)
}

/// A system call, for the calls that have no safe form.
///
/// # Safety
/// The arguments must be what this call takes: no pointer may be wild.
unsafe fn call(number: libc::c_long, arguments: [usize; 5]) -> io::Result<usize> {
    let [first, second, third, fourth, fifth] = arguments;
    // SAFETY: the caller's promise.
    let got = unsafe { libc::syscall(number, first, second, third, fourth, fifth) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// Calls that look at the caller's rights first: an error of what comes after means that it had them.
fn beyond(result: io::Result<usize>, later: &[i32]) -> Outcome {
    match result {
        Ok(_) => Ok(()),
        Err(error)
            if error
                .raw_os_error()
                .is_some_and(|errno| later.contains(&errno)) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}
