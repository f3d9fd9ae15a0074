//! The arguments of `mezz run`: a task, a run of a job, or an object made of a command.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use crate::complete;

#[derive(Args, Debug)]
#[command(
    after_help = "Exit code: the task's own; 128+N when signal N ended it; 125 when it was not launched or was lost.\n\
                        A run of a cron is one outside of its schedule, which its overlap has to let begin.\n\
                        A run of a job gives the last status of its attempts that is not 0, or 1 when it failed otherwise.\n\
                        Ctrl-C kills the task; a second one kills it without grace."
)]
pub(crate) struct RunArgs {
    /// Name of the task, for people.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Id of the task or run; made up when not given.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Role whose share it uses.
    #[arg(long)]
    pub(crate) role: Option<String>,
    /// Higher goes first within its role [default: 0].
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) priority: Option<i32>,
    /// Processors, in parts of one [default: 0.1].
    #[arg(long, value_name = "NUMBER")]
    pub(crate) cpus: Option<f64>,
    /// Memory in MiB [default: 32].
    #[arg(long, value_name = "MIB")]
    pub(crate) mem: Option<f64>,
    /// Disk in MiB.
    #[arg(long, value_name = "MIB")]
    pub(crate) disk: Option<f64>,
    /// Whole GPUs.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) gpus: Option<f64>,
    /// How many ports it gets; they are in $PORT0, $PORT1 and so on.
    #[arg(long, value_name = "COUNT")]
    pub(crate) ports: Option<u32>,
    /// A variable of its environment; NAME alone takes the value it has here.
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// A label.
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,
    /// A file to fetch into its sandbox.
    #[arg(long, value_name = "URI")]
    pub(crate) uri: Vec<String>,
    /// User to run as.
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Time between a polite kill and a hard one, as in 5s.
    #[arg(long, value_name = "DURATION")]
    pub(crate) kill_grace_period: Option<String>,
    /// Run the command by /bin/sh -c.
    #[arg(long)]
    pub(crate) shell: bool,
    /// Print the id of the task or run and do not wait for it.
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// A parameter of the job, dag or cron.
    #[arg(short, long, value_name = "KEY=VALUE", requires = "target")]
    pub(crate) param: Vec<String>,
    /// A job, dag or cron that was applied, of which a run is begun; KIND/NAME where several have the name.
    #[arg(value_name = "NAME", conflicts_with_all = ["command", "service", "job", "cron", "print", "name", "role", "priority", "cpus", "mem", "disk", "gpus", "ports", "env", "label", "uri", "user", "kill_grace_period", "shell"], add = ArgValueCandidates::new(complete::jobs))]
    pub(crate) target: Option<String>,
    /// The command and its arguments.
    #[arg(
        last = true,
        required_unless_present = "target",
        value_name = "COMMAND"
    )]
    pub(crate) command: Vec<String>,
    #[command(flatten)]
    pub(crate) quick: QuickArgs,
}

/// An object that runs the command, in place of a single task.
#[derive(Args, Debug)]
#[command(next_help_heading = "As an object of the name --name")]
pub(crate) struct QuickArgs {
    /// Keep the command running, as a service.
    #[arg(long, group = "shape")]
    pub(crate) service: bool,
    /// Make it a job, and begin a run of it.
    #[arg(long, group = "shape")]
    pub(crate) job: bool,
    /// Run it at certain times, as a cron: '*/5 * * * *', @daily or R/2026-01-01T00:00:00Z/PT1H.
    #[arg(long, value_name = "SCHEDULE", group = "shape")]
    pub(crate) cron: Option<String>,
    /// Of a service: how many instances.
    #[arg(long, value_name = "COUNT", requires = "service")]
    pub(crate) replicas: Option<u32>,
    /// Of a job or cron: how many indices, each of which has to succeed once.
    #[arg(
        long,
        value_name = "COUNT",
        requires = "shape",
        conflicts_with = "service"
    )]
    pub(crate) completions: Option<u32>,
    /// Of a job or cron: how many indices at the same time.
    #[arg(
        long,
        value_name = "COUNT",
        requires = "shape",
        conflicts_with = "service"
    )]
    pub(crate) parallelism: Option<u32>,
    /// Of a job or cron: how often an index that failed is tried again.
    #[arg(
        long,
        value_name = "COUNT",
        requires = "shape",
        conflicts_with = "service"
    )]
    pub(crate) retries: Option<u32>,
    /// Of a cron: the zone of its schedule, such as Europe/Berlin.
    #[arg(long, value_name = "ZONE", requires = "cron")]
    pub(crate) time_zone: Option<String>,
    /// Print the object instead of applying it.
    #[arg(long, requires = "shape")]
    pub(crate) print: bool,
}
