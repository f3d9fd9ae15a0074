//! The client verbs and their arguments. What a verb does is in `verbs`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;

use crate::complete;
use crate::debug_args::{AttachArgs, CopyArgs, ExecArgs, PortForwardArgs, TopArgs};
use crate::object_args::{
    ApplyArgs, ConvertArgs, DeleteArgs, ExplainArgs, ExportArgs, GetArgs, InitArgs, MarkArgs,
    PlanArgs, ResetArgs, ResumeArgs, RollbackArgs, RolloutArgs, RunsArgs, ScaleArgs, SchemaArgs,
    ServiceArgs, ServiceName, StopArgs, WaitArgs,
};
use crate::run_args::RunArgs;
use crate::standstill_args::{FreezeArgs, PauseArgs};

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

/// How a list is shown, and how often.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) output: Output,
    /// Show the list again whenever it changes.
    #[arg(short, long)]
    pub(crate) watch: bool,
}

/// A name and the value that it has to have, as queries carry them.
pub(crate) type Pair = (&'static str, String);

/// Selectors with their values, as queries carry them.
pub(crate) fn pairs<const N: usize>(lists: [(&'static str, &[String]); N]) -> Vec<Pair> {
    let of_one = |(key, values): (&'static str, &[String])| {
        let values = values.iter().cloned();
        values.map(|value| (key, value)).collect::<Vec<_>>()
    };
    lists.into_iter().flat_map(of_one).collect()
}

/// Whose work is wanted; each may be given several times, and any of the values will do.
#[derive(Args, Debug)]
pub(crate) struct Owners {
    /// Only those of this service.
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::services))]
    pub(crate) service: Vec<String>,
    /// Only those of this job, cron or dag.
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::jobs))]
    pub(crate) job: Vec<String>,
    /// Only those of this run, as its id or NAME/ID.
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Vec<String>,
}

impl Owners {
    pub(crate) fn pairs(&self) -> Vec<Pair> {
        pairs([
            ("service", &self.service),
            ("job", &self.job),
            ("run", &self.run),
        ])
    }
}

/// In whose share, and where.
#[derive(Args, Debug)]
pub(crate) struct Place {
    /// Only those of this role.
    #[arg(long, value_name = "ROLE", add = ArgValueCandidates::new(complete::roles))]
    pub(crate) role: Vec<String>,
    /// Only those on this agent.
    #[arg(long, visible_alias = "node", value_name = "ID|HOST", add = ArgValueCandidates::new(complete::agents))]
    pub(crate) agent: Vec<String>,
}

impl Place {
    pub(crate) fn pairs(&self) -> Vec<Pair> {
        pairs([("role", &self.role), ("agent", &self.agent)])
    }
}

/// The verbs that talk to a running cluster.
#[derive(Subcommand, Debug)]
pub(crate) enum ClientVerb {
    /// Create or change services, jobs, crons and other objects from files.
    Apply(ApplyArgs),
    /// Say what an apply would do, where instances would go, and what would wait.
    Plan(PlanArgs),
    /// Print files of other systems as ours, or ours as theirs.
    Convert(ConvertArgs),
    /// List or show objects, and the rollouts, runs and instances that come of them.
    Get(Box<GetArgs>),
    /// Delete objects.
    Delete(DeleteArgs),
    /// Change how many instances a service has.
    Scale(ScaleArgs),
    /// Replace the instances of a service by new ones.
    Restart(ServiceArgs),
    /// Take a service back to an earlier generation.
    Rollback(RollbackArgs),
    /// Hold the rollout of a service, or a cron, also for a time.
    Pause(PauseArgs),
    /// Let a rollout or a cron go on.
    Resume(ResumeArgs),
    /// Run a command, a job, a dag or a cron on the cluster now, and exit as it does.
    Run(Box<RunArgs>),
    /// List the runs of jobs and dags.
    Runs(RunsArgs),
    /// End runs of jobs, dags and crons.
    Stop(StopArgs),
    /// Take a run, or a node of a dag's run, as succeeded.
    MarkSucceeded(MarkArgs),
    /// Show and steer the rollout of a service.
    Rollout(RolloutArgs),
    /// End a rollout where it is.
    Abort(ServiceName),
    /// Forget the failures of a service or job, so that it starts again at once.
    ResetBackoff(ResetArgs),
    /// Print the JSON Schema of objects, for editors.
    Schema(SchemaArgs),
    /// Wait until a service is ready, or until a run has ended.
    Wait(WaitArgs),
    /// Print objects as files that can be applied again.
    Export(ExportArgs),
    /// Print a commented object to begin with.
    Init(InitArgs),
    /// Say what a field of an object means.
    Explain(ExplainArgs),
    /// List tasks.
    Ps(PsArgs),
    /// Show the output of a task, or of all instances of a service, a job or a run.
    Logs(LogsArgs),
    /// Run a command in the container of a task.
    Exec(ExecArgs),
    /// Attach to the terminal of a task.
    Attach(AttachArgs),
    /// Copy files into the container of a task, or out of it.
    Cp(CopyArgs),
    /// Reach ports of a task from here.
    PortForward(PortForwardArgs),
    /// Show what tasks use of processors and memory.
    Top(TopArgs),
    /// Kill tasks, or end instances.
    Kill(KillArgs),
    /// List agents.
    Agents(ListArgs),
    /// List frameworks.
    Frameworks(ListArgs),
    /// List roles with their shares.
    Roles(ListArgs),
    /// List the offers that frameworks hold.
    Offers(ListArgs),
    /// Have nothing started, ended or rolled, also for a time.
    Freeze(FreezeArgs),
    /// Let everything go on that was frozen.
    Thaw,
    /// Say why an object, task, framework or agent is in the state it is in.
    Why(WhyArgs),
    /// Show what happens in the cluster, as it happens.
    Events(EventsArgs),
    /// Replay what a master recorded, and check that it comes out the same.
    Replay(ReplayArgs),
    /// Tell how the cluster is, or how a service, job, cron, dag or run stands.
    Status(StandingArgs),
    /// Print what makes a shell complete verbs, flags and names.
    Completions(CompletionsArgs),
    /// Print the version of this program and of the master.
    Version(StatusArgs),
}

