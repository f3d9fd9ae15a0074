//! Prints how many tasks a second an agent launches under a master of words, and what CPU time each costs.
//!
//! `launch_rate PROGRAM [TASKS] [OUTSTANDING]`; the program is run without a shell.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use mezz_proto::agent_protocol::frame::Body;
use support::{Agent, FakeMaster, framework, is_terminal, shell};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().unwrap_or_else(|| "/bin/true".to_owned());
    let tasks: usize = arguments.next().map_or(5000, |text| text.parse().unwrap());
    let outstanding: usize = arguments.next().map_or(512, |text| text.parse().unwrap());
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(&master.address, Some(work_dir.path()), &[]);
    let mut link = master.accept().await;
    let framework = framework(true);
    let task = |index: usize| {
        let mut task = shell(&format!("t-{index}"), &program);
        task.command.as_mut().unwrap().shell = Some(false);
        task
    };
    let warden = u32::try_from(agent.warden()).unwrap();
    let before = (cpu_us(agent.child.id()), cpu_us(warden));
    let start = Instant::now();
    let (mut sent, mut done) = (0, 0);
    let mut bodies = Vec::new();
    while done < tasks {
        let room = (outstanding - (sent - done)).min(tasks - sent);
        if room >= 64.min(tasks - sent).max(1) {
            let batch = room.min(100);
            link.run(&framework, (sent..sent + batch).map(task).collect());
            sent += batch;
            continue;
        }
        assert!(link.receiver.next_batch(&mut bodies).await.unwrap());
        for (_, body) in bodies.drain(..) {
            let Body::StatusUpdate(update) = body else {
                continue;
            };
            link.acknowledge(&update.status);
            done += usize::from(is_terminal(update.status.state()));
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let per_task = |before: u64, pid: u32| (cpu_us(pid) - before) as f64 / tasks as f64;
    println!(
        "{:.0} tasks/s; CPU per task: agent {:.0} us, warden {:.0} us",
        tasks as f64 / seconds,
        per_task(before.0, agent.child.id()),
        per_task(before.1, warden)
    );
    let journal = std::fs::metadata(work_dir.path().join("journal"))
        .unwrap()
        .len();
    println!("journal {journal} bytes");
}

/// User and system time of a process, without that of its children.
fn cpu_us(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10_000
}
