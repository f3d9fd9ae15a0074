//! One hot path after the other, for `callgrind` to count: `cargo xtask bench instructions` runs it and compares.
//!
//! Without an argument it prints the names of the cases; with one it runs that case and prints how many operations
//! the measured section held.
#![expect(
    clippy::print_stdout,
    reason = "the caller reads it from standard output"
)]

use std::hint::black_box;
use std::process::ExitCode;

use mezz_bench::backlog::{Backlog, Shape};
use mezz_bench::codec::Sample;
use mezz_bench::launch_path::{Burst, LaunchPath};
use mezz_bench::ledger::Cluster;
use mezz_bench::offer_path::OfferPath;
use mezz_bench::return_path::ReturnPath;

/// Tasks in one ACCEPT, and how many of those.
const BURST: usize = 100;
const BURSTS: usize = 10;
const CODINGS: usize = 500;
const FREED: usize = 500;
const AGENTS: u32 = 1_000;
/// Enough that a look at all of them for each would show.
const RETURNING: u32 = 5_000;
const FRAMEWORKS: u32 = 50;
const INSTANCES: u64 = 10_000;

type Case = (&'static str, fn() -> usize);

/// Each gives the number of operations that it counted.
const CASES: &[Case] = &[
    ("launch/task", launches),
    ("offer/declined", offers),
    ("registration/agent-back", agents_back),
    ("ledger/freed-agent", freed_agents),
    ("ledger/cycle", cycle),
    ("ledger/placement", || placements(Shape::Plain)),
    ("ledger/placement-ruled", || placements(Shape::Ruled)),
    ("ledger/replacement", replacements),
    ("codec/read-protobuf", || coded(Sample::read_protobuf)),
    ("codec/write-protobuf", || coded(Sample::write_protobuf)),
    ("codec/read-json", || coded(Sample::read_json)),
    ("codec/write-json", || coded(Sample::write_json)),
];

fn main() -> ExitCode {
    let Some(wanted) = std::env::args().nth(1) else {
        for (name, _) in CASES {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    match CASES.iter().find(|(name, _)| *name == wanted) {
        Some((_, run)) => {
            println!("{}", run());
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    }
}

/// Callgrind counts only what happens within this function; it is found by its name.
#[inline(never)]
fn measured_section(work: &mut dyn FnMut()) {
    work();
    // Not the last thing, or the call would become a jump and leave the section.
    black_box(());
}

fn launches() -> usize {
    let mut path = LaunchPath::new();
    // The first tasks make tables grow; later ones find them grown.
    for _ in 0..BURSTS {
        let burst = path.prepare(BURST);
        path.run(&burst);
    }
    for _ in 0..BURSTS {
        let burst: Burst = path.prepare(BURST);
        measured_section(&mut || {
            black_box(path.run(&burst));
        });
    }
    BURST * BURSTS
}

/// Each agent is offered and the offer declined.
fn offers() -> usize {
    let mut path = OfferPath::new(AGENTS, FRAMEWORKS);
    for _ in 0..2 {
        let calls = path.declines();
        path.run(&calls);
    }
    let calls = path.declines();
    measured_section(&mut || {
        black_box(path.run(&calls));
    });
    AGENTS as usize
}

/// Each comes back with ten tasks.
fn agents_back() -> usize {
    let mut path = ReturnPath::new(RETURNING);
    let mut count = 0;
    measured_section(&mut || {
        count = black_box(path.run());
    });
    count
}

fn freed_agents() -> usize {
    let mut cluster = Cluster::taken(AGENTS, FRAMEWORKS);
    cluster.free_one();
    measured_section(&mut || {
        for _ in 0..FREED {
            black_box(cluster.free_one());
        }
    });
    FREED
}

/// A whole cycle counts as one operation.
fn cycle() -> usize {
    let mut cluster = Cluster::free(AGENTS, FRAMEWORKS);
    measured_section(&mut || {
        black_box(cluster.cycle());
    });
    1
}

/// Ten thousand instances of one demand on a thousand agents; each counts as one operation.
fn placements(shape: Shape) -> usize {
    let mut backlog = Backlog::new(AGENTS, INSTANCES, shape);
    let mut count = 0;
    measured_section(&mut || {
        count = black_box(backlog.place());
    });
    count
}

fn replacements() -> usize {
    let mut backlog = Backlog::new(AGENTS, 10 * INSTANCES, Shape::Plain);
    backlog.place();
    measured_section(&mut || {
        for _ in 0..FREED {
            black_box(backlog.replace_one());
        }
    });
    FREED
}

fn coded(code: fn(&Sample) -> usize) -> usize {
    let sample = Sample::new();
    code(&sample);
    measured_section(&mut || {
        for _ in 0..CODINGS {
            black_box(code(black_box(&sample)));
        }
    });
    CODINGS
}
