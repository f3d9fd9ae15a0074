//! Finds the known word closest to a mistyped one.

/// Fields of other systems, and ours of the same meaning.
const FOREIGN: [(&str, &str); 22] = [
    ("args", "command"),
    ("cmd", "command"),
    ("constraints", "placement"),
    ("cpu", "cpus"),
    ("cron", "schedules"),
    ("dependencies", "after"),
    ("depends_on", "after"),
    ("fetch", "artifacts"),
    ("healthcheck", "checks"),
    ("healthchecks", "checks"),
    ("id", "name"),
    ("instances", "replicas"),
    ("liveness", "health"),
    ("memory", "mem"),
    ("ms", "interval"),
    ("readiness", "ready"),
    ("schedule", "schedules"),
    ("timezone", "time_zone"),
    ("tz", "time_zone"),
    ("upgradestrategy", "update"),
    ("uris", "artifacts"),
    ("volumes", "files"),
];

/// The known word closest to `word`, when one is close enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain(word);
    if word.len() > 64 {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| (distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + word.len().max(candidate.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Like [`nearest`], and knows fields of other systems.
pub(crate) fn nearest_field<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let ours = FOREIGN.iter().find(|(foreign, _)| *foreign == lower);
    ours.and_then(|(_, ours)| known.iter().find(|field| *field == ours).copied())
        .or_else(|| nearest(word, known.iter().copied()))
}

/// `maxSurge`, `max-surge` and `max_surge` are one word.
fn plain(word: &str) -> String {
    let mut plain = String::with_capacity(word.len());
    for letter in word.chars() {
        match letter {
            '-' => plain.push('_'),
            _ if letter.is_uppercase() => {
                if plain.ends_with(|before: char| before.is_lowercase()) {
                    plain.push('_');
                }
                plain.extend(letter.to_lowercase());
            }
            _ => plain.push(letter),
        }
    }
    plain
}

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swapped_letter_still_finds_the_word() {
        assert_eq!(nearest("prots", ["ports", "env"]), Some("ports"));
    }

    #[test]
    fn another_way_of_joining_words_finds_the_word() {
        assert_eq!(nearest("maxSurge", ["max_surge", "new"]), Some("max_surge"));
        assert_eq!(nearest("per-node", ["per_node"]), Some("per_node"));
    }

    #[test]
    fn a_word_of_another_system_finds_ours() {
        assert_eq!(nearest_field("cmd", &["command", "env"]), Some("command"));
    }

    #[test]
    fn a_word_unlike_all_others_finds_none() {
        assert_eq!(nearest("banana", ["port", "work_dir"]), None);
    }

    #[test]
    fn dashes_and_underscores_are_alike_in_a_flag() {
        let flags = ["port", "work_dir", "hostname"];
        assert_eq!(nearest("work-dri", flags), Some("work_dir"));
        assert_eq!(nearest("banana", flags), None);
    }
}
