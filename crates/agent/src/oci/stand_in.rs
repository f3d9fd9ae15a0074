//! The process of the host that becomes the runtime of a container: it mounts the layers of the root, in the mounts of
//! its own that the warden has made for it, and executes the runtime. So nothing is left of the mount when it ends.

use std::ffi::{CString, OsString};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use mezz_launch_plan::isolation::Overlay;
use mezz_oci::Invocation;
use rustix::mount::MountFlags;
use serde::{Deserialize, Serialize};

/// Its name under the hidden verb.
pub(super) const NAME: &str = "oci";
/// As Docker's client ends when nothing could be started.
const NOT_STARTED: u8 = 125;
/// The kernel takes one page of options.
const LONGEST: usize = 4095;

/// What the process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StandIn {
    /// What is mounted first.
    layers: Option<Layers>,
    program: PathBuf,
    arguments: Vec<String>,
}

/// Layers to mount.
#[derive(Debug, Serialize, Deserialize)]
struct Layers {
    at: PathBuf,
    options: String,
}

impl StandIn {
    pub(super) fn new(overlay: Option<&Overlay>, run: &Invocation) -> io::Result<Self> {
        let layers = overlay.map(|overlay| {
            Ok::<_, io::Error>(Layers {
                at: PathBuf::from(text(&overlay.at)?),
                options: options(overlay)?,
            })
        });
        Ok(Self {
            layers: layers.transpose()?,
            program: run.program.clone(),
            arguments: run.arguments[1..].to_vec(),
        })
    }
}

fn options(overlay: &Overlay) -> io::Result<String> {
    let lower = overlay.lower.iter().map(escaped);
    let lower: Vec<String> = lower.collect::<io::Result<_>>()?;
    let mut options = format!("lowerdir={}", lower.join(":"));
    if let Some(upper) = &overlay.upper {
        let (changes, work) = (escaped(&upper.upper)?, escaped(&upper.work)?);
        options += &[",upperdir=", &changes, ",workdir=", &work].concat();
    }
    for option in &overlay.options {
        options += &[",", text(option)?].concat();
    }
    if options.len() > LONGEST {
        let message = "the image has more layers than fit into the options of one mount";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(options)
}

fn text(path: &CString) -> io::Result<&str> {
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidInput, "a path is not UTF-8");
    path.to_str().map_err(not_text)
}

fn escaped(path: &CString) -> io::Result<String> {
    let mut escaped = String::new();
    for letter in text(path)?.chars() {
        if matches!(letter, ':' | ',' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    Ok(escaped)
}

/// Serves the hidden verb; the arguments are those after it. None if it is not ours. Returns only if it fails.
pub(crate) fn run_verb(arguments: &[OsString]) -> Option<ExitCode> {
    let [what, flag, file] = arguments else {
        return None;
    };
    if what != NAME || flag != "--spec" {
        return None;
    }
    let error = become_runtime(Path::new(file));
    // Whoever reads it may be gone.
    let _ = writeln!(io::stderr(), "oci: {error}");
    Some(ExitCode::from(NOT_STARTED))
}

fn become_runtime(file: &Path) -> io::Error {
    let told = match told(file) {
        Ok(told) => told,
        Err(error) => return error,
    };
    if let Some(layers) = &told.layers
        && let Err(error) = mount(layers)
    {
        let text = format!("cannot mount the layers of the image: {error}");
        return io::Error::new(error.kind(), text);
    }
    Command::new(&told.program).args(&told.arguments).exec()
}

fn told(file: &Path) -> io::Result<StandIn> {
    Ok(serde_json::from_slice(&std::fs::read(file)?)?)
}

fn mount(layers: &Layers) -> io::Result<()> {
    let options = CString::new(layers.options.as_str())?;
    let none = MountFlags::empty();
    Ok(rustix::mount::mount(
        "overlay",
        &layers.at,
        "overlay",
        none,
        options.as_c_str(),
    )?)
}
