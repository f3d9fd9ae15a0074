//! Replayed answers beside recorded ones, and the list of differences that are intended.

use std::fmt;

use serde_json::Value;

use crate::captures::{Dialogue, RecordedBody};
use crate::http_client::Response;
use crate::shape::{self, ShapeKind};

/// Headers whose value is part of the contract.
const EXACT_HEADERS: &[&str] = &["Content-Type", "Transfer-Encoding", "Content-Disposition"];
/// Headers that must be there or not, with a value of their own.
const PRESENT_HEADERS: &[&str] = &["Mesos-Stream-Id", "Location", "Allow"];

/// A difference between a recorded and a replayed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The title of the dialogue.
    pub dialogue: String,
    /// `status`, `header NAME`, `text`, or the place in the JSON body (`/a/*/b`).
    pub at: String,
    /// What differs.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}: {}", self.dialogue, self.at, self.what)
    }
}

/// A difference that is meant to be, with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intended {
    /// The title of the dialogue; `*` stands for any text.
    pub dialogue: &'static str,
    /// The place of the difference; `*` stands for any text.
    pub at: &'static str,
    /// Why it is intended.
    pub reason: &'static str,
}

/// What remains after the intended differences are taken away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Differences that nothing excuses.
    pub unexcused: Vec<Difference>,
    /// Intended differences that were not met: the list should say the truth.
    pub stale: Vec<Intended>,
}

impl Verdict {
    /// Panics with all that is wrong.
    #[track_caller]
    pub fn assert_clean(&self) {
        let differences: Vec<String> = self.unexcused.iter().map(ToString::to_string).collect();
        let stale: Vec<String> = self
            .stale
            .iter()
            .map(|i| format!("[{}] {}", i.dialogue, i.at))
            .collect();
        assert!(
            differences.is_empty() && stale.is_empty(),
            "{} differences:\n{}\n{} intended differences that do not occur:\n{}",
            differences.len(),
            differences.join("\n"),
            stale.len(),
            stale.join("\n"),
        );
    }
}

/// Takes the intended differences away.
pub fn judge(differences: Vec<Difference>, intended: &[Intended]) -> Verdict {
    let excuses = |i: &Intended, d: &Difference| {
        matches_pattern(i.dialogue, &d.dialogue) && matches_pattern(i.at, &d.at)
    };
    let stale = intended
        .iter()
        .filter(|i| !differences.iter().any(|d| excuses(i, d)))
        .copied()
        .collect();
    let unexcused = differences
        .into_iter()
        .filter(|d| !intended.iter().any(|i| excuses(i, d)))
        .collect();
    Verdict { unexcused, stale }
}

/// Every difference between a recorded answer and `response`. The events of streams are compared by
/// [`event_differences`].
pub fn differences(dialogue: &Dialogue, response: &Response) -> Vec<Difference> {
    let mut found = head_differences(dialogue, response.status, &response.headers);
    let difference = |at: &str, what: String| Difference {
        dialogue: dialogue.title.clone(),
        at: at.into(),
        what,
    };
    match (
        &dialogue.body,
        dialogue.json(),
        serde_json::from_slice::<Value>(&response.body).ok(),
    ) {
        (RecordedBody::Whole(_), Some(expected), Some(actual)) => {
            found.extend(
                shape::differences(&expected, &actual)
                    .into_iter()
                    .map(|shape| {
                        let at = if shape.at.is_empty() { "/" } else { &shape.at };
                        difference(at, shape_words(&shape.kind))
                    }),
            );
        }
        (RecordedBody::Whole(expected), ..) => {
            let (expected, actual) = (
                without_ids(expected.trim_end()),
                without_ids(response.text().trim_end()),
            );
            if expected != actual {
                found.push(difference(
                    "text",
                    format!("{actual:?} instead of {expected:?}"),
                ));
            }
        }
        (RecordedBody::Chunks { .. } | RecordedBody::NotKept, ..) => {}
    }
    found
}

/// Differences of status and headers, also for an answer that is a stream.
pub fn head_differences(
    dialogue: &Dialogue,
    status: u16,
    headers: &[(String, String)],
) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut report = |at: String, what: String| {
        found.push(Difference {
            dialogue: dialogue.title.clone(),
            at,
            what,
        });
    };
    if status != dialogue.status {
        report(
            "status".into(),
            format!("{status} instead of {}", dialogue.status),
        );
    }
    for name in EXACT_HEADERS {
        let (expected, actual) = (
            dialogue.header(name),
            crate::http_client::header(headers, name),
        );
        if expected != actual {
            report(
                format!("header {name}"),
                format!("{actual:?} instead of {expected:?}"),
            );
        }
    }
    for name in PRESENT_HEADERS {
        let (expected, actual) = (
            dialogue.header(name),
            crate::http_client::header(headers, name),
        );
        if expected.is_some() != actual.is_some() {
            report(
                format!("header {name}"),
                format!("{actual:?} instead of {expected:?}"),
            );
        }
    }
    found
}

