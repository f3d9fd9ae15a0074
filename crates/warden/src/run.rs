//! The entry: `mezz warden …`, taken before anything big is set up.
//!
//! Must never start a thread or a runtime.

use crate::exit_log::ExitLog;
use crate::launch::{Launch, Phase};
use crate::options::{Start, WardenOptions};
use crate::reexec;
use crate::startup::{StartupError, log_folder, open_endpoint, prepare_process};
use crate::timers::Timer;
use crate::tree::TreeId;
use crate::warden::Warden;
use mezz_launch_plan::{KillMethod, Leftovers, Survival};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a warden without a work directory waits for its agent.
const FIRST_CONNECTION_DEADLINE: Duration = Duration::from_secs(30);

/// Why a warden ended badly.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Startup(#[from] StartupError),
    #[error("exit log in {}: {source}", work_dir.display())]
    ExitLog {
        work_dir: PathBuf,
        source: std::io::Error,
    },
    #[error("state: {0}")]
    State(#[from] reexec::StateError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Is the warden until it ends; `arguments` are those after the verb.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match WardenOptions::parse(arguments) {
        Ok(options) => options,
        Err(error) => {
            note!("{error}");
            return ExitCode::from(2);
        }
    };
    match serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &WardenOptions) -> Result<(), RunError> {
    let mut warden = match options.start {
        Start::ValidateState(fd) => return Ok(reexec::validate(fd)?),
        Start::ResumeState(fd) => reexec::resume(fd)?,
        Start::Fresh => fresh(options)?,
    };
    crate::pid_namespace::remember_heap();
    let result = warden.serve();
    warden.clear_up();
    if let Some(scratch) = &options.scratch {
        // The agent may be doing the same.
        let _ = std::fs::remove_dir_all(scratch);
    }
    Ok(result?)
}

fn fresh(options: &WardenOptions) -> Result<Warden, RunError> {
    let setup = prepare_process(&options.socket, options.work_dir.as_deref())?;
    let endpoint = open_endpoint(&setup.socket)?;
    let folder = log_folder(&setup.socket, setup.work_dir.as_deref()).to_owned();
    let (log, found) = ExitLog::open(&folder).map_err(|source| RunError::ExitLog {
        work_dir: folder,
        source,
    })?;
    let mut warden = Warden::new(setup, endpoint, Some(log))?;
    for exit in found.exits {
        // What is left of its tree, the agent ends by KillStray: only it remembers the plan.
        let tree = TreeId {
            kill: KillMethod::Session,
            pid: 0,
            start_ticks: 0,
            marker: c"".to_owned(),
        };
        warden.insert(Launch {
            id: exit.launch_id,
            tree,
            survival: Survival::Keep,
            leftovers: Leftovers::Leave,
            phase: Phase::Exited(exit),
            pidfd: None,
            stdin: None,
            outputs: Vec::new(),
            init_status: None,
            unclear_since: None,
        });
    }
    warden.adopt(found.running);
    if warden.setup.work_dir.is_none() {
        warden.timers.set(
            Instant::now() + FIRST_CONNECTION_DEADLINE,
            Timer::FirstConnection,
        );
    }
    announce()?;
    Ok(warden)
}

/// Says that we listen, and lets go of the pipe it was said through.
fn announce() -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    // Nobody may be listening any more: that shows when nobody connects.
    let _ = stdout.write_all(b"ready\n").and_then(|()| stdout.flush());
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}
