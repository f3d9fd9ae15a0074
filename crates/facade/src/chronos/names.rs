//! Names of Chronos's jobs and of ours. Theirs may have capitals, underscores, blanks; what cannot be a name here becomes
//! one that looks like it and ends in a digest. The true name is kept with the job.

use mezz_spec::Name;
use xxhash_rust::xxh3::xxh3_64;

/// The longest name of a job here.
const LONGEST: usize = 512;
/// What is left of a name before its digest.
const KEPT: usize = 40;

/// Whether a job may have this name: letters, digits, `_`, `.`, `-`, and what versions before 3 allowed.
pub(super) fn check(name: &str) -> Result<(), String> {
    let is_legal = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '#' | ' ');
    if name.is_empty() || name.len() > LONGEST || !name.chars().all(is_legal) {
        return Err(format!(
            "the job's name is invalid. Allowed names: '([\\w\\.-]+)', of at most {LONGEST} bytes"
        ));
    }
    Ok(())
}

/// The name that a job has here.
pub(super) fn name_of(job: &str) -> Name {
    if !job.contains('/')
        && let Ok(name) = Name::new(job)
    {
        return name;
    }
    let mut kept = String::new();
    for c in job.chars().take(KEPT) {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_alphanumeric() {
            kept.push(c);
        } else if !kept.is_empty() && !kept.ends_with('-') {
            kept.push('-');
        }
    }
    let head = kept.trim_end_matches('-');
    let head = if head.is_empty() { "job" } else { head };
    let digest = xxh3_64(job.as_bytes());
    Name::new(&format!("{head}.x{digest:016x}")).expect("it is of legal letters, and short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay_and_others_become_legal_and_different() {
        assert_eq!(name_of("nightly-report.v2").as_str(), "/nightly-report.v2");
        let name = name_of("Nightly_Report");
        assert!(name.as_str().starts_with("/nightly-report.x"), "{name}");
        assert_ne!(name, name_of("nightly_report"));
        assert!(name_of("___").as_str().starts_with("/job.x"));
        assert!(name_of(&"A".repeat(500)).as_str().len() < 64);
        assert!(check("Nightly_Report.v-2").is_ok());
        for bad in ["", "a/b", "a,b", "a\nb"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
