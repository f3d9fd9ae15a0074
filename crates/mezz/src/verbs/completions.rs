//! `mezz completions`.

use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use crate::args::{CompletionsArgs, Shell};
use crate::client::error::ClientError;
use crate::complete::VARIABLE;
use crate::exit::Exit;
use crate::output::show;

/// Prints the script by which a shell asks this program for completions.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<Exit, ClientError> {
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    // The program that is found in PATH when the shell asks, not the one that runs now.
    let mut script = Vec::new();
    shell
        .write_registration(VARIABLE, "mezz", "mezz", "mezz", &mut script)
        .map_err(ClientError::Output)?;
    show::write(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}
