//! The virtual machine: started, listened to on its serial line, and ended in time.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{STATUS, SUITE, UP};
use crate::tally::{Runner, Tally};

/// Longer than a kernel takes to come up without help of the processor on a busy machine.
const UP_WITHIN: Duration = Duration::from_mins(2);
const DONE_WITHIN: Duration = Duration::from_mins(15);

/// What a machine starts from.
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Path,
    pub(super) system: &'a Path,
    /// How many suites its script runs.
    pub(super) suites: usize,
}

/// Who executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Processor {
    /// The processor itself.
    Kvm,
    /// Software.
    Emulated,
}

/// What was heard on the serial line.
#[derive(Debug, Default)]
struct Heard {
    up: bool,
    tally: Tally,
    /// Failures that the suite in progress has told.
    failures: u64,
    ended: usize,
}

impl Machine<'_> {
    /// Runs the suites, without the processor's help where that fails.
    pub(super) fn run(&self) -> Result<Tally> {
        if kvm_runs_guests() {
            let heard = self.run_on(Processor::Kvm)?;
            if heard.up {
                return Ok(heard.verdict(self.suites));
            }
            println!("the guest does not come up with KVM: emulating its processor");
        }
        let heard = self.run_on(Processor::Emulated)?;
        if !heard.up {
            println!("the guest does not come up");
        }
        Ok(heard.verdict(self.suites))
    }

    fn run_on(&self, processor: Processor) -> Result<Heard> {
        let mut child = self
            .command(processor)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run qemu-system-x86_64")?;
        let lines = lines(&mut child);
        let heard = listen(&lines);
        // After `poweroff` it ends by itself; whatever else it does, it has been heard to the end.
        let _ = child.kill();
        child.wait().context("cannot wait for the guest")?;
        Ok(heard)
    }

    fn command(&self, processor: Processor) -> Command {
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-nodefaults", "-no-user-config", "-display", "none"]);
        command.args(["-machine", "q35", "-m", "1536", "-smp", "2", "-no-reboot"]);
        command.args(match processor {
            Processor::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Processor::Emulated => ["-accel", "tcg", "-cpu", "max"],
        });
        command.arg("-kernel").arg(self.kernel);
        command.arg("-initrd").arg(self.system);
        command.args(["-append", "console=ttyS0 loglevel=1 panic=-1"]);
        command.args(["-serial", "stdio"]);
        command
    }
}

/// Whether a processor's own support is behind `/dev/kvm`: other providers of it boot no foreign kernel.
fn kvm_runs_guests() -> bool {
    let opens = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok();
    let vendors = ["/sys/module/kvm_intel", "/sys/module/kvm_amd"];
    opens && vendors.iter().any(|path| Path::new(path).exists())
}

fn lines(child: &mut Child) -> Receiver<String> {
    let output = child.stdout.take().expect("it was asked for");
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn listen(lines: &Receiver<String>) -> Heard {
    let begun = Instant::now();
    let mut heard = Heard::default();
    loop {
        let limit = if heard.up { DONE_WITHIN } else { UP_WITHIN };
        match lines.recv_timeout(limit.saturating_sub(begun.elapsed())) {
            Ok(line) => heard.take(&line),
            Err(RecvTimeoutError::Disconnected) => return heard,
            Err(RecvTimeoutError::Timeout) => {
                println!("the guest has not ended after {} s", limit.as_secs());
                return heard;
            }
        }
    }
}

impl Heard {
    fn take(&mut self, line: &str) {
        if line == UP {
            self.up = true;
        } else if let Some(status) = line.strip_prefix(STATUS) {
            self.ended += 1;
            // A suite that breaks off has told of no failed test.
            if status != "0" && self.failures == 0 {
                println!("the suite ended with status {status}");
                self.tally += Tally::of(false);
            }
            self.failures = 0;
        } else if let Some(suite) = line.strip_prefix(SUITE) {
            println!("in the guest: {suite}");
        } else if self.up && !line.is_empty() {
            println!("{line}");
            if let Some(counts) = Tally::from_line(Runner::Libtest, line) {
                self.failures += counts.failed;
                self.tally += counts;
            }
        }
    }

    /// The counts; suites that did not come to their end have failed.
    fn verdict(mut self, suites: usize) -> Tally {
        let missing = suites.saturating_sub(self.ended);
        if missing > 0 {
            println!("{missing} suites did not end");
        }
        self.tally.failed += missing as u64;
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(lines: &[&str]) -> (u64, u64) {
        let mut heard = Heard::default();
        for line in lines {
            heard.take(line);
        }
        let tally = heard.verdict(1);
        (tally.passed, tally.failed)
    }

    #[test]
    fn a_suite_counts_only_when_it_came_to_its_end() {
        let good = "test result: ok. 20 passed; 0 failed; 0 ignored";
        let bad = "test result: FAILED. 19 passed; 1 failed; 0 ignored";
        assert_eq!(verdict(&[UP, good, "guest: status 0"]), (20, 0));
        assert_eq!(verdict(&[UP, bad, "guest: status 101"]), (19, 1));
        assert_eq!(verdict(&[UP, good, "guest: status 134"]), (20, 1));
        assert_eq!(verdict(&[UP, good]), (20, 1), "switched off in mid-run");
        assert_eq!(verdict(&["SeaBIOS"]), (0, 1));
    }
}