/// Differences in shape between a recorded and a replayed event.
pub fn event_differences(title: &str, expected: &Value, actual: &Value) -> Vec<Difference> {
    let found = shape::differences(expected, actual).into_iter();
    found
        .map(|shape| Difference {
            dialogue: title.into(),
            at: shape.at,
            what: shape_words(&shape.kind),
        })
        .collect()
}

fn shape_words(kind: &ShapeKind) -> String {
    match kind {
        ShapeKind::MissingKey => "missing".into(),
        ShapeKind::ExtraKey => "not in the recording".into(),
        ShapeKind::Type { expected, actual } => format!("{actual} instead of {expected}"),
        ShapeKind::EmptyArray => "empty, so its elements were not compared".into(),
    }
}

/// The text with every UUID replaced, since ids differ from run to run.
pub fn without_ids(text: &str) -> String {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut at = 0;
    while at < bytes.len() {
        let mut end = at;
        let is_id = GROUPS.iter().enumerate().all(|(number, length)| {
            let dash = number > 0;
            let ok = !dash || bytes.get(end) == Some(&b'-');
            end += usize::from(dash) + length;
            ok && bytes
                .get(end - length..end)
                .is_some_and(|group| group.iter().all(u8::is_ascii_hexdigit))
        });
        if is_id {
            out.push_str("<id>");
            at = end;
        } else {
            let width = text[at..].chars().next().map_or(1, char::len_utf8);
            out.push_str(&text[at..at + width]);
            at += width;
        }
    }
    out
}

/// Whether `text` matches `pattern`, in which `*` stands for any text.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captures::Capture;

    fn answer(dialogue: &Dialogue, body: &str) -> Response {
        Response {
            status: dialogue.status,
            headers: dialogue.headers.clone(),
            body: body.into(),
        }
    }

    #[test]
    fn every_recorded_answer_equals_itself() {
        for dialogue in Capture::ALL.iter().flat_map(|capture| capture.dialogues()) {
            let RecordedBody::Whole(body) = &dialogue.body else {
                continue;
            };
            assert_eq!(differences(&dialogue, &answer(&dialogue, body)), []);
        }
    }

    #[test]
    fn differences_are_found_and_excused_by_name() {
        let dialogue = Capture::MasterUnversioned.dialogue("master GET /version");
        let mut other = answer(&dialogue, r#"{"version": 1, "mezz_version": "0"}"#);
        other.status = 500;
        other.headers.clear();
        let found = differences(&dialogue, &other);
        let places: Vec<&str> = found.iter().map(|d| d.at.as_str()).collect();
        assert!(
            places.starts_with(&["status", "header Content-Type"]),
            "{places:?}"
        );
        assert!(
            places.contains(&"/mezz_version") && places.contains(&"/version"),
            "{places:?}"
        );
        let intended = [
            Intended {
                dialogue: "master GET */version",
                at: "/*",
                reason: "a test",
            },
            Intended {
                dialogue: "never",
                at: "*",
                reason: "a test",
            },
        ];
        let verdict = judge(found, &intended);
        assert!(verdict.unexcused.iter().all(|d| !d.at.starts_with('/')));
        assert_eq!(verdict.stale, [intended[1]]);
    }

    #[test]
    fn error_texts_are_compared_without_their_ids() {
        let dialogue = Capture::Scheduler.dialogue("call with a wrong stream id");
        let RecordedBody::Whole(text) = &dialogue.body else {
            panic!("it has a text")
        };
        let other = text.replace(
            "a39dd3da-cd7f-4149-b87f-7094cad0fdc8",
            "00000000-1111-2222-3333-444444444444",
        );
        assert_ne!(*text, other);
        assert_eq!(differences(&dialogue, &answer(&dialogue, &other)), []);
        assert_eq!(differences(&dialogue, &answer(&dialogue, "no")).len(), 1);
    }

    #[test]
    fn patterns_match_whole_texts() {
        assert!(
            matches_pattern("a*c", "abbc") && matches_pattern("*", "") && matches_pattern("a", "a")
        );
        assert!(
            !matches_pattern("a", "ab")
                && !matches_pattern("a*c", "abcd")
                && !matches_pattern("*b*", "ac")
        );
    }
}
