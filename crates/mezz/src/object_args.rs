//! The arguments of the verbs for services, jobs, crons and whatever else users write.

use std::path::PathBuf;
use std::time::Instant;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;

use crate::args::{ListArgs, Output, Owners, Pair, Place, pairs};
use crate::client::error::ClientError;
use crate::complete;
use crate::flags::value;
use crate::standstill_args::PausedService;

/// Whether a verb stays until the rollout that it began has ended.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// Wait for the end of the rollout and show how it goes; so it is in a terminal without being asked.
    #[arg(long, overrides_with = "no_wait")]
    pub(crate) wait: bool,
    /// Do not wait.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// The files that objects are read from.
#[derive(Args, Debug)]
pub(crate) struct FilesArgs {
    /// A file, a folder of files, or - for stdin; may be repeated.
    #[arg(short, long = "file", required = true, value_name = "FILE|DIR|-")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) foreign: ForeignArgs,
}

/// What becomes of the objects of other systems.
#[derive(Args, Debug)]
pub(crate) struct ForeignArgs {
    /// Put what is read from files of other systems below this group.
    #[arg(long, value_name = "NAME")]
    pub(crate) under: Option<String>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Files are YAML, TOML (.toml) or JSON (.json), with as many objects as you like. All of them are applied, or none.\n\
                        Compose files, manifests of Kubernetes and JSON of Marathon, Chronos and Metronome will do as well; what of \
                        them has no meaning here is told.\n\
                        Exit code: 5 when they are refused, or when a rollout failed or went back."
)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub(crate) from: FilesArgs,
    /// Only say what would be changed.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Nothing is changed: the master tries it in a copy of its state. -o wide names every host, field and port.\n\
                        Exit code: 0 when nothing would change; 2 when something would (or, before anything is asked, when the \
                        command line is wrong); 1 when it cannot be told; 5 when an apply would be refused."
)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) from: FilesArgs,
}

/// Whose form objects are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    Mezz,
    Compose,
    Kubernetes,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Read are objects of our own, Compose files, manifests of Kubernetes, and JSON of Marathon, Chronos and Metronome.\n\
                        The result goes to stdout; what has no meaning there, and was dropped, to stderr."
)]
pub(crate) struct ConvertArgs {
    /// Files, folders of files, or - for stdin.
    #[arg(required = true, value_name = "FILE|DIR|-")]
    pub(crate) files: Vec<PathBuf>,
    /// Whose form to write.
    #[arg(long, value_enum, default_value = "mezz", value_name = "FORM")]
    pub(crate) to: Target,
    #[command(flatten)]
    pub(crate) foreign: ForeignArgs,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Kinds: groups, services, jobs, crons, dags, configs; rollouts, runs, instances; all."
)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) list: ListArgs,
    /// Only objects at this name or below it.
    #[arg(long, value_name = "NAME")]
    pub(crate) under: Option<String>,
    /// Only objects with this label.
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub(crate) label: Vec<String>,
    /// Only objects of which this condition holds, or does not with =false, such as crash_looping.
    #[arg(long, value_name = "NAME[=true|false]")]
    pub(crate) condition: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// A kind, `all`, or one object as KIND/NAME.
    #[arg(value_name = "KIND[/NAME]")]
    pub(crate) kind: String,
    /// One object of the kind.
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) selectors: Selectors,
}

/// What of a list of instances, runs or rollouts is wanted.
#[derive(Args, Debug)]
#[command(next_help_heading = "Of instances, runs and rollouts")]
pub(crate) struct Selectors {
    #[command(flatten)]
    pub(crate) owners: Owners,
    #[command(flatten)]
    pub(crate) stands: StandsArgs,
    /// Of instances: only those in this phase.
    #[arg(long, value_name = "PHASE")]
    pub(crate) phase: Vec<String>,
}

impl Selectors {
    /// As a query has them.
    pub(crate) fn pairs(&self) -> Vec<Pair> {
        let mut all = self.owners.pairs();
        all.extend(self.stands.pairs());
        all.extend(pairs([("phase", &self.phase)]));
        all
    }
}

/// How runs stand, and how they came to be.
#[derive(Args, Debug)]
pub(crate) struct StandsArgs {
    /// Only those in this state; of runs pending, running, succeeded, failed or stopped.
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Vec<String>,
    /// Only runs that were begun by apply, user, cron or dag.
    #[arg(long, value_name = "CAUSE")]
    pub(crate) cause: Vec<String>,
}

impl StandsArgs {
    /// As a query has them.
    pub(crate) fn pairs(&self) -> Vec<Pair> {
        pairs([("state", &self.state), ("cause", &self.cause)])
    }
}

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("what").required(true).args(["kind", "files"])))]
pub(crate) struct DeleteArgs {
    /// The objects that stand in a file or in the files of a folder.
    #[arg(short, long = "file", value_name = "FILE|DIR|-", conflicts_with_all = ["kind", "name", "generation"])]
    pub(crate) files: Vec<PathBuf>,
    /// Refuse when the object has another generation.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) generation: Option<u64>,
    /// A kind, or an object as KIND/NAME.
    #[arg(value_name = "KIND[/NAME]")]
    pub(crate) kind: Option<String>,
    /// The object's name.
    pub(crate) name: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ScaleArgs {
    #[command(flatten)]
    pub(crate) of: ServiceArgs,
    /// How many instances, or `per_node`.
    #[arg(allow_negative_numbers = true)]
    pub(crate) replicas: String,
}

#[derive(Args, Debug)]
pub(crate) struct ServiceArgs {
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) of: ServiceName,
}

