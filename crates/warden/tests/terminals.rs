//! Programs on a terminal, whose other end the agent has.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_launch_plan::{LaunchId, NamespaceSpec, TerminalSize, plan};
use mezz_warden::{ExitStatus, Request};
use std::fs::File;
use std::io::{Read, Write};
use support::*;

#[test]
fn a_program_has_a_terminal_of_the_size_that_was_asked_for_and_hears_from_it() {
    for means in Means::available() {
        for own in [NamespaceSpec::Host, NamespaceSpec::Own] {
            if own == NamespaceSpec::Own && !is_root() {
                continue;
            }
            let lab = Lab::start(Life::Durable);
            let script = "stty size; test -t 0 && test -t 1 && test -t 2 && echo terminal; \
                          trap 'echo interrupted; exit 5' INT; echo ready; read line; sleep 100";
            let mut spec = lab.spec(1, script);
            spec.terminal = Some(TerminalSize {
                rows: 33,
                columns: 101,
            });
            spec.isolation.pid = own;
            let mut first = lab.connect(1);
            let plan = plan(&spec, &means.facts().unwrap()).unwrap();
            send(&mut first, &[Request::Launch(Box::new(plan))]);
            let started = next(&mut first);
            assert_eq!(started.descriptors.len(), 1, "{:?}", started.reply);
            // A later agent gets it again.
            drop((started, first));
            let mut second = lab.connect(2);
            send(
                &mut second,
                &[Request::Reattach {
                    launch_id: LaunchId(1),
                }],
            );
            let mut terminal = File::from(next(&mut second).descriptors.remove(0));
            let mut seen = String::new();
            while !seen.contains("ready") {
                let mut some = [0u8; 256];
                let count = terminal.read(&mut some).unwrap();
                seen.push_str(std::str::from_utf8(&some[..count]).unwrap());
            }
            assert!(
                seen.contains("33 101\r\n") && seen.contains("terminal"),
                "{seen}"
            );
            // The key that interrupts reaches the session whose terminal this is.
            terminal.write_all(b"\x03").unwrap();
            assert_eq!(
                expect_status(&mut second, 1),
                ExitStatus::Exited(5),
                "{means:?}"
            );
        }
    }
}
