//! What somebody who runs a job adds to its command, for that run.

use std::sync::Arc;

use mezz_spec::template::Command;
use mezz_spec::{Kind, Name, Spec};

use crate::call::Refusal;

/// A job's spec with arguments behind its command: behind a shell's text as they are, for a program word by word.
pub(super) fn added(
    name: &Name,
    spec: &Arc<Spec>,
    arguments: Option<&str>,
) -> Result<Arc<Spec>, Refusal> {
    let Some(arguments) = given(arguments) else {
        return Ok(Arc::clone(spec));
    };
    let mut changed = Spec::clone(spec);
    let command = match &mut changed {
        Spec::Job(job) => job
            .template
            .containers
            .first_mut()
            .and_then(|container| container.command.as_mut()),
        _ => None,
    };
    match command {
        Some(Command::Shell(text)) => {
            text.push(' ');
            text.push_str(arguments);
        }
        Some(Command::Words(words)) => {
            words.extend(arguments.split_whitespace().map(str::to_owned));
        }
        None => return Err(refusal(Kind::Job, name, "it has no command to add them to")),
    }
    Ok(Arc::new(changed))
}

/// Refuses arguments for what has no command of its own.
pub(crate) fn refuse(kind: Kind, name: &Name, arguments: Option<&str>) -> Result<(), Refusal> {
    match given(arguments) {
        None => Ok(()),
        Some(_) => Err(refusal(kind, name, "only jobs take them; leave them out")),
    }
}

fn given(arguments: Option<&str>) -> Option<&str> {
    arguments
        .map(str::trim)
        .filter(|arguments| !arguments.is_empty())
}

fn refusal(kind: Kind, name: &Name, message: &str) -> Refusal {
    Refusal::Invalid {
        kind,
        name: name.to_string(),
        path: "/arguments".into(),
        message: message.into(),
    }
}