#[derive(Args, Debug)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    pub(crate) of: ServiceArgs,
    /// The generation to go back to; without it the last one that was stable.
    #[arg(long, value_name = "GENERATION")]
    pub(crate) to: Option<u64>,
}

/// One service.
#[derive(Args, Debug)]
pub(crate) struct ServiceName {
    /// The service.
    #[arg(add = ArgValueCandidates::new(complete::services))]
    pub(crate) service: String,
}

#[derive(Args, Debug)]
pub(crate) struct ResetArgs {
    /// The service or job; KIND/NAME where both have the name.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

#[derive(Args, Debug)]
pub(crate) struct StopArgs {
    /// Wait until they have ended.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Runs, as NAME/ID or by their ids.
    #[arg(required = true, value_name = "RUN", add = ArgValueCandidates::new(complete::runs))]
    pub(crate) runs: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct MarkArgs {
    /// Only this node of a dag's run.
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// The run, as NAME/ID or by its id.
    #[arg(add = ArgValueCandidates::new(complete::runs))]
    pub(crate) run: String,
}

#[derive(Args, Debug)]
pub(crate) struct RolloutArgs {
    #[command(subcommand)]
    pub(crate) act: RolloutAct,
}

/// What is done about a rollout.
#[derive(Subcommand, Debug)]
pub(crate) enum RolloutAct {
    /// Follow the rollout that goes on to its end.
    Status(WatchedService),
    /// List the rollouts of a service, newest first.
    History(HistoryArgs),
    /// Hold it.
    Pause(PausedService),
    /// Let it go on: the next step of a canary, the move of blue-green.
    Resume(ServiceName),
    /// End it where it is.
    Abort(ServiceName),
    /// Go back to an earlier generation.
    Undo(RollbackArgs),
    /// Replace all instances by new ones.
    Restart(ServiceArgs),
}

/// How long is waited.
#[derive(Args, Debug)]
pub(crate) struct PatienceArgs {
    /// Give up after so long, as in 5m.
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<String>,
}

impl PatienceArgs {
    /// Until when, from now.
    pub(crate) fn deadline(&self) -> Result<Option<Instant>, ClientError> {
        let Some(text) = &self.timeout else {
            return Ok(None);
        };
        let timeout = value::duration(text);
        let timeout = timeout.map_err(|error| ClientError::Usage(format!("--timeout: {error}")))?;
        Ok(Some(Instant::now() + timeout))
    }
}

#[derive(Args, Debug)]
pub(crate) struct WatchedService {
    #[command(flatten)]
    pub(crate) of: ServiceName,
    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
    /// Only say how it stands now.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Args, Debug)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) of: ServiceName,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct SchemaArgs {
    /// A kind; all of them in one schema without it.
    pub(crate) kind: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct HeldArgs {
    /// The service whose rollout is meant, or a cron; KIND/NAME where both have the name.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

#[derive(Args, Debug)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) of: HeldArgs,
    /// Of a dag's run: this node and all that comes after it, also what has succeeded.
    #[arg(long, value_name = "NODE")]
    pub(crate) from: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct RunsArgs {
    #[command(flatten)]
    pub(crate) list: ListArgs,
    #[command(flatten)]
    pub(crate) stands: StandsArgs,
    /// Only runs of this role.
    #[arg(long, value_name = "ROLE", add = ArgValueCandidates::new(complete::roles))]
    pub(crate) role: Vec<String>,
    /// Only runs of this job, dag or cron, or of those below this name.
    pub(crate) name: Option<String>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Without --for: a service is waited for until all instances are ready and no rollout goes on, a job, dag or cron until \
                        its runs have ended, a run until it has ended, a rollout until it has, a task until it has.\n\
                        Conditions: ready, running, ended, gone, or NAME[=true|false] of those that `mezz get KIND/NAME -o yaml` shows, \
                        such as crash_looping.\n\
                        Exit code: 0 when it went well; 5 when a rollout failed or went back; 1 when a run failed, or after --timeout."
)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
    /// What is waited for.
    #[arg(long = "for", value_name = "CONDITION")]
    pub(crate) condition: Option<String>,
    /// An object as KIND/NAME or by its name, or the id of a run (or NAME/ID), a rollout, an instance or another task.
    #[arg(value_name = "KIND/NAME|ID", add = ArgValueCandidates::new(complete::outputs))]
    pub(crate) what: String,
}

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// Only objects at this name or below it.
    #[arg(long, value_name = "NAME")]
    pub(crate) under: Option<String>,
    /// A kind, or one object as KIND/NAME; all objects without it.
    #[arg(value_name = "KIND[/NAME]")]
    pub(crate) what: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// group, service, job, cron, dag, secret or config.
    pub(crate) kind: String,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// A kind or a field, such as `service` or `service.spec.update.deadline`.
    #[arg(value_name = "KIND[.FIELD…]")]
    pub(crate) path: String,
}
