//! The command line: verbs and their arguments. It parses; what a verb does is in `verbs` and `daemons`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Command, Subcommand, ValueEnum};

use crate::flags::{Daemon, layers};

/// How a client verb reaches the cluster.
#[derive(Args, Clone, Debug)]
pub(crate) struct Cluster {
    /// Address of the master, as HOST:PORT.
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        env = "MEZZ_MASTER",
        default_value = "127.0.0.1:5050",
        hide_env_values = true
    )]
    pub(crate) master: String,
}

/// How a list is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

/// The choice of a format.
#[derive(Args, Clone, Debug)]
pub(crate) struct Output {
    /// How the answer is shown: wide has more columns, json is what the master answered, name is ids only.
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        env = "MEZZ_OUTPUT",
        default_value = "table",
        hide_env_values = true
    )]
    pub(crate) output: Format,
}

/// The verbs that talk to a running cluster.
#[derive(Subcommand, Debug)]
pub(crate) enum ClientVerb {
    /// Run a command on the cluster, show its output and exit as it does.
    Run(Box<RunArgs>),
    /// List tasks.
    Ps(PsArgs),
    /// Show the output of a task.
    Logs(LogsArgs),
    /// Kill tasks.
    Kill(KillArgs),
    /// List agents.
    Agents(ListArgs),
    /// List frameworks.
    Frameworks(ListArgs),
    /// List roles with their shares.
    Roles(ListArgs),
    /// List the offers that frameworks hold.
    Offers(ListArgs),
    /// Say why a task, framework or agent is in the state it is in.
    Why(WhyArgs),
    /// Show what happens in the cluster, as it happens.
    Events(EventsArgs),
    /// Replay what a master recorded, and check that it comes out the same.
    Replay(ReplayArgs),
    /// Print the version of this program and of the master.
    Version(ListArgs),
}

#[derive(Args, Debug)]
#[command(
    after_help = "Exit code: the task's own; 128+N when signal N ended it; 125 when it was not launched or was lost.\n\
                        Ctrl-C kills the task; a second one kills it without grace."
)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    /// Name of the task, for people.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Id of the task; made up when not given.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Role whose share it uses.
    #[arg(long)]
    pub(crate) role: Option<String>,
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
    /// Print the task's id and do not wait for it.
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct PsArgs {
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Also tasks that have ended.
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only tasks of this framework.
    #[arg(long, value_name = "ID")]
    pub(crate) framework: Option<String>,
    /// Only tasks in this state, such as TASK_RUNNING or running.
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    /// Go on until the task ends.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only the last lines.
    #[arg(short = 'n', long, value_name = "LINES")]
    pub(crate) tail: Option<u64>,
    /// Which of the two outputs.
    #[arg(long, value_enum, default_value = "both")]
    pub(crate) stream: StreamChoice,
    /// Id, the beginning of one, or `last`.
    pub(crate) task: String,
}

/// Which output of a task is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamChoice {
    Stdout,
    Stderr,
    Both,
}

#[derive(Args, Debug)]
pub(crate) struct KillArgs {
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    /// Time between a polite kill and a hard one, as in 5s; 0s kills at once.
    #[arg(long, value_name = "DURATION")]
    pub(crate) grace_period: Option<String>,
    /// Ids, the beginnings of ids, or `last`.
    #[arg(required = true, value_name = "TASK")]
    pub(crate) tasks: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct WhyArgs {
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Id of a task, a framework or an agent, or `last` for the last task.
    pub(crate) id: String,
}

#[derive(Args, Debug)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
#[command(
    after_help = "A master with --work-dir DIR records into DIR/recorder, that of `mezz dev` into DIR/master/recorder.\n\
                        Exit code: 0 when the replay agrees; 1 when it does not, or the recording is damaged; 3 when there is \
                        none; 5 when it is of another version."
)]
pub(crate) struct ReplayArgs {
    /// A segment, or a folder of segments.
    #[arg(value_name = "FILE|DIR")]
    pub(crate) recording: PathBuf,
    /// Stop after the event of this number.
    #[arg(long, value_name = "EVENT")]
    pub(crate) until: Option<u64>,
    /// Print each event.
    #[arg(long)]
    pub(crate) print: bool,
    /// Print the effects of each event as well.
    #[arg(long)]
    pub(crate) effects: bool,
}

/// The whole command line; the flags of a daemon only when its verb is the one that is used, since there are many.
pub(crate) fn command(verb: Option<Daemon>) -> Command {
    let root = Command::new("mezz")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .max_term_width(110);
    let mut root = ClientVerb::augment_subcommands(root)
        .about("Mezzanine: many frameworks and commands share one cluster of machines");
    let daemons = [
        (
            Daemon::Dev,
            "Run a whole cluster here, in one process, until Ctrl-C",
        ),
        (Daemon::Master, "Run a master"),
        (Daemon::Agent, "Run an agent"),
    ];
    for (order, (daemon, about)) in daemons.into_iter().enumerate() {
        let mut command = Command::new(daemon.name())
            .about(about)
            .display_order(order);
        if verb == Some(daemon) {
            command = layers::add_arguments(daemon, command).after_help(AFTER_FLAGS);
            if daemon == Daemon::Dev {
                command = add_dev_arguments(command);
            }
        }
        root = root.subcommand(command);
    }
    root
}

const AFTER_FLAGS: &str = "Each flag can also be written with underscores, as --no-NAME when it is a switch, as MEZZ_NAME in the \
                           environment, and in the file of --config. Flags of Mesos that are not listed are known too: what is \
                           not built yet is refused with the reason.";

fn add_dev_arguments(command: Command) -> Command {
    let file = clap::Arg::new("file")
        .value_name("FILE")
        .value_parser(clap::value_parser!(std::path::PathBuf))
        .help("YAML file with one `task:`, which is run at once");
    let command_words = clap::Arg::new("command")
        .value_name("COMMAND")
        .last(true)
        .num_args(1..)
        .conflicts_with("file")
        .help("Command to run at once");
    command.arg(file).arg(command_words)
}

/// The verb that the arguments begin with, when it starts a daemon.
pub(crate) fn daemon_of(arguments: &[OsString]) -> Option<Daemon> {
    arguments.get(1)?.to_str().and_then(Daemon::of_verb)
}

/// Daemon flags may be written with underscores, as Mesos writes them; what follows a bare `--` is left alone.
pub(crate) fn with_dashes(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut verbatim = false;
    let one = |argument: OsString| {
        verbatim |= argument == "--";
        match argument.to_str() {
            Some(text) if !verbatim && text.starts_with("--") => match text.split_once('=') {
                Some((name, value)) => format!("{}={value}", name.replace('_', "-")).into(),
                None => text.replace('_', "-").into(),
            },
            _ => argument,
        }
    };
    arguments.into_iter().map(one).collect()
}
