//! Reads what a group has used, from files that stay open.
//!
//! Owns which files those are. One `pread` for each file and reading; what the texts mean is decided in `statistics`.

use crate::controller::Controller;
use crate::directory::Directory;
use crate::group::Group;
use crate::stat_text::number;
use crate::statistics::{IoCount, Pressures, Statistics, pressure};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// What is counted beyond processor time, memory and threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Swap, where it is limited: one more file.
    pub swap: bool,
    /// Processes: as much work as there are processes.
    pub processes: bool,
    /// Waiting: three more files in version 2.
    pub pressure: bool,
}

/// Which text a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    CpuacctStat,
    CpuStatV1,
    CpuStatV2,
    MemoryTotal,
    MemoryStatV1,
    MemoryStatV2,
    MemoryWithSwap,
    SwapCurrent,
    Kernel,
    Tcp,
    Pids,
    Processes,
    BlkioOperations,
    BlkioBytes,
    IoStat,
    CpuPressure,
    MemoryPressure,
    IoPressure,
}

/// The open files of one group.
#[derive(Debug)]
pub struct Reader {
    files: Vec<(Source, File)>,
    ticks: u64,
}

impl Reader {
    /// Opens what this kernel has of the files.
    pub fn new(group: &Group, counted: Counted) -> io::Result<Self> {
        let mut files = Vec::new();
        for (path, sources) in wanted(group, counted) {
            let directory = Directory::open(&path)?;
            for (source, file) in sources {
                match directory.open_to_read(file) {
                    Ok(file) => files.push((source, file)),
                    // Kernels differ in what they count.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        files.shrink_to_fit();
        let ticks = rustix::param::clock_ticks_per_second();
        Ok(Self { files, ticks })
    }

    /// How many files it keeps open, and reads each time.
    pub fn open_files(&self) -> usize {
        self.files.len()
    }

    /// What the group has used by now. The buffer is the caller's, so that all groups share one.
    pub fn read(&self, buffer: &mut Vec<u8>) -> io::Result<Statistics> {
        let mut statistics = Statistics::default();
        for (source, file) in &self.files {
            match read_whole(file, buffer) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(&buffer[..length]);
                    take(&mut statistics, *source, &text, self.ticks);
                }
                // Pressure can be switched off while the files are there.
                Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(statistics)
    }
}

/// The kernel gives such a file whole to one read, if the buffer is large enough; only lists of processes come in
/// pieces.
fn read_whole(file: &File, buffer: &mut Vec<u8>) -> io::Result<usize> {
    const LEAST: usize = 8192;
    const PIECE: usize = 4096;
    buffer.resize(buffer.len().max(LEAST), 0);
    let mut length = 0;
    loop {
        let offset = u64::try_from(length).unwrap_or(u64::MAX);
        let got = file.read_at(&mut buffer[length..], offset)?;
        length += got;
        if got == 0 || (length < buffer.len() && got < PIECE / 2) {
            return Ok(length);
        }
        if buffer.len() - length < PIECE {
            let longer = buffer.len() * 2;
            buffer.resize(longer, 0);
        }
    }
}

fn take(statistics: &mut Statistics, source: Source, text: &str, ticks: u64) {
    let waited = |statistics: &mut Statistics, set: fn(&mut Pressures, &str)| {
        set(statistics.pressure.get_or_insert_default(), text);
    };
    match source {
        Source::CpuacctStat => statistics.cpuacct_stat(text, ticks),
        Source::CpuStatV1 => statistics.cpu_stat_v1(text),
        Source::CpuStatV2 => statistics.cpu_stat_v2(text),
        Source::MemoryTotal => statistics.memory.total = number(text),
        Source::MemoryStatV1 => statistics.memory_stat_v1(text),
        Source::MemoryStatV2 => statistics.memory_stat_v2(text),
        Source::MemoryWithSwap => statistics.memory.with_swap = number(text),
        Source::SwapCurrent => statistics.swap_current(text),
        Source::Kernel => statistics.memory.kernel = number(text),
        Source::Tcp => statistics.memory.tcp = number(text),
        Source::Pids => statistics.threads = number(text),
        Source::Processes => {
            statistics.processes = u64::try_from(text.lines().count()).ok();
        }
        Source::BlkioOperations => statistics.blkio(IoCount::Operations, text),
        Source::BlkioBytes => statistics.blkio(IoCount::Bytes, text),
        Source::IoStat => statistics.io_stat(text),
        Source::CpuPressure => waited(statistics, |all, text| all.cpu = pressure(text)),
        Source::MemoryPressure => waited(statistics, |all, text| all.memory = pressure(text)),
        Source::IoPressure => waited(statistics, |all, text| all.io = pressure(text)),
    }
}

type Sources = Vec<(Source, &'static str)>;

fn wanted(group: &Group, counted: Counted) -> Vec<(PathBuf, Sources)> {
    let (layout, name) = (group.layout(), group.name().as_str());
    let mut all: Vec<(PathBuf, Sources)> = layout
        .v1
        .iter()
        .map(|root| {
            let sources = root.controllers.iter().flat_map(|each| v1(*each, counted));
            (root.path.join(name), sources.collect())
        })
        .collect();
    if let Some(root) = &layout.v2 {
        let mut sources: Sources = vec![];
        for controller in &root.controllers {
            sources.extend(v2(*controller, counted));
        }
        all.push((root.path.join(name), sources));
    }
    if counted.processes
        && let Some(path) = group.joined().into_iter().next_back()
    {
        all.push((path, vec![(Source::Processes, "cgroup.procs")]));
    }
    all.retain(|(_, sources)| !sources.is_empty());
    all
}

fn v1(controller: Controller, counted: Counted) -> Sources {
    match controller {
        Controller::Cpu => vec![(Source::CpuStatV1, "cpu.stat")],
        Controller::Cpuacct => vec![(Source::CpuacctStat, "cpuacct.stat")],
        Controller::Memory => {
            let mut sources = vec![
                (Source::MemoryTotal, "memory.usage_in_bytes"),
                (Source::MemoryStatV1, "memory.stat"),
                (Source::Kernel, "memory.kmem.usage_in_bytes"),
                (Source::Tcp, "memory.kmem.tcp.usage_in_bytes"),
            ];
            if counted.swap {
                sources.push((Source::MemoryWithSwap, "memory.memsw.usage_in_bytes"));
            }
            sources
        }
        Controller::Pids => vec![(Source::Pids, "pids.current")],
        Controller::Io => vec![
            (
                Source::BlkioOperations,
                "blkio.throttle.io_serviced_recursive",
            ),
            (
                Source::BlkioBytes,
                "blkio.throttle.io_service_bytes_recursive",
            ),
        ],
        _ => vec![],
    }
}

fn v2(controller: Controller, counted: Counted) -> Sources {
    let waiting = |source, file| counted.pressure.then_some((source, file));
    match controller {
        Controller::Cpuacct => [(Source::CpuStatV2, "cpu.stat")]
            .into_iter()
            .chain(waiting(Source::CpuPressure, "cpu.pressure"))
            .collect(),
        Controller::Memory => [
            (Source::MemoryTotal, "memory.current"),
            (Source::MemoryStatV2, "memory.stat"),
        ]
        .into_iter()
        .chain(
            counted
                .swap
                .then_some((Source::SwapCurrent, "memory.swap.current")),
        )
        .chain(waiting(Source::MemoryPressure, "memory.pressure"))
        .collect(),
        Controller::Pids => vec![(Source::Pids, "pids.current")],
        Controller::Io => [(Source::IoStat, "io.stat")]
            .into_iter()
            .chain(waiting(Source::IoPressure, "io.pressure"))
            .collect(),
        _ => vec![],
    }
}
