//! `mezz replay`: a recorded master's events go through a bare core again, here, and are compared with what was recorded.

mod run;

use std::path::{Path, PathBuf};

use mezz_master::{RECORDER_FOLDER, recorded_segments};
use mezz_recording::{ReadError, ReplayError};

use crate::args::ReplayArgs;
use crate::exit::Exit;
use crate::output::talk;
use run::{Progress, Runs};

/// Why there is nothing to replay, or not all of it.
#[derive(Debug, thiserror::Error)]
enum ReplayFailure {
    #[error("there is no recording in {}", .0.display())]
    Nothing(PathBuf),
    #[error("{} cannot be read: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: {error}", path.display())]
    Unreadable { path: PathBuf, error: ReadError },
    #[error("{}: {error}", path.display())]
    Replay { path: PathBuf, error: ReplayError },
    #[error("{}: event {event}: the core does not survive it, {when}", path.display())]
    Panicked {
        path: PathBuf,
        event: u64,
        when: &'static str,
    },
}

impl ReplayFailure {
    fn exit(&self) -> Exit {
        match self {
            Self::Nothing(_) => Exit::NotFound,
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Exit::NotFound
            }
            Self::Unreadable {
                error: ReadError::NewerVersion { .. } | ReadError::OlderVersion { .. },
                ..
            } => Exit::Refused,
            _ => Exit::Failed,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Nothing(_) => {
                Some("a master records into the folder `recorder` of its --work-dir")
            }
            Self::Unreadable {
                error: ReadError::NewerVersion { .. },
                ..
            } => Some("replay it with the version of mezz that recorded it"),
            Self::Replay {
                error: ReplayError::Diverged(_),
                ..
            } => Some("--until EVENT --print --effects shows what led to it"),
            _ => None,
        }
    }
}

/// Replays a file or a folder and says how it came out.
pub(crate) fn replay(args: &ReplayArgs) -> Exit {
    match replay_all(args) {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            talk::error(&failure.to_string());
            if let Some(hint) = failure.hint() {
                talk::hint(hint);
            }
            failure.exit()
        }
    }
}

fn replay_all(args: &ReplayArgs) -> Result<(), ReplayFailure> {
    let mut files = files(&args.recording)?;
    if args.until.is_some() {
        // Events are numbered within a run: the number means one of the last.
        let last = files
            .last()
            .and_then(|path| run_of(path))
            .map(str::to_owned);
        files.retain(|path| run_of(path) == last.as_deref());
    }
    let mut runs = Runs::new(args);
    for path in files {
        if runs.replay(&path)? == Progress::Ended {
            return Ok(());
        }
    }
    runs.conclude();
    Ok(())
}

fn run_of(path: &Path) -> Option<&str> {
    path.file_stem()?.to_str()?.split('-').next()
}

/// The segments that are meant: one, or all of a folder of them or of a master's or a dev cluster's work folder.
fn files(recording: &Path) -> Result<Vec<PathBuf>, ReplayFailure> {
    if !recording.is_dir() {
        return Ok(vec![recording.to_owned()]);
    }
    let folders = [
        recording.to_owned(),
        recording.join(RECORDER_FOLDER),
        recording.join("master").join(RECORDER_FOLDER),
    ];
    for path in folders.into_iter().filter(|folder| folder.is_dir()) {
        let files =
            recorded_segments(&path).map_err(|source| ReplayFailure::Io { path, source })?;
        if !files.is_empty() {
            return Ok(files);
        }
    }
    Err(ReplayFailure::Nothing(recording.to_owned()))
}
