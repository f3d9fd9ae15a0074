//! Events of the operator API to many subscribers, and to one that does not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use mezz_bench::shapes::{TaskShape, register};
use tokio::runtime::Runtime;

use super::fleet::{Duty, Fleet};
use super::floors;
use super::launcher::{Launcher, Launches};
use super::master::Master;
use super::streams::Stream;
use super::{Load, runtime};
use crate::measures::{Line, line, median};

const LIMIT: Duration = Duration::from_mins(2);
const SUBSCRIBE: &[u8] = b"{\"type\":\"SUBSCRIBE\"}";
/// A task is added, runs and finishes.
const EVENTS_PER_TASK: u64 = 3;

/// Readers of the event stream, and how much each has seen.
struct Readers {
    seen: Vec<Arc<AtomicU64>>,
    bytes: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<Result<()>>>,
}

impl Readers {
    fn open(runtime: &Runtime, address: &str, count: usize) -> Result<Self> {
        let bytes = Arc::new(AtomicU64::new(0));
        let seen: Vec<_> = (0..count).map(|_| Arc::new(AtomicU64::new(0))).collect();
        let mut tasks = Vec::new();
        for seen in &seen {
            let mut stream = runtime.block_on(subscribe(address))?;
            let (seen, bytes) = (seen.clone(), bytes.clone());
            tasks.push(runtime.spawn(async move {
                loop {
                    let (mut events, mut length) = (0, 0);
                    let more = stream
                        .more(|record| {
                            let is_task = record.starts_with(b"{\"task_")
                                || record.starts_with(b"{\"type\":\"TASK_");
                            events += u64::from(is_task);
                            length += record.len() as u64;
                            Ok(())
                        })
                        .await?;
                    seen.fetch_add(events, Ordering::Relaxed);
                    bytes.fetch_add(length, Ordering::Relaxed);
                    ensure!(more, "the stream ended");
                }
            }));
        }
        Ok(Self { seen, bytes, tasks })
    }

    /// Waits until every reader has seen so many events.
    fn wait(&self, wanted: u64) -> Result<()> {
        let end = Instant::now() + LIMIT;
        while self
            .seen
            .iter()
            .any(|seen| seen.load(Ordering::Relaxed) < wanted)
        {
            if self.tasks.iter().any(tokio::task::JoinHandle::is_finished) {
                bail!("a reader that reads was cut off");
            }
            let least = self.seen.iter().map(|seen| seen.load(Ordering::Relaxed));
            ensure!(
                Instant::now() < end,
                "a reader has seen {:?} of {wanted} events",
                least.min()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

async fn subscribe(address: &str) -> Result<Stream> {
    Stream::open(address, "/api/v1", "application/json", SUBSCRIBE).await
}

pub(crate) fn measure(load: &Load) -> Result<Vec<Line>> {
    let runtime = runtime()?;
    let flags = ["--max-operator-event-stream-subscribers", "5000"];
    let master = Master::start(&load.mezz, &load.folder("events")?, &flags)?;
    let agents: Vec<_> = (0..20)
        .map(|number| register(number, TaskShape::Usual))
        .collect();
    let fleet = Fleet::start(&runtime, &master.address, &agents, 20, Duty::Finish);
    fleet.registered(LIMIT)?;
    let mut launcher = Launcher::new(&master.address, "source")?;
    let run = |tasks| Launches {
        tasks,
        outstanding: 200,
        batch: 50,
    };
    launcher.run(&run(100))?;
    master.wait_until_quiet();
    let stalled = stalled_reader(&runtime, &master, &mut launcher)?;
    let count = load.scaled(1_000);
    let readers = Readers::open(&runtime, &master.address, count)?;
    master.wait_until_quiet();
    let (mut rates, mut costs, mut wanted) = (Vec::new(), Vec::new(), 0);
    let tasks = 200;
    for _ in 0..7 {
        let (started, before) = (Instant::now(), master.cpu());
        wanted += tasks as u64 * EVENTS_PER_TASK;
        launcher.run(&run(tasks))?;
        readers.wait(wanted)?;
        let delivered = (tasks as u64 * EVENTS_PER_TASK * count as u64) as f64;
        rates.push(delivered / started.elapsed().as_secs_f64());
        costs.push(master.cpu().saturating_sub(before).as_secs_f64() * 1e6 / delivered);
    }
    let size = readers.bytes.load(Ordering::Relaxed) / (wanted * count as u64);
    let floor = floors::fan_out(&runtime, count, usize::try_from(size)?)?;
    Ok(vec![
        line(
            format!("events/s to {count} subscribers in JSON, about {size} B each"),
            format!(
                "{:.0} (CPU of the master {:.1} µs each)",
                median(&mut rates),
                median(&mut costs)
            ),
            format!(
                "goal 80,000, stretch 200,000; plain sockets, one write for each, now {floor:.0}"
            ),
        ),
        stalled,
    ])
}

/// One reader stops reading while others go on: it has to be cut off, and they must miss nothing.
fn stalled_reader(runtime: &Runtime, master: &Master, launcher: &mut Launcher) -> Result<Line> {
    let readers = Readers::open(runtime, &master.address, 10)?;
    let mut stalled = runtime.block_on(Stream::open_with_buffer(
        &master.address,
        "/api/v1",
        "application/json",
        SUBSCRIBE,
        // What the kernel would hold for it is not what is measured.
        Some(64 * 1024),
    ))?;
    let (mut tasks, step) = (0, 5_000);
    let mut seen = 0_u64;
    // Until what the kernel and the master keep for it is full.
    while tasks < 120_000 {
        tasks += step;
        launcher.run(&Launches {
            tasks: step,
            outstanding: 1_000,
            batch: 50,
        })?;
        readers.wait(tasks as u64 * EVENTS_PER_TASK)?;
    }
    let ended = runtime.block_on(async {
        let read_all = async {
            while stalled
                .more(|_| {
                    seen += 1;
                    Ok(())
                })
                .await
                .unwrap_or(false)
            {}
        };
        tokio::time::timeout(Duration::from_secs(20), read_all)
            .await
            .is_ok()
    });
    ensure!(
        ended,
        "a reader that stopped was not cut off: it has seen {seen} records"
    );
    Ok(line(
        format!(
            "a reader that stops, of {} events",
            tasks as u64 * EVENTS_PER_TASK
        ),
        format!("cut off after {seen}; ten others missed nothing"),
        "",
    ))
}
