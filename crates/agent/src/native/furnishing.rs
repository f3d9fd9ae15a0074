//! What an image says about how it is run, under the task's wishes. Pure.

use std::path::PathBuf;

use mezz_agent_core::{Command, ContainerFacts, Launch};
use mezz_image::config::Defaults;
use mezz_image::runtime::{self, DEFAULT_PATH, RuntimeError, TaskCommand};
use mezz_launch_plan::{CommandSpec, SANDBOX_IN_ROOT};

use crate::preparing::Furnished;

/// Puts the image's defaults below what the task says.
pub(super) fn furnish(
    launch: &Launch,
    image: &Defaults,
    furnished: &mut Furnished,
) -> Result<(), RuntimeError> {
    let task = match &launch.command {
        Command::Shell(text) => TaskCommand {
            shell: true,
            value: Some(text.clone()),
            arguments: Vec::new(),
        },
        Command::Argv { program, argv } => TaskCommand {
            shell: false,
            value: Some(program.clone()).filter(|program| !program.is_empty()),
            arguments: argv.clone(),
        },
    };
    furnished.command = match runtime::command(&task, image)? {
        runtime::Command::OfTask => None,
        runtime::Command::OfImage { program, arguments } => Some(CommandSpec::Argv {
            program,
            argv: arguments,
        }),
    };
    // The host's own PATH means nothing in an image.
    furnished.environment = vec![("PATH".to_owned(), DEFAULT_PATH.to_owned())];
    furnished
        .environment
        .extend(runtime::environment(image, None));
    furnished.environment_over = vec![("MESOS_SANDBOX".to_owned(), SANDBOX_IN_ROOT.to_owned())];
    furnished.working_directory = runtime::working_directory(image)?.map(PathBuf::from);
    furnished.facts = ContainerFacts {
        stop_signal: runtime::stop_signal(image)?.map(i32::from),
        ..ContainerFacts::default()
    };
    Ok(())
}
