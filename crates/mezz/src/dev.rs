//! `mezz dev`: a master and agents in one process, and the first work for them. It owns their order of start and end, and where each
//! of them lives within the folder that was given.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ArgMatches;

use crate::client::api::Api;
use crate::daemons::{self, Agent, AgentEnd, Master, TasksAtStop};
use crate::exit::Exit;
use crate::first_work::FirstWork;
use crate::flags::{Daemon, Flags};
use crate::logging::Logging;
use crate::output::talk;
use crate::port_slices::PortSlices;
use crate::ready;
use crate::serve::{self, Stop};
use crate::settings::{AgentSettings, MasterSettings, Registry};
use crate::task_spec::TaskSpec;

/// How long master and agents may take until they are ready.
const START_PATIENCE: Duration = Duration::from_secs(30);
const USUAL_PORT: u16 = 5050;

/// Runs a cluster in the foreground.
pub(crate) fn dev(flags: &Flags, matches: &ArgMatches, logging: Logging) -> Exit {
    let work = match first_work(matches) {
        Ok(work) => work,
        Err(error) => {
            talk::error(&format!("{error:#}"));
            return Exit::Usage;
        }
    };
    let plan = match Plan::new(flags) {
        Ok(plan) => plan,
        Err(error) => return serve::usage(Daemon::Dev, &error),
    };
    serve::run(life(plan, work, logging))
}

/// What the command line asks to be run.
fn first_work(matches: &ArgMatches) -> anyhow::Result<Option<FirstWork>> {
    if let Some(path) = matches.get_one::<PathBuf>("file") {
        return FirstWork::of_file(path).map(Some);
    }
    let words: Vec<String> = matches
        .get_many("command")
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    Ok((!words.is_empty()).then(|| FirstWork::Task(Box::new(TaskSpec::of_words(words)))))
}

/// What is to be started, before it is known where.
#[derive(Debug)]
struct Plan {
    master: MasterSettings,
    agent: AgentSettings,
    agents: usize,
    work_dir: Option<PathBuf>,
}

impl Plan {
    fn new(flags: &Flags) -> Result<Self, crate::flags::FlagError> {
        Ok(Self {
            master: MasterSettings::from_flags(&flags.as_seen_by(Daemon::Master))?,
            agent: AgentSettings::from_flags(&flags.as_seen_by(Daemon::Agent))?,
            agents: flags.number("agents").unwrap_or(1),
            work_dir: flags.text("work_dir").map(absolute),
        })
    }
}

/// Sandboxes are told to tasks, which run elsewhere.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path))
}

struct Cluster {
    master: Master,
    agents: Vec<Agent>,
    /// Held as long as instances may have ports of them.
    _ports: PortSlices,
}

async fn life(plan: Plan, work: Option<FirstWork>, logging: Logging) -> anyhow::Result<Exit> {
    let mut stop = Stop::listen()?;
    let cluster = tokio::select! {
        cluster = start(plan, logging) => cluster?,
        () = stop.wait() => return Ok(Exit::Ok),
    };
    let address = ready::reachable(cluster.master.address());
    ready::announce_facades(&cluster.master.facades());
    ready::announce(address);
    // Both block on the client's connection, which has no place on the runtime.
    std::thread::spawn(move || accompany(address, work));
    let why = tokio::select! {
        why = cluster.master.ended() => Some(format!("the master ended: {why}")),
        end = any_ended(&cluster.agents) => Some(format!("an agent ended: {}", end.message)),
        () = stop.wait() => None,
    };
    tokio::select! {
        () = end(cluster) => {}
        () = stop.wait() => return Ok(Exit::Task(130)),
    }
    match why {
        Some(why) => anyhow::bail!(why),
        None => Ok(Exit::Ok),
    }
}

