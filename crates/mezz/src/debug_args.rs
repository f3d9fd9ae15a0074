//! The arguments of the verbs that look into the containers of tasks.

use std::net::IpAddr;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCandidates;

use crate::args::Output;
use crate::complete;

#[derive(Args, Debug)]
#[command(
    after_help = "Exit code: that of the command, or 128 and the number of its signal; 126 when it cannot be run there, 127 when it is not \
                        there, 125 when nobody can say how it ended."
)]
pub(crate) struct ExecArgs {
    /// Pass standard input on.
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Run it on a terminal of the size of ours, which follows it; passes input on too.
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Run it as this user of the agent's host.
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Set a variable over those of the task; may be given several times.
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// The instance or task: its id, the beginning of it, its name, or `last`.
    #[arg(value_name = "TASK", add = ArgValueCandidates::new(complete::live_tasks))]
    pub(crate) task: String,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Ctrl-P Ctrl-Q leaves the task running. Of a task without a terminal its output is shown as it comes. \
                        Exit code: as the task ends."
)]
pub(crate) struct AttachArgs {
    /// Only watch: what is typed goes nowhere.
    #[arg(long)]
    pub(crate) no_stdin: bool,
    /// The instance or task: its id, the beginning of it, its name, or `last`.
    #[arg(value_name = "TASK", add = ArgValueCandidates::new(complete::live_tasks))]
    pub(crate) task: String,
}

#[derive(Args, Debug)]
#[command(
    after_help = "One of the two is TASK:PATH; a relative PATH is in the sandbox. Folders are copied with all in them: into the target \
                        where that is a folder, else under its name. `-` is a tar stream on stdin or stdout. The container needs a `tar`."
)]
pub(crate) struct CopyArgs {
    /// What to copy: a local path, TASK:PATH, or `-`.
    #[arg(value_name = "FROM")]
    pub(crate) from: String,
    /// Where to: a local path, TASK:PATH, or `-`.
    #[arg(value_name = "TO")]
    pub(crate) to: String,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Connections go through the master and the agent into the network of the task's container, to its loopback."
)]
pub(crate) struct PortForwardArgs {
    /// The local address to listen at.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) address: IpAddr,
    /// The instance or task: its id, the beginning of it, its name, or `last`.
    #[arg(value_name = "TASK", add = ArgValueCandidates::new(complete::live_tasks))]
    pub(crate) task: String,
    /// Ports: LOCAL:REMOTE, PORT for the same on both sides, :REMOTE for any local one.
    #[arg(required = true, value_name = "[LOCAL:]REMOTE")]
    pub(crate) ports: Vec<String>,
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TopOrder {
    Cpu,
    Mem,
}

#[derive(Args, Debug)]
#[command(
    after_help = "On a terminal it goes on until Ctrl-C; into a pipe, and in all formats but table and wide, it is shown once."
)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) output: Output,
    /// Show it once.
    #[arg(short = '1', long)]
    pub(crate) once: bool,
    /// Time between two looks, over which the use of processors is measured.
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub(crate) interval: String,
    /// What comes first.
    #[arg(long, value_enum, default_value = "cpu")]
    pub(crate) sort: TopOrder,
}
