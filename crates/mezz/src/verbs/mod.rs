//! The client verbs: each turns its arguments into requests and the answers into output and an exit code.

mod completions;
mod copy;
mod events;
mod exec;
pub(crate) mod follow;
mod freeze;
mod interrupts;
mod kill;
mod lists;
mod logs;
pub(crate) mod objects;
mod port_forward;
mod replay;
mod run;
mod status;
mod top;
mod version;
mod why;

use crate::args::{ClientVerb, Cluster, ListArgs};
use crate::client::error::ClientError;
use crate::exit::Exit;
use crate::output::columns::{self, Listing};
use crate::output::talk;

/// Does what a verb asks of a cluster.
pub(crate) fn client(cluster: &Cluster, verb: ClientVerb) -> Exit {
    let master = cluster.master.as_str();
    let outcome = match verb {
        ClientVerb::Apply(args) => objects::apply::apply(master, &args),
        ClientVerb::Plan(args) => objects::plan(master, &args),
        ClientVerb::Convert(args) => objects::convert(&args),
        ClientVerb::Get(args) => objects::get(master, &args),
        ClientVerb::Delete(args) => objects::delete(master, &args),
        ClientVerb::Scale(args) => objects::scale(master, &args),
        ClientVerb::Restart(args) => objects::restart(master, &args),
        ClientVerb::Rollback(args) => objects::rollback(master, &args),
        ClientVerb::Pause(args) => objects::pause(master, &args),
        ClientVerb::Resume(args) => objects::resume(master, &args),
        ClientVerb::Runs(args) => objects::runs(master, &args),
        ClientVerb::Wait(args) => objects::wait(master, &args),
        ClientVerb::Export(args) => objects::export(master, &args),
        ClientVerb::Init(args) => objects::init(&args),
        ClientVerb::Explain(args) => objects::explain(&args),
        ClientVerb::Run(args) => match &args.target {
            Some(name) => objects::run(master, &args, name),
            None if objects::is_quick(&args) => objects::quick(master, &args),
            None => run::run(master, &args),
        },
        ClientVerb::Stop(args) => objects::stop(master, &args),
        ClientVerb::MarkSucceeded(args) => objects::mark_succeeded(master, &args),
        ClientVerb::Rollout(args) => objects::rollout(master, &args),
        ClientVerb::Abort(args) => objects::abort(master, &args),
        ClientVerb::ResetBackoff(args) => objects::reset(master, &args),
        ClientVerb::Schema(args) => objects::schema(&args),
        ClientVerb::Ps(args) => lists::tasks(master, &args),
        ClientVerb::Logs(args) => logs::logs(master, &args),
        ClientVerb::Exec(args) => exec::exec(master, &args),
        ClientVerb::Attach(args) => exec::attach(master, &args),
        ClientVerb::Cp(args) => copy::copy(master, &args),
        ClientVerb::PortForward(args) => port_forward::forward(master, &args),
        ClientVerb::Top(args) => top::top(master, &args),
        ClientVerb::Kill(args) => kill::kill(master, &args),
        ClientVerb::Agents(args) => list(master, &args, "/v1/agents", &columns::AGENTS),
        ClientVerb::Frameworks(args) => list(master, &args, "/v1/frameworks", &columns::FRAMEWORKS),
        ClientVerb::Roles(args) => list(master, &args, "/v1/roles", &columns::ROLES),
        ClientVerb::Offers(args) => list(master, &args, "/v1/offers", &columns::OFFERS),
        ClientVerb::Freeze(args) => freeze::freeze(master, &args),
        ClientVerb::Thaw => freeze::thaw(master),
        ClientVerb::Why(args) => why::why(master, &args),
        ClientVerb::Events(args) => events::events(master, &args),
        ClientVerb::Replay(args) => return replay::replay(&args),
        ClientVerb::Status(args) => status::status(master, &args),
        ClientVerb::Completions(args) => completions::completions(&args),
        ClientVerb::Version(args) => version::version(master, &args),
    };
    outcome.unwrap_or_else(|error| talk::client_error(&error))
}

fn list(
    master: &str,
    args: &ListArgs,
    target: &str,
    listing: &Listing,
) -> Result<Exit, ClientError> {
    lists::show_list(master, target, listing, args)
}
