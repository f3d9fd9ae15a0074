//! A commented example of each kind, to begin with.

use crate::object::Kind;

/// A document of a kind in YAML, with comments. It can be applied as it is.
pub const fn init(kind: Kind) -> &'static str {
    match kind {
        Kind::Group => include_str!("init/group.yaml"),
        Kind::Service => include_str!("init/service.yaml"),
        Kind::Job => include_str!("init/job.yaml"),
        Kind::Cron => include_str!("init/cron.yaml"),
        Kind::Dag => include_str!("init/dag.yaml"),
        Kind::Secret => include_str!("init/secret.yaml"),
        Kind::Config => include_str!("init/config.yaml"),
    }
}
