//! Machines run by qemu: a kernel of a few lines that is compiled by the test, and Debian's with busybox.
//!
//! Without qemu, a C compiler or that kernel, a test says so and passes.

mod lab;
mod linux;

use lab::{Lab, Started};
use mezz_vm::{Guest, NOT_STARTED, PANICKED};

/// Runs the kernel with these words to its end: what it wrote, and the status.
fn told(lab: &Lab, words: &str) -> (String, Option<i32>) {
    lab.start(&lab.guest(words)).finish()
}

#[test]
fn the_console_is_the_output_and_a_guest_that_switches_itself_off_has_succeeded() {
    let Some(lab) = Lab::new() else { return };
    assert_eq!(
        told(&lab, "off now"),
        ("told: off now\n".to_owned(), Some(0))
    );
    assert_eq!(told(&lab, "reset").1, Some(0));
}

#[test]
fn what_a_guest_writes_to_its_exit_port_is_its_exit_code() {
    let Some(lab) = Lab::new() else { return };
    for code in [0, 1, 42, 127] {
        let (output, status) = told(&lab, &format!("exit={code}"));
        assert_eq!(output, format!("told: exit={code}\n"));
        assert_eq!(status, Some(code));
    }
}

#[test]
fn a_guest_that_panics_has_failed() {
    let Some(lab) = Lab::new() else { return };
    assert_eq!(told(&lab, "panic").1, Some(i32::from(PANICKED)));
}

#[test]
fn a_request_to_end_is_a_press_of_the_power_button() {
    let Some(lab) = Lab::new() else { return };
    let mut started = lab.start(&lab.guest("button"));
    started.await_line("told: button");
    started.signal("TERM");
    assert_eq!(started.finish(), ("pressed\n".to_owned(), Some(0)));
}

#[test]
fn a_guest_that_listens_to_nobody_ends_with_its_stand_in() {
    let Some(lab) = Lab::new() else { return };
    let mut started = lab.start(&lab.guest("spin"));
    started.await_line("told: spin");
    started.signal("TERM");
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(started.lives(), "it does not listen");
    let monitor = started.monitor();
    started.signal_tree("KILL");
    assert_eq!(started.finish().1, None, "it was killed");
    lab::eventually("the monitor is gone", || !monitor.exists());
}

#[test]
fn a_machine_that_cannot_be_made_is_told_apart_from_one_that_failed() {
    let Some(lab) = Lab::new() else { return };
    let guest = Guest {
        kernel: Some(lab.path("no-such-kernel")),
        ..lab.guest("off")
    };
    let started: Started = lab.start(&guest);
    let (output, status) = started.finish();
    assert_eq!(status, Some(i32::from(NOT_STARTED)));
    assert!(output.contains("no-such-kernel"), "{output}");
}
