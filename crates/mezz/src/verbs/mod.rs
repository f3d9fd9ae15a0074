//! The client verbs: each turns its arguments into requests and the answers into output and an exit code.

mod completions;
mod events;
pub(crate) mod follow;
mod interrupts;
mod kill;
mod lists;
mod logs;
pub(crate) mod objects;
mod replay;
mod run;
mod status;
mod version;
mod why;

use crate::args::{ClientVerb, ListArgs};
use crate::client::error::ClientError;
use crate::exit::Exit;
use crate::output::columns::{self, Listing};
use crate::output::talk;
use lists::Watch;

/// Does what a verb asks.
pub(crate) fn client(verb: ClientVerb) -> Exit {
    let outcome = match verb {
        ClientVerb::Apply(args) => objects::apply::apply(&args),
        ClientVerb::Plan(args) => objects::plan(&args),
        ClientVerb::Convert(args) => objects::convert(&args),
        ClientVerb::Get(args) => objects::get(&args),
        ClientVerb::Delete(args) => objects::delete(&args),
        ClientVerb::Scale(args) => objects::scale(&args),
        ClientVerb::Restart(args) => objects::restart(&args),
        ClientVerb::Rollback(args) => objects::rollback(&args),
        ClientVerb::Pause(args) => objects::pause(&args),
        ClientVerb::Resume(args) => objects::resume(&args),
        ClientVerb::Runs(args) => objects::runs(&args),
        ClientVerb::Wait(args) => objects::wait(&args),
        ClientVerb::Export(args) => objects::export(&args),
        ClientVerb::Init(args) => objects::init(&args),
        ClientVerb::Explain(args) => objects::explain(&args),
        ClientVerb::Run(args) => match &args.target {
            Some(name) => objects::run(&args, name),
            None if objects::is_quick(&args) => objects::quick(&args),
            None => run::run(&args),
        },
        ClientVerb::Stop(args) => objects::stop(&args),
        ClientVerb::MarkSucceeded(args) => objects::mark_succeeded(&args),
        ClientVerb::Rollout(args) => objects::rollout(&args),
        ClientVerb::Abort(args) => objects::abort(&args),
        ClientVerb::ResetBackoff(args) => objects::reset(&args),
        ClientVerb::Schema(args) => objects::schema(&args),
        ClientVerb::Ps(args) => lists::tasks(&args),
        ClientVerb::Logs(args) => logs::logs(&args),
        ClientVerb::Kill(args) => kill::kill(&args),
        ClientVerb::Agents(args) => list(&args, "/v1/agents", &columns::AGENTS),
        ClientVerb::Frameworks(args) => list(&args, "/v1/frameworks", &columns::FRAMEWORKS),
        ClientVerb::Roles(args) => list(&args, "/v1/roles", &columns::ROLES),
        ClientVerb::Offers(args) => list(&args, "/v1/offers", &columns::OFFERS),
        ClientVerb::Why(args) => why::why(&args),
        ClientVerb::Events(args) => events::events(&args),
        ClientVerb::Replay(args) => return replay::replay(&args),
        ClientVerb::Status(args) => status::status(&args),
        ClientVerb::Completions(args) => completions::completions(&args),
        ClientVerb::Version(args) => version::version(&args),
    };
    outcome.unwrap_or_else(|error| talk::client_error(&error))
}

fn list(args: &ListArgs, target: &str, listing: &Listing) -> Result<Exit, ClientError> {
    let watch = if args.watch {
        Watch::OnChange
    } else {
        Watch::Once
    };
    lists::show_list(
        &args.cluster.master,
        target,
        listing,
        args.output.output,
        watch,
    )
}
