//! Daemon flags: the tables of what exists, and the layers that give each flag its value (defaults, then the
//! configuration file, then the environment, then the command line). It decides nothing about what a flag does.

mod agent;
pub(crate) mod arguments;
mod flag_error;
pub(crate) mod layers;
mod limits;
mod master;
mod resolve;
mod shared;
pub(crate) mod spec;
pub(crate) mod value;
mod values;

use spec::{FlagSpec, Kind};

pub(crate) use flag_error::{FlagError, Given, Origin};
pub(crate) use resolve::resolve;
pub(crate) use values::Flags;

/// A role of the binary that takes daemon flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Daemon {
    Master,
    Agent,
    Dev,
}

const DEV: &[FlagSpec] = &[FlagSpec::built(
    "agents",
    Kind::Count(1, 10_000),
    "How many agents to run, each with a port of its own",
)
.default("1")];

impl Daemon {
    /// The verb that starts it, which is also its table in the configuration file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Agent => "agent",
            Self::Dev => "dev",
        }
    }

    /// The daemon that a verb starts.
    pub(crate) fn of_verb(verb: &str) -> Option<Self> {
        [Self::Master, Self::Agent, Self::Dev]
            .into_iter()
            .find(|daemon| daemon.name() == verb)
    }

    /// Every flag that this daemon knows.
    pub(crate) fn table(self) -> Vec<&'static FlagSpec> {
        let mut table: Vec<&'static FlagSpec> = match self {
            Self::Master => master::MASTER.iter().chain(shared::SHARED).collect(),
            Self::Agent => agent::AGENT
                .iter()
                .chain(limits::LIMITS)
                .chain(shared::SHARED)
                .collect(),
            Self::Dev => DEV
                .iter()
                .chain(master::MASTER)
                .chain(shared::SHARED)
                .collect(),
        };
        if self == Self::Dev {
            let of_agents: Vec<_> = agent::AGENT
                .iter()
                .chain(limits::LIMITS)
                .filter(|spec| {
                    spec.name != "master" && table.iter().all(|known| known.name != spec.name)
                })
                .collect();
            table.extend(of_agents);
        }
        table
    }

    /// The flag of that name or alias; dashes and underscores are the same.
    pub(crate) fn find(self, key: &str) -> Option<&'static FlagSpec> {
        let key = key.replace('-', "_");
        self.table()
            .into_iter()
            .find(|spec| spec.name == key || spec.aliases.contains(&key.as_str()))
    }
}
