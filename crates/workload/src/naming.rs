//! Names that are made: of objects' lives, rollouts, runs and instances. They follow from what they name, never from chance.

use std::fmt::Write as _;

use mezz_spec::Name;
use mezz_state::time::Wall;
use xxhash_rust::xxh3::xxh3_128;

/// The longest task id that clients and file systems take.
pub const MAX_ID_BYTES: usize = 255;

/// A UUID that follows from these parts (version 8: its bits are the maker's own).
pub(crate) fn uuid(parts: &[&[u8]]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    let mut hash = xxh3_128(&bytes).to_be_bytes();
    hash[6] = hash[6] & 0x0f | 0x80;
    hash[8] = hash[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in hash.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{byte:02x}").expect("a string takes all that is written");
    }
    text
}

/// The id of an object's life.
pub(crate) fn object_uid(name: &Name, number: u32, at: Wall) -> String {
    uuid(&[
        name.as_str().as_bytes(),
        &number.to_le_bytes(),
        &at.0.to_le_bytes(),
    ])
}

/// A name as a part of ids that allow no slash: `/team/app` is `team_app`.
pub(crate) fn flat(name: &Name) -> String {
    name.as_str()[1..].replace('/', "_")
}

/// The task id of a service's instance, in the form that Marathon's clients split.
pub(crate) fn instance_id(name: &Name, uid: &str, ordinal: u32, launch: u64, at: Wall) -> String {
    let uuid = uuid(&[
        uid.as_bytes(),
        &ordinal.to_le_bytes(),
        &launch.to_le_bytes(),
        &at.0.to_le_bytes(),
    ]);
    format!("{}{uuid}._app.1", instance_head(name))
}

/// How the task ids of a service's instances begin.
pub fn instance_head(name: &Name) -> String {
    format!("{}.instance-", flat(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_still_makes_a_task_id_of_legal_length() {
        let component = "a".repeat(49);
        let name = Name::new(&[component.as_str(); 4].join("/")).unwrap();
        let id = instance_id(&name, "uid", u32::MAX, u64::MAX, Wall(1));
        assert!(id.len() <= MAX_ID_BYTES, "{}", id.len());
        assert!(
            id.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        );
    }

    #[test]
    fn parts_that_run_together_make_different_ids() {
        assert_ne!(uuid(&[b"ab", b"c"]), uuid(&[b"a", b"bc"]));
    }
}
