//! Which extended attributes an image may set.

/// What is done with an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Set,
    /// It says something about the host on which the image was made.
    LeaveOut,
    /// It would make overlayfs, or somebody who trusts it, show something else.
    Refuse,
}

pub(super) fn verdict(name: &[u8]) -> Verdict {
    let begins = |prefix: &str| name.starts_with(prefix.as_bytes());
    if begins("trusted.") || begins("user.overlay.") || name.contains(&0) {
        Verdict::Refuse
    } else if begins("user.") || begins("system.posix_acl_") || name == b"security.capability" {
        Verdict::Set
    } else {
        Verdict::LeaveOut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_overlayfs_are_refused_and_labels_of_a_host_left_out() {
        for (name, wanted) in [
            ("user.mime_type", Verdict::Set),
            ("security.capability", Verdict::Set),
            ("system.posix_acl_access", Verdict::Set),
            ("security.selinux", Verdict::LeaveOut),
            ("security.ima", Verdict::LeaveOut),
            ("trusted.overlay.opaque", Verdict::Refuse),
            ("trusted.overlay.redirect", Verdict::Refuse),
            ("user.overlay.opaque", Verdict::Refuse),
            ("trusted.x", Verdict::Refuse),
            ("user.a\0b", Verdict::Refuse),
        ] {
            assert_eq!(verdict(name.as_bytes()), wanted, "{name}");
        }
    }
}
