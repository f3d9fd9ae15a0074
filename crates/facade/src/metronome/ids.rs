//! Ids with dots and names with slashes: `team.reports.daily` is `/team/reports/daily`. A name with a dot in a component
//! has no id, so that each id stands for one name.

use mezz_spec::{Kind, Name};
use mezz_workload::records::ObjectRecord;

use super::errors;
use crate::answer::Answer;
use crate::world::World;

/// The name of an id.
pub(super) fn name_of(id: &str) -> Result<Name, String> {
    let is_legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    if let Some(letter) = id.chars().find(|c| !c.is_ascii() || !is_legal(*c as u8)) {
        return Err(format!(
            "'{letter}' is none of a-z, 0-9, '-' and '.' between names"
        ));
    }
    if id.starts_with('.') {
        return Err("it begins with a dot".into());
    }
    Name::new(&id.replace('.', "/")).map_err(|error| error.to_string())
}

/// The id of a name, if it has one.
pub(super) fn id_of(name: &Name) -> Option<String> {
    let mut id = String::new();
    for component in name.components() {
        if component.contains('.') {
            return None;
        }
        if !id.is_empty() {
            id.push('.');
        }
        id.push_str(component);
    }
    Some(id)
}

/// The job with an id.
pub(super) fn find<'w>(world: &World<'w>, id: &str) -> Result<&'w ObjectRecord, Answer> {
    let name = name_of(id).map_err(|_| errors::no_job(id))?;
    world
        .object(Kind::Job, &name)
        .ok_or_else(|| errors::no_job(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_stands_for_one_name() {
        let name = name_of("team.reports.daily-1").unwrap();
        assert_eq!(name.as_str(), "/team/reports/daily-1");
        assert_eq!(id_of(&name).unwrap(), "team.reports.daily-1");
        assert_eq!(id_of(&Name::new("/team/v1.2").unwrap()), None);
        for bad in ["", "a..b", ".a", "a.", "A", "a/b", "a_b", "-a", "ä"] {
            assert!(name_of(bad).is_err(), "{bad}");
        }
    }
}