async fn start(plan: Plan, logging: Logging) -> anyhow::Result<Cluster> {
    let Plan {
        master: mut master_settings,
        agent,
        agents: count,
        work_dir,
    } = plan;
    if let Some(folder) = &work_dir {
        let own = folder.join("master");
        if let Registry::Redb(registry) = &mut master_settings.registry {
            registry.clone_from(&own);
        }
        master_settings.work_dir = Some(own);
    }
    let any_port = master_settings.listen.address.port() == 0;
    let master = daemons::start_master(master_settings, &logging).await?;
    let address = ready::reachable(master.address());
    let mut agents = Vec::with_capacity(count);
    let mut ports = PortSlices::new();
    let mut next_port = if any_port {
        None
    } else {
        address.port().checked_add(1)
    };
    for number in 1..=count {
        let mut settings = agent.clone();
        settings.masters = vec![address.to_string()];
        settings.resources = ports.claim(number, settings.resources, work_dir.as_deref())?;
        // That flag is the master's here.
        settings.listen.advertise_port = None;
        settings.work_dir = work_dir
            .as_ref()
            .map(|folder| folder.join(format!("agent-{number}")));
        let port = next_port.and_then(|from| free_port(settings.listen.address.ip(), from));
        settings.listen.address.set_port(port.unwrap_or(0));
        next_port = port.and_then(|port| port.checked_add(1));
        agents.push(
            daemons::start_agent(settings, &logging)
                .await
                .with_context(|| format!("agent {number}"))?,
        );
    }
    tokio::select! {
        () = master.ready() => {}
        why = master.ended() => anyhow::bail!("the master ended: {why}"),
    }
    let everybody = tokio::task::spawn_blocking(move || wait_for_agents(address, count));
    everybody.await.context("waiting for the agents")??;
    Ok(Cluster {
        master,
        agents,
        _ports: ports,
    })
}

/// The first port from `from` on that nobody listens on, if one is near.
fn free_port(ip: IpAddr, from: u16) -> Option<u16> {
    (from..=u16::MAX)
        .take(1000)
        .find(|port| TcpListener::bind((ip, *port)).is_ok())
}

/// Waits until the master is healthy and as many agents as were started have registered.
fn wait_for_agents(master: SocketAddr, count: usize) -> anyhow::Result<()> {
    let mut api = Api::new(&master.to_string())?;
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        let healthy = api.get("/health").is_ok();
        let registered = if healthy {
            api.list("/v1/agents").map_or(0, |agents| agents.len())
        } else {
            0
        };
        if registered >= count {
            return Ok(());
        }
        if Instant::now() > deadline {
            let state = if healthy { "healthy" } else { "not healthy" };
            anyhow::bail!(
                "not ready after {START_PATIENCE:?}: the master is {state}, {registered} of {count} agents registered"
            );
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

async fn any_ended(agents: &[Agent]) -> AgentEnd {
    let mut ends: Vec<_> = agents.iter().map(|agent| Box::pin(agent.ended())).collect();
    std::future::poll_fn(move |context| {
        for end in &mut ends {
            if let std::task::Poll::Ready(why) = end.as_mut().poll(context) {
                return std::task::Poll::Ready(why);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

async fn end(cluster: Cluster) {
    let stopping: Vec<_> = cluster
        .agents
        .into_iter()
        .map(|agent| tokio::spawn(agent.stop(TasksAtStop::End)))
        .collect();
    for one in stopping {
        // A panic while stopping has been reported by its thread; the others still have to end.
        let _ = one.await;
    }
    cluster.master.stop().await;
}

/// Runs what is to be run first, shows how it goes, and says what can be done next.
fn accompany(master: SocketAddr, work: Option<FirstWork>) {
    let is_objects = matches!(work, Some(FirstWork::Objects(_)));
    if let Some(work) = work
        && let Err(error) = work.show(&master.to_string())
    {
        talk::client_error(&error);
    }
    talk::note(&invitation(master, is_objects));
}

fn invitation(master: SocketAddr, has_objects: bool) -> String {
    let usual = master.ip().is_loopback() && master.port() == USUAL_PORT;
    let first = if usual {
        String::new()
    } else {
        format!("  export MEZZ_MASTER={master}\n")
    };
    let objects = if has_objects {
        "  mezz get all\n  mezz runs\n"
    } else {
        ""
    };
    format!(
        "\nThe cluster runs at http://{master} until Ctrl-C. Try in another terminal:\n{first}{objects}  mezz run -- uname -a\n  mezz ps --all\n  mezz agents"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_invitation_names_the_master_when_it_is_not_where_clients_look_first() {
        assert!(
            invitation("127.0.0.1:6000".parse().expect("an address"), false)
                .contains("export MEZZ_MASTER=127.0.0.1:6000")
        );
        assert!(
            !invitation("127.0.0.1:5050".parse().expect("an address"), false).contains("export")
        );
    }
}
