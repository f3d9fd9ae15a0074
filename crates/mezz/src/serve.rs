//! `mezz master` and `mezz agent`: from flags to a running daemon, to its end by a signal.

use std::future::Future;

use anyhow::Context;
use clap::ArgMatches;
use tokio::signal::unix::{SignalKind, signal};

use crate::daemons::{self, AgentEnd, TasksAtStop};
use crate::exit::Exit;
use crate::flags::{Daemon, layers};
use crate::logging::{self, Logging};
use crate::output::talk;
use crate::settings::{AgentSettings, MasterSettings, Registry};
use crate::{dev, ready};

/// Runs a daemon until it ends.
pub(crate) fn daemon(daemon: Daemon, matches: &ArgMatches) -> Exit {
    let environment = std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
    let (flags, warnings) = match layers::load(daemon, matches, environment) {
        Ok(loaded) => loaded,
        Err(error) => return usage(daemon, &error),
    };
    for warning in &warnings {
        talk::warning(warning);
    }
    let logging = match logging::start(daemon, &flags) {
        Ok(logging) => logging,
        Err(error) => return usage(daemon, &error),
    };
    match daemon {
        Daemon::Master => match MasterSettings::from_flags(&flags) {
            Ok(settings) => run(master(settings, logging)),
            Err(error) => usage(daemon, &error),
        },
        Daemon::Agent => match AgentSettings::from_flags(&flags) {
            Ok(settings) => run(agent(settings, logging)),
            Err(error) => usage(daemon, &error),
        },
        Daemon::Dev => dev::dev(&flags, matches, logging),
    }
}

/// A wrong flag, and where the right ones are listed.
pub(crate) fn usage(daemon: Daemon, error: &dyn std::fmt::Display) -> Exit {
    talk::error(&error.to_string());
    talk::hint(&format!("`mezz {} --help` lists the flags", daemon.name()));
    Exit::Usage
}

/// Runs a daemon's life on a runtime of its own, and says why it ended when it did so badly.
pub(crate) fn run(life: impl Future<Output = anyhow::Result<Exit>>) -> Exit {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            talk::error(&format!("the runtime cannot be started: {error}"));
            return Exit::Failed;
        }
    };
    let exit = runtime.block_on(life).unwrap_or_else(|error| {
        talk::error(&whole(&error));
        Exit::Failed
    });
    // Whatever still blocks a thread (a client that follows output) must not hold up the end.
    runtime.shutdown_background();
    exit
}

/// An error with its causes, without those that it already tells in its own words.
fn whole(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |told, cause| match told.as_str() {
            "" => cause,
            already if already.ends_with(&cause) => told,
            _ => format!("{told}: {cause}"),
        })
}

async fn master(settings: MasterSettings, logging: Logging) -> anyhow::Result<Exit> {
    let mut stop = Stop::listen()?;
    if settings.registry == Registry::Memory {
        tracing::warn!("state is kept in memory only; --work-dir makes it last");
    }
    let master = daemons::start_master(settings, &logging).await?;
    tokio::select! {
        () = master.ready() => {}
        why = master.ended() => anyhow::bail!("the master ended: {why}"),
        () = stop.wait() => {
            master.stop().await;
            return Ok(Exit::Ok);
        }
    }
    ready::announce_facades(&master.facades());
    ready::announce(master.address());
    tokio::select! {
        why = master.ended() => anyhow::bail!("the master ended: {why}"),
        () = stop.wait() => {}
    }
    tracing::info!("stopping");
    master.stop().await;
    Ok(Exit::Ok)
}

async fn agent(settings: AgentSettings, logging: Logging) -> anyhow::Result<Exit> {
    let mut stop = Stop::listen()?;
    let mut stop_with_tasks =
        signal(SignalKind::user_defined1()).context("SIGUSR1 cannot be listened to")?;
    if settings.work_dir.is_none() {
        tracing::warn!("without --work-dir every task ends with this agent");
    }
    let agent = daemons::start_agent(settings, &logging).await?;
    ready::announce(agent.address());
    let tasks = tokio::select! {
        end = agent.ended() => return ended(end),
        () = stop.wait() => TasksAtStop::Leave,
        _ = stop_with_tasks.recv() => TasksAtStop::End,
    };
    tracing::info!("stopping");
    tokio::select! {
        end = agent.stop(tasks) => ended(end),
        // Whoever asks twice does not want to wait.
        () = stop.wait() => Ok(Exit::Failed),
    }
}

fn ended(end: AgentEnd) -> anyhow::Result<Exit> {
    match end.code {
        0 => Ok(Exit::Ok),
        _ => anyhow::bail!("the agent ended: {}", end.message),
    }
}

/// SIGINT and SIGTERM.
#[derive(Debug)]
pub(crate) struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    /// Begins to listen.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be listened to");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Resolves at the next signal.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
