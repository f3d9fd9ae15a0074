//! What several checks of one task have found, as labels of its statuses: a status has room for one verdict and one
//! finding. Any Mesos client can read them; those who know nothing of them lose nothing.

use crate::v1::{CheckStatusInfo, Label, Labels, check_status_info};

/// Of a task with several health checks, `mezz.health.INDEX`: `passes`, `fails N`, or `unknown`.
const HEALTH: &str = "mezz.health.";
/// Of the second check of a task and those after it, `mezz.check.INDEX`: `status N`, `open`, `shut` or `exit N`.
const CHECK: &str = "mezz.check.";
/// Beyond this no check is counted.
const MOST: usize = 256;

/// What a health check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthFound {
    /// Whether its last probe that counted passed.
    pub alive: bool,
    /// Failures in a row.
    pub failures: u32,
}

/// The label of a health check, also of one that has found nothing yet: what is read back has a place for each.
pub fn of_health(index: usize, found: Option<HealthFound>) -> Label {
    let value = match found {
        Some(found) if found.alive => "passes".to_owned(),
        Some(found) => format!("fails {}", found.failures),
        None => "unknown".to_owned(),
    };
    label(HEALTH, index, value)
}

/// The label of a check; none as long as it has found nothing.
pub fn of_check(index: usize, found: &CheckStatusInfo) -> Option<Label> {
    let http = found.http.as_ref().and_then(|http| http.status_code);
    let tcp = found.tcp.as_ref().and_then(|tcp| tcp.succeeded);
    let command = found.command.as_ref().and_then(|command| command.exit_code);
    let value = http
        .map(|code| format!("status {code}"))
        .or_else(|| tcp.map(|open| if open { "open" } else { "shut" }.to_owned()))
        .or_else(|| command.map(|code| format!("exit {code}")))?;
    Some(label(CHECK, index, value))
}

/// What each of several health checks has found, by index; nothing where there is one at most.
pub fn health(labels: &Labels) -> Vec<Option<HealthFound>> {
    read(labels, HEALTH, |value| {
        if value == "passes" {
            return Some(HealthFound {
                alive: true,
                failures: 0,
            });
        }
        let failures = value.strip_prefix("fails ")?.parse().ok()?;
        Some(HealthFound {
            alive: false,
            failures,
        })
    })
}

/// What each check has found, by index; the first is not in the labels.
pub fn checks(labels: &Labels) -> Vec<Option<CheckStatusInfo>> {
    read(labels, CHECK, |value| {
        let mut found = CheckStatusInfo::default();
        match value.split_once(' ') {
            Some(("status", code)) => {
                let status_code = Some(code.parse().ok()?);
                found.http = Some(check_status_info::Http { status_code });
            }
            Some(("exit", code)) => {
                let exit_code = Some(code.parse().ok()?);
                found.command = Some(check_status_info::Command { exit_code });
            }
            None if matches!(value, "open" | "shut") => {
                let succeeded = Some(value == "open");
                found.tcp = Some(check_status_info::Tcp { succeeded });
            }
            _ => return None,
        }
        Some(found)
    })
}

fn label(prefix: &str, index: usize, value: String) -> Label {
    Label {
        key: format!("{prefix}{index}"),
        value: Some(value),
    }
}

fn read<T: Clone>(
    labels: &Labels,
    prefix: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Vec<Option<T>> {
    let mut found = Vec::new();
    for label in &labels.labels {
        let index = label.key.strip_prefix(prefix);
        let index = index.and_then(|index| index.parse::<usize>().ok());
        let Some(index) = index.filter(|index| *index < MOST) else {
            continue;
        };
        if found.len() <= index {
            found.resize(index + 1, None);
        }
        found[index] = label.value.as_deref().and_then(&parse);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_checks_have_found_is_read_back_from_labels() {
        let bad = HealthFound {
            alive: false,
            failures: 2,
        };
        let good = HealthFound {
            alive: true,
            failures: 0,
        };
        let status = CheckStatusInfo {
            http: Some(check_status_info::Http {
                status_code: Some(503),
            }),
            ..CheckStatusInfo::default()
        };
        let labels = Labels {
            labels: vec![
                of_health(2, Some(bad)),
                of_health(0, Some(good)),
                of_health(3, None),
                of_check(1, &status).unwrap(),
            ],
        };
        assert_eq!(health(&labels), [Some(good), None, Some(bad), None]);
        assert_eq!(checks(&labels), [None, Some(status)]);
        assert_eq!(of_check(0, &CheckStatusInfo::default()), None);
    }

    #[test]
    fn labels_of_others_and_damaged_ones_say_nothing() {
        let of = |key: &str, value: &str| Label {
            key: key.to_owned(),
            value: Some(value.to_owned()),
        };
        let labels = Labels {
            labels: vec![
                of("mezz.health.0", "well"),
                of("mezz.health.99999", "passes"),
                of("other", "passes"),
            ],
        };
        assert_eq!(health(&labels), [None]);
        assert!(checks(&labels).is_empty());
    }
}
