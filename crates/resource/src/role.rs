//! Role names: their rules, with the messages that clients see, and their tree.

use thiserror::Error;

/// Why a role name is refused; the texts are Mesos's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RoleError {
    /// No component at all.
    #[error("Role names cannot be the empty string")]
    Empty,
    /// `/a`.
    #[error("Role '{0}' cannot start with a slash")]
    LeadingSlash(String),
    /// `a/`.
    #[error("Role '{0}' cannot end with a slash")]
    TrailingSlash(String),
    /// `a//b`.
    #[error("Role '{0}' cannot contain two adjacent slashes")]
    AdjacentSlashes(String),
    /// `a/./b`, `a/../b` or `a/*`.
    #[error("Role '{role}' cannot include '{component}' as a component")]
    ForbiddenComponent {
        /// The whole name.
        role: String,
        /// The component at fault.
        component: String,
    },
    /// `-a`.
    #[error("Role component '{0}' is invalid because it starts with a dash")]
    LeadingDash(String),
    /// White space or DEL.
    #[error("Role component '{0}' is invalid because it contains backspace or whitespace")]
    InvalidCharacter(String),
}

/// The role that means "unreserved" and is also an ordinary role to subscribe with.
pub const STAR: &str = "*";

/// Checks a role name.
pub fn validate_role(role: &str) -> Result<(), RoleError> {
    if role == STAR {
        return Ok(());
    }
    if role.starts_with('/') {
        return Err(RoleError::LeadingSlash(role.to_owned()));
    }
    if role.ends_with('/') {
        return Err(RoleError::TrailingSlash(role.to_owned()));
    }
    if role.contains("//") {
        return Err(RoleError::AdjacentSlashes(role.to_owned()));
    }
    if role.is_empty() {
        return Err(RoleError::Empty);
    }
    role.split('/')
        .try_for_each(|component| validate_component(role, component))
}

fn validate_component(role: &str, component: &str) -> Result<(), RoleError> {
    if matches!(component, "." | ".." | STAR) {
        return Err(RoleError::ForbiddenComponent {
            role: role.to_owned(),
            component: component.to_owned(),
        });
    }
    if component.starts_with('-') {
        return Err(RoleError::LeadingDash(component.to_owned()));
    }
    if component.contains(['\t', '\n', '\x0b', '\x0c', '\r', ' ', '\x7f']) {
        return Err(RoleError::InvalidCharacter(component.to_owned()));
    }
    Ok(())
}

/// The ancestors of a role, nearest first: `a/b/c` gives `a/b`, `a`.
pub fn ancestors(role: &str) -> impl Iterator<Item = &str> {
    role.rmatch_indices('/').map(|(at, _)| &role[..at])
}

/// Whether `left` lies strictly below `right`.
pub fn is_strict_subrole_of(left: &str, right: &str) -> bool {
    left.len() > right.len() && left.as_bytes()[right.len()] == b'/' && left.starts_with(right)
}

/// Whether `left` is `right` or lies below it.
pub fn is_in_subtree_of(left: &str, right: &str) -> bool {
    left == right || is_strict_subrole_of(left, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(role: &str) -> String {
        validate_role(role).unwrap_err().to_string()
    }

    #[test]
    fn bad_role_names_are_refused_in_the_words_of_the_recorded_dialogues() {
        assert_eq!(
            refusal("a//b"),
            "Role 'a//b' cannot contain two adjacent slashes"
        );
        assert_eq!(
            refusal("-x"),
            "Role component '-x' is invalid because it starts with a dash"
        );
        assert_eq!(
            refusal(".."),
            "Role '..' cannot include '..' as a component"
        );
        assert_eq!(
            refusal("a b"),
            "Role component 'a b' is invalid because it contains backspace or whitespace"
        );
        assert_eq!(refusal(""), "Role names cannot be the empty string");
        assert_eq!(refusal("/a"), "Role '/a' cannot start with a slash");
        assert_eq!(refusal("/"), "Role '/' cannot start with a slash");
        assert_eq!(refusal("a/"), "Role 'a/' cannot end with a slash");
        assert_eq!(
            refusal("a/*"),
            "Role 'a/*' cannot include '*' as a component"
        );
        assert_eq!(
            refusal("a/."),
            "Role 'a/.' cannot include '.' as a component"
        );
    }

    #[test]
    fn good_role_names_pass() {
        for role in ["*", "dev", "eng/web", "a-b/c.d", "ünï"] {
            assert_eq!(validate_role(role), Ok(()));
        }
    }

    #[test]
    fn the_role_tree_is_by_whole_components() {
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a/b", "a"]);
        assert_eq!(ancestors("a").count(), 0);
        assert!(is_strict_subrole_of("a/b", "a"));
        assert!(!is_strict_subrole_of("ab", "a"));
        assert!(!is_strict_subrole_of("a", "a"));
        assert!(is_in_subtree_of("a", "a"));
    }
}
