//! What a container of an image runs: the image's defaults under the task's wishes, as Mesos's `docker/runtime` has it.

use thiserror::Error;

use crate::config::Defaults;

/// Where programs are looked for if neither image nor task says so.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuntimeError {
    /// `shell` without `value`.
    #[error("command.shell is true, but command.value is not set")]
    NoShellCommand,
    /// Neither the task nor the image names a program.
    #[error(
        "nothing to run: command.value is not set, and the image has neither ENTRYPOINT nor CMD"
    )]
    NoExecutable,
    /// `STOPSIGNAL`.
    #[error(
        "the image's STOPSIGNAL '{0}' is no signal: a number from 1 to 64 or a name such as SIGTERM"
    )]
    StopSignal(String),
    /// `WORKDIR`.
    #[error("the image's WORKDIR contains a zero byte")]
    WorkingDirectory,
}

/// The parts of a task's `CommandInfo` that an image has a say in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskCommand {
    /// Whether a shell runs `value`.
    pub shell: bool,
    /// What is run.
    pub value: Option<String>,
    /// With what.
    pub arguments: Vec<String>,
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// What the task says; the image's ENTRYPOINT and CMD count for nothing.
    OfTask,
    /// This program, which is the first argument too.
    OfImage {
        /// As in the image; it may have to be looked for.
        program: String,
        /// All arguments, the program's name first.
        arguments: Vec<String>,
    },
}

/// What a container of this image runs for this task.
pub fn command(task: &TaskCommand, image: &Defaults) -> Result<Command, RuntimeError> {
    match (task.shell, &task.value) {
        (true, None) => return Err(RuntimeError::NoShellCommand),
        (_, Some(_)) => return Ok(Command::OfTask),
        (false, None) => {}
    }
    // Arguments of the task come in the place of CMD, but CMD's first word stays where it is the program.
    let (first, defaults) = if image.entrypoint.is_empty() {
        image.command.split_at(image.command.len().min(1))
    } else {
        (&image.entrypoint[..], &image.command[..])
    };
    let program = first.first().ok_or(RuntimeError::NoExecutable)?.clone();
    let rest = if task.arguments.is_empty() {
        defaults
    } else {
        &task.arguments
    };
    let arguments = [first, rest].concat();
    Ok(Command::OfImage { program, arguments })
}

/// The image's environment under the task's, each name once, in the order in which they first came.
///
/// What has no `=` or no name is left out.
pub fn environment(
    image: &Defaults,
    task: impl IntoIterator<Item = (String, String)>,
) -> Vec<(String, String)> {
    let of_image = image.environment.iter().filter_map(|variable| {
        let (name, value) = variable.split_once('=')?;
        let usable = !name.is_empty() && !variable.contains('\0');
        usable.then(|| (name.to_owned(), value.to_owned()))
    });
    let mut all: Vec<(String, String)> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for (name, value) in of_image.chain(task) {
        let place = *places.entry(name.clone()).or_insert(all.len());
        match all.get_mut(place) {
            Some(earlier) => earlier.1 = value,
            None => all.push((name, value)),
        }
    }
    all
}

/// Where the container starts, or `None` where the image does not say it. One that is not absolute is so from `/`.
pub fn working_directory(image: &Defaults) -> Result<Option<String>, RuntimeError> {
    let Some(directory) = &image.working_directory else {
        return Ok(None);
    };
    if directory.contains('\0') {
        return Err(RuntimeError::WorkingDirectory);
    }
    Ok(Some(if directory.starts_with('/') {
        directory.clone()
    } else {
        format!("/{directory}")
    }))
}

/// The signal that asks the container to end, if the image says one.
pub fn stop_signal(image: &Defaults) -> Result<Option<u8>, RuntimeError> {
    let Some(text) = &image.stop_signal else {
        return Ok(None);
    };
    signal_number(text)
        .map(Some)
        .ok_or_else(|| RuntimeError::StopSignal(text.clone()))
}

/// In the order of their numbers, from 1.
const SIGNALS: &str = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP \
                       TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";
const FIRST_REAL_TIME: u8 = 34;
const LAST_REAL_TIME: u8 = 64;

