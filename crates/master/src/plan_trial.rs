//! Plans are tried on threads of their own, in copies of the core, since everybody waits for the core's thread. They
//! change nothing, so nothing of them is recorded.

use mezz_core::Master;
use mezz_core::effect::Reply;
use mezz_core::time::Now;
use mezz_spec::Object;
use mezz_workload::call::Conflict;
use tokio::sync::oneshot;

/// Copies the core, which is all that its thread does for a plan, and has the answer made elsewhere.
pub(crate) fn begin(
    core: &Master,
    now: Now,
    (objects, conflict): (Vec<Object>, Conflict),
    reply: oneshot::Sender<Reply>,
) {
    let copy = core.clone();
    let tried = std::thread::Builder::new()
        .name("master-plan".into())
        .spawn(move || reply.send(copy.into_plan(now, objects, conflict)));
    if let Err(error) = tried {
        // Whoever asked hears that there is no answer.
        tracing::warn!(%error, "a plan could not be tried: there is no thread for it");
    }
}
