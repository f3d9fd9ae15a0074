//! Capabilities in the words of the runtime specification.
//!
//! Owns what a container has that asks for nothing; must never give more than the plan does.

use crate::bundle::OciError;
use crate::config;
use mezz_launch_plan::isolation::{Capabilities, RootRule};
use mezz_launch_plan::{Capability, CapabilitySet};

/// What a container of an OCI runtime can have that names no capabilities: enough for what most images do as root, and
/// nothing that reaches the machine. By number, as the kernel has them.
pub const DEFAULT_CAPABILITIES: CapabilitySet = CapabilitySet(
    1 << 0      // CHOWN
    | 1 << 1    // DAC_OVERRIDE
    | 1 << 3    // FOWNER
    | 1 << 4    // FSETID
    | 1 << 5    // KILL
    | 1 << 6    // SETGID
    | 1 << 7    // SETUID
    | 1 << 8    // SETPCAP
    | 1 << 10   // NET_BIND_SERVICE
    | 1 << 13   // NET_RAW
    | 1 << 18   // SYS_CHROOT
    | 1 << 27   // MKNOD
    | 1 << 29   // AUDIT_WRITE
    | 1 << 31, // SETFCAP
);

/// The sets of a process of this user.
pub(crate) fn capabilities(
    sets: &Capabilities,
    uid: u32,
) -> Result<config::Capabilities, OciError> {
    // The specification knows no secure bits: root would get the bounding set at its first program.
    if sets.root == RootRule::Plain {
        return Err(OciError::PlainRoot {
            effective: sets.effective,
            bounding: sets.bounding,
        });
    }
    let effective = names(sets.effective);
    // Programs of others keep what is ambient; root's need nothing of it.
    let kept = if uid == 0 {
        Vec::new()
    } else {
        effective.clone()
    };
    Ok(config::Capabilities {
        bounding: names(sets.bounding),
        permitted: effective.clone(),
        effective,
        inheritable: kept.clone(),
        ambient: kept,
    })
}

fn names(set: CapabilitySet) -> Vec<String> {
    (0..64)
        .filter_map(Capability::from_number)
        .filter(|one| set.contains(*one))
        .map(|one| format!("CAP_{}", one.name()))
        .collect()
}
