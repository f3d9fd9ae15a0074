//! What groups cost on this host: making, limiting, removing, ahead of time or not, and reading statistics.
//!
//! Needs root. Prints processor time of this process, kernel included, which other work on the host hardly changes.

use mezz_cgroup::{
    Below, Bytes, Ceiling, Controller, Counted, Cpu, Group, GroupName, Groups, Inner, Layout,
    Limits, Lowering, Memory, MilliCpus, Pool, Reader, Standing, Swap, hierarchies,
};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeSet;
use std::error::Error;
use std::io::Write as _;

const COUNT: usize = 1000;

fn cpu_us() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

/// Does it so often and says what one costs.
fn measure(
    what: &str,
    mut work: impl FnMut(usize) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let started = cpu_us();
    for at in 0..COUNT {
        work(at)?;
    }
    say(what, (cpu_us() - started) / COUNT as f64, "µs")
}

fn say(what: &str, figure: f64, unit: &str) -> Result<(), Box<dyn Error>> {
    writeln!(std::io::stdout(), "{figure:10.1} {unit}  {what}")?;
    Ok(())
}

fn limits() -> Limits {
    let quota = Some(Ceiling::At(MilliCpus(500)));
    Limits {
        cpu: Some(Cpu::of_task(MilliCpus(500), quota, true, Standing::Regular)),
        memory: Some(Memory::of_task(Bytes::mib(64), None, Swap::Free)),
        pids: Some(Ceiling::At(512)),
        ..Limits::default()
    }
}

/// Memory of the kernel that is not free for others, in bytes.
fn kernel_memory() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let kib = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let number = line.and_then(|rest| rest.split_whitespace().next());
        number
            .and_then(|number| number.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    Ok((kib("Slab:") + kib("Percpu:")) * 1024.0)
}

fn name(at: usize) -> Result<GroupName, Box<dyn Error>> {
    Ok(GroupName::new(format!("c{at}"))?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let wanted = [
        Controller::Cpu,
        Controller::Memory,
        Controller::Pids,
        Controller::Freezer,
    ];
    let wanted: BTreeSet<_> = wanted.into_iter().collect();
    let root = GroupName::new(format!("mezz-churn-{}", std::process::id()))?;
    let layout = Layout::new(&hierarchies()?, &root, Below::Mount, &wanted)?;
    let (groups, _) = Groups::prepare(layout)?;
    let done = all(&groups);
    for root in groups.layout().roots() {
        let _ = std::fs::remove_dir(root);
    }
    done
}

fn all(groups: &Groups) -> Result<(), Box<dyn Error>> {
    let limits = limits();
    say("hierarchies", groups.layout().roots().count() as f64, "  ")?;
    measure("made with limits and removed at once", |at| {
        let (group, _) = groups.create(&name(at)?, Inner::None, &limits)?;
        group.remove_once();
        Ok(())
    })?;
    let mut made = Vec::new();
    let before = kernel_memory()?;
    measure("made with limits", |at| {
        made.push(groups.create(&name(at)?, Inner::None, &limits)?.0);
        Ok(())
    })?;
    say(
        "the kernel's memory for each",
        (kernel_memory()? - before) / 1024.0 / COUNT as f64,
        "KiB",
    )?;
    statistics(&made)?;
    measure("removed", |at| {
        made[at].remove_once();
        Ok(())
    })?;
    ahead(groups, &limits)?;
    again(groups, &limits)
}

fn statistics(made: &[Group]) -> Result<(), Box<dyn Error>> {
    let mut buffer = Vec::new();
    measure("statistics, files opened each time", |at| {
        Reader::new(&made[at], Counted::default())?.read(&mut buffer)?;
        Ok(())
    })?;
    let before = kernel_memory()?;
    let mut readers = Vec::new();
    measure("files opened to stay so", |at| {
        readers.push(Reader::new(&made[at], Counted::default())?);
        Ok(())
    })?;
    say("files for each", readers[0].open_files() as f64, "  ")?;
    measure("statistics, the first time", |at| {
        readers[at].read(&mut buffer)?;
        Ok(())
    })?;
    measure("statistics, files open", |at| {
        readers[at].read(&mut buffer)?;
        Ok(())
    })?;
    say(
        "the kernel's memory for the open files of each",
        (kernel_memory()? - before) / 1024.0 / COUNT as f64,
        "KiB",
    )
}

fn ahead(groups: &Groups, limits: &Limits) -> Result<(), Box<dyn Error>> {
    let mut pool = Pool::new(groups.clone(), "p", Limits::default(), COUNT)?;
    measure("made ahead", |_| {
        pool.refill(1)?;
        Ok(())
    })?;
    let mut taken = Vec::new();
    measure("taken and limited, what a launch waits for", |_| {
        let group = pool.take().ok_or("the pool is empty")?;
        groups.change(&group, &Limits::default(), limits, Lowering::Never)?;
        taken.push(group);
        Ok(())
    })?;
    for group in taken {
        pool.retire(group);
    }
    measure("removed later", |_| {
        pool.reap(1);
        Ok(())
    })
}

/// What using a group again would save.
fn again(groups: &Groups, limits: &Limits) -> Result<(), Box<dyn Error>> {
    let (group, _) = groups.create(&name(0)?, Inner::None, limits)?;
    measure("limited again", |_| {
        groups.change(&group, &Limits::default(), limits, Lowering::Never)?;
        Ok(())
    })?;
    group.remove_once();
    Ok(())
}
