//! What a `FrameworkInfo` says, read the way Mesos reads it.

use mezz_proto::v1;
use v1::framework_info::capability::Type;

/// Whether a capability was declared.
pub fn has_capability(info: &v1::FrameworkInfo, kind: Type) -> bool {
    info.capabilities
        .iter()
        .any(|capability| capability.r#type() == kind)
}

/// The roles subscribed to: `roles` of a MULTI_ROLE framework, else the single old `role` (`*` when unset).
pub fn roles(info: &v1::FrameworkInfo) -> Vec<String> {
    if has_capability(info, Type::MultiRole) {
        info.roles.clone()
    } else {
        vec![info.role.clone().unwrap_or_else(|| "*".into())]
    }
}

/// The failover timeout in nanoseconds; a nonsensical one counts as none.
pub fn failover_timeout_ns(info: &v1::FrameworkInfo) -> u64 {
    let seconds = info.failover_timeout.unwrap_or(0.0);
    if seconds.is_finite() && seconds > 0.0 {
        // Saturates at some 584 years.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        return (seconds * 1e9) as u64;
    }
    0
}
