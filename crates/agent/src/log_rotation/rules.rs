//! How much output is kept: what the agent's flags say, and what a task's environment says in Mesos's words.

/// Mesos refuses smaller limits too: a file cannot shrink below a block.
const LEAST_BYTES: u64 = 4096;
const PREFIX: &str = "CONTAINER_LOGGER_";

/// Why the variables of a task cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LogRuleError {
    #[error("{PREFIX}{name}: '{text}' is not a size, as in 10MB")]
    Size { name: String, text: String },
    #[error("{PREFIX}{name}: '{text}' is below the least limit, {LEAST_BYTES}B")]
    TooSmall { name: String, text: String },
    #[error("{PREFIX}{name}: 'rotate {text}' is not a number of files")]
    Files { name: String, text: String },
}

/// The limit of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogRule {
    /// It is rotated when it is longer.
    pub(crate) max_bytes: u64,
    /// So many older pieces stay beside it.
    pub(crate) kept_files: u32,
}

/// The limits of a container's output; none where there is no rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogLimits {
    pub(crate) stdout: Option<LogRule>,
    pub(crate) stderr: Option<LogRule>,
    /// What a task that asks for a limit only gets besides.
    kept_files: u32,
}

impl LogLimits {
    /// The agent's own; 0 bytes are no limit.
    pub(crate) fn new(max_bytes: u64, kept_files: u32) -> Self {
        let rule = (max_bytes > 0).then_some(LogRule {
            max_bytes: max_bytes.max(LEAST_BYTES),
            kept_files,
        });
        Self {
            stdout: rule,
            stderr: rule,
            kept_files,
        }
    }

    /// These, with what the variables of a container change.
    pub(super) fn with<'a>(
        mut self,
        environment: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, LogRuleError> {
        let mut sizes = [None; 2];
        let mut kept = [None; 2];
        for (name, text) in environment {
            let Some(name) = name.strip_prefix(PREFIX) else {
                continue;
            };
            match name {
                "MAX_STDOUT_SIZE" => sizes[0] = Some(size(name, text)?),
                "MAX_STDERR_SIZE" => sizes[1] = Some(size(name, text)?),
                "LOGROTATE_STDOUT_OPTIONS" => kept[0] = files(name, text)?.or(kept[0]),
                "LOGROTATE_STDERR_OPTIONS" => kept[1] = files(name, text)?.or(kept[1]),
                _ => {}
            }
        }
        let kept_files = self.kept_files;
        let rules = [&mut self.stdout, &mut self.stderr];
        for (index, rule) in rules.into_iter().enumerate() {
            match sizes[index] {
                Some(0) => *rule = None,
                Some(max_bytes) => {
                    *rule = Some(LogRule {
                        max_bytes,
                        kept_files,
                    });
                }
                None => {}
            }
            if let (Some(rule), Some(kept)) = (rule, kept[index]) {
                rule.kept_files = kept;
            }
        }
        Ok(self)
    }
}

/// A size as Mesos writes it; 0 is no limit.
fn size(name: &str, text: &str) -> Result<u64, LogRuleError> {
    let wrong = || LogRuleError::Size {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| !c.is_ascii_digit())
        .ok_or_else(wrong)?;
    let number: u64 = trimmed[..split].parse().map_err(|_| wrong())?;
    let shift = match trimmed[split..].trim() {
        "B" => 0,
        "KB" => 10,
        "MB" => 20,
        "GB" => 30,
        "TB" => 40,
        _ => return Err(wrong()),
    };
    let bytes = number.checked_mul(1 << shift).ok_or_else(wrong)?;
    if (1..LEAST_BYTES).contains(&bytes) {
        return Err(LogRuleError::TooSmall {
            name: name.to_owned(),
            text: text.to_owned(),
        });
    }
    Ok(bytes)
}

/// `rotate N` among logrotate's directives; the others have no counterpart here.
fn files(name: &str, text: &str) -> Result<Option<u32>, LogRuleError> {
    let mut found = None;
    for line in text.split(['\n', ';']) {
        let Some(count) = line.trim().strip_prefix("rotate ") else {
            continue;
        };
        let count = count.trim();
        found = Some(count.parse().map_err(|_| LogRuleError::Files {
            name: name.to_owned(),
            text: count.to_owned(),
        })?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: (u64, u32) = (1 << 20, 3);

    fn limits(environment: &[(&str, &str)]) -> Result<LogLimits, String> {
        LogLimits::new(AGENT.0, AGENT.1)
            .with(environment.iter().copied())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_task_changes_the_limits_of_the_agent_file_by_file() {
        let limits = limits(&[
            ("PATH", "/bin"),
            ("CONTAINER_LOGGER_MAX_STDOUT_SIZE", "20MB"),
            (
                "CONTAINER_LOGGER_LOGROTATE_STDOUT_OPTIONS",
                "compress\nrotate 9\n",
            ),
        ])
        .expect("limits");
        let rule = |max_bytes, kept_files| {
            Some(LogRule {
                max_bytes,
                kept_files,
            })
        };
        assert_eq!(limits.stdout, rule(20 << 20, 9));
        assert_eq!(limits.stderr, rule(1 << 20, 3));
    }

    #[test]
    fn a_task_can_ask_for_no_limit_and_for_one_where_the_agent_has_none() {
        let none = limits(&[("CONTAINER_LOGGER_MAX_STDERR_SIZE", "0B")]).expect("limits");
        assert_eq!(none.stderr, None);
        let one = LogLimits::new(0, 2)
            .with([("CONTAINER_LOGGER_MAX_STDERR_SIZE", "8KB")].into_iter())
            .expect("limits");
        assert_eq!(one.stdout, None);
        assert_eq!(
            one.stderr,
            Some(LogRule {
                max_bytes: 8192,
                kept_files: 2
            })
        );
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_its_name() {
        for (name, text, error) in [
            (
                "CONTAINER_LOGGER_MAX_STDOUT_SIZE",
                "ten",
                "CONTAINER_LOGGER_MAX_STDOUT_SIZE: 'ten' is not a size, as in 10MB",
            ),
            (
                "CONTAINER_LOGGER_MAX_STDOUT_SIZE",
                "10B",
                "CONTAINER_LOGGER_MAX_STDOUT_SIZE: '10B' is below the least limit, 4096B",
            ),
            (
                "CONTAINER_LOGGER_LOGROTATE_STDERR_OPTIONS",
                "rotate many",
                "CONTAINER_LOGGER_LOGROTATE_STDERR_OPTIONS: 'rotate many' is not a number of files",
            ),
        ] {
            assert_eq!(limits(&[(name, text)]), Err(error.to_owned()));
        }
    }
}