fn signal_number(text: &str) -> Option<u8> {
    let in_range = |number: &u8| (1..=LAST_REAL_TIME).contains(number);
    if let Ok(number) = text.parse::<u8>() {
        return Some(number).filter(in_range);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |text: &str, sign| match text {
        "" => Some(0),
        text => text.strip_prefix(sign)?.parse::<u8>().ok(),
    };
    let real_time = |number: &u8| (FIRST_REAL_TIME..=LAST_REAL_TIME).contains(number);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        let number = FIRST_REAL_TIME.checked_add(offset(rest, '+')?)?;
        return Some(number).filter(real_time);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        let number = LAST_REAL_TIME.checked_sub(offset(rest, '-')?)?;
        return Some(number).filter(real_time);
    }
    let name = match name {
        "IOT" => "ABRT",
        "CLD" => "CHLD",
        "POLL" => "IO",
        name => name,
    };
    let place = SIGNALS.split_whitespace().position(|known| known == name)?;
    u8::try_from(place + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn entrypoint_and_cmd_follow_the_table_of_mesos() {
        // shell, value, arguments, ENTRYPOINT, CMD; what runs
        let image = Some;
        for (shell, value, arguments, entrypoint, cmd, runs) in [
            (false, None, "", "", "", Err(RuntimeError::NoExecutable)),
            (false, None, "", "", "c d", Ok(image("c d"))),
            (false, None, "", "e f", "", Ok(image("e f"))),
            (false, None, "", "e f", "c d", Ok(image("e f c d"))),
            (false, None, "a b", "", "", Err(RuntimeError::NoExecutable)),
            (false, None, "a b", "", "c d", Ok(image("c a b"))),
            (false, None, "a b", "e f", "", Ok(image("e f a b"))),
            (false, None, "a b", "e f", "c d", Ok(image("e f a b"))),
            (false, Some("v"), "", "", "", Ok(None)),
            (false, Some("v"), "a", "e f", "c d", Ok(None)),
            (true, None, "", "e", "c", Err(RuntimeError::NoShellCommand)),
            (true, None, "a", "", "", Err(RuntimeError::NoShellCommand)),
            (true, Some("v"), "", "e", "c", Ok(None)),
            (true, Some("v"), "a", "", "", Ok(None)),
        ] {
            let task = TaskCommand {
                shell,
                value: value.map(str::to_owned),
                arguments: words(arguments),
            };
            let image = Defaults {
                entrypoint: words(entrypoint),
                command: words(cmd),
                ..Defaults::default()
            };
            let wanted = runs.map(|runs| match runs {
                None => Command::OfTask,
                Some(text) => Command::OfImage {
                    program: words(text)[0].clone(),
                    arguments: words(text),
                },
            });
            assert_eq!(command(&task, &image), wanted, "{task:?} {image:?}");
        }
    }

    #[test]
    fn the_tasks_environment_goes_over_the_images() {
        let image = Defaults {
            environment: ["A=1", "B=x=y", "nothing", "=z", "A=2", "C="]
                .map(str::to_owned)
                .to_vec(),
            ..Defaults::default()
        };
        let task = [("B", "task"), ("D", "4")].map(|(name, value)| (name.into(), value.into()));
        let all: Vec<String> = environment(&image, task)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(all, ["A=2", "B=task", "C=", "D=4"]);
    }

    #[test]
    fn directories_are_from_the_root() {
        for (said, meant) in [
            (None, None),
            (Some("/a"), Some("/a")),
            (Some("a/b"), Some("/a/b")),
        ] {
            let image = Defaults {
                working_directory: said.map(str::to_owned),
                ..Defaults::default()
            };
            assert_eq!(working_directory(&image).unwrap().as_deref(), meant);
        }
    }

    #[test]
    fn stop_signals_are_numbers_or_names() {
        for (text, number) in [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("9", Some(9)),
            ("SIGQUIT", Some(3)),
            ("SIGWINCH", Some(28)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("RTMIN+40", None),
            ("0", None),
            ("65", None),
            ("SIGFOO", None),
            ("RTMIN-1", None),
            ("", None),
        ] {
            let image = Defaults {
                stop_signal: Some(text.to_owned()),
                ..Defaults::default()
            };
            assert_eq!(stop_signal(&image).ok().flatten(), number, "{text}");
        }
    }
}