#[derive(Args, Debug)]
pub(crate) struct PsArgs {
    #[command(flatten)]
    pub(crate) list: ListArgs,
    #[command(flatten)]
    pub(crate) owners: Owners,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Also those that have ended.
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only those of this framework.
    #[arg(long, value_name = "ID|NAME", add = ArgValueCandidates::new(complete::frameworks))]
    pub(crate) framework: Vec<String>,
    /// Only those with this label.
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub(crate) label: Vec<String>,
    /// Only those in this state, such as TASK_RUNNING or running.
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Vec<String>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Of a service its instances are shown, of a job, cron or dag the newest run; with several, each line stands behind the \
                        name of its instance. With --follow those that start later are shown too, until the run ends or Ctrl-C."
)]
pub(crate) struct LogsArgs {
    /// Go on until all of it has ended.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only the last lines of each instance.
    #[arg(short = 'n', long, value_name = "LINES")]
    pub(crate) tail: Option<u64>,
    /// Which of the two outputs.
    #[arg(long, value_enum, default_value = "both")]
    pub(crate) stream: StreamChoice,
    /// What the instance wrote that ended last.
    #[arg(short, long, conflicts_with = "follow")]
    pub(crate) previous: bool,
    /// No names of instances before the lines.
    #[arg(long)]
    pub(crate) no_prefix: bool,
    /// A service, job, cron or dag, as KIND/NAME or by its name; a run, as NAME/ID or by its id; an instance or another task,
    /// by its id, the beginning of it, its name, or `last`.
    #[arg(value_name = "WHAT", add = ArgValueCandidates::new(complete::outputs))]
    pub(crate) what: String,
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
    /// Time between a polite kill and a hard one, as in 5s; 0s kills at once.
    #[arg(long, value_name = "DURATION")]
    pub(crate) grace_period: Option<String>,
    /// Of instances of a service: want so many less, instead of replacing them.
    #[arg(long, conflicts_with = "grace_period")]
    pub(crate) scale_down: bool,
    /// Ids, the beginnings of ids, names, or `last`.
    #[arg(required = true, value_name = "TASK", add = ArgValueCandidates::new(complete::live_tasks))]
    pub(crate) tasks: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct StandingArgs {
    #[command(flatten)]
    pub(crate) output: Output,
    /// An object as KIND/NAME or by its name, or a run as NAME/ID or by its id; the cluster without it.
    #[arg(value_name = "WHAT", add = ArgValueCandidates::new(complete::outputs))]
    pub(crate) what: Option<String>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "bash: add `source <(mezz completions bash)` to ~/.bashrc\n\
                        zsh:  add `source <(mezz completions zsh)` to ~/.zshrc\n\
                        fish: add `mezz completions fish | source` to ~/.config/fish/config.fish"
)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// A shell that completions are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Args, Debug)]
pub(crate) struct WhyArgs {
    #[command(flatten)]
    pub(crate) output: Output,
    /// An object as KIND/NAME or by its name; a run as KIND/NAME/RUN, NAME/RUN or by its id; a rollout, task, framework,
    /// agent or offer by its id, or by the beginning of it; a role; or `last` for the last task.
    #[arg(value_name = "KIND/NAME[/RUN]|NAME|ID", add = ArgValueCandidates::new(complete::everything))]
    pub(crate) id: String,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Without --follow the last events are shown, as many as the master keeps. -o json prints one event to a line."
)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(crate) output: Output,
    /// Go on with what happens, until Ctrl-C.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Begin this long ago, as in 5m, or at a time such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "DURATION|TIME")]
    pub(crate) since: Option<String>,
    /// Only events of this type, such as `task_updated`.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) types: Vec<String>,
    /// Only events of this task.
    #[arg(long, value_name = "ID", add = ArgValueCandidates::new(complete::tasks))]
    pub(crate) task: Vec<String>,
    /// Only events of this framework.
    #[arg(long, value_name = "ID|NAME", add = ArgValueCandidates::new(complete::frameworks))]
    pub(crate) framework: Vec<String>,
    /// Only events of this agent.
    #[arg(long, value_name = "ID|HOST", add = ArgValueCandidates::new(complete::agents))]
    pub(crate) agent: Vec<String>,
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
