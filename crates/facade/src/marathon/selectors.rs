//! Label selectors of lists: `a`, `a==v`, `a!=v`, `a in (x,y)`, `a notin (x,y)`, joined by commas.

use std::collections::BTreeMap;

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Selector {
    Has(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

/// Conditions that all have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selectors(Vec<Selector>);

impl Selectors {
    /// Reads them; the error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        split(text)
            .iter()
            .map(|one| one.trim())
            .filter(|one| !one.is_empty())
            .map(|one| read(one).ok_or_else(|| format!("'{one}' is no label selector")))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether labels pass.
    pub(super) fn pass(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|selector| match selector {
            Selector::Has(key) => labels.contains_key(key),
            Selector::In(key, values) => labels.get(key).is_some_and(|own| values.contains(own)),
            Selector::NotIn(key, values) => labels.get(key).is_none_or(|own| !values.contains(own)),
        })
    }
}

/// At commas outside of parentheses that no backslash takes the meaning of.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut depth, mut is_escaped) = (0_u32, false);
    for c in text.chars() {
        if c == ',' && depth == 0 && !is_escaped {
            parts.push(String::new());
            continue;
        }
        match c {
            '(' if !is_escaped => depth += 1,
            ')' if !is_escaped => depth = depth.saturating_sub(1),
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped;
        parts.last_mut().expect("it is never empty").push(c);
    }
    parts
}

fn read(text: &str) -> Option<Selector> {
    if let Some((key, value)) = text.split_once("!=") {
        return Some(Selector::NotIn(plain(key)?, vec![plain(value)?]));
    }
    if let Some((key, value)) = text.split_once("==") {
        return Some(Selector::In(plain(key)?, vec![plain(value)?]));
    }
    for (word, is_in) in [(" notin ", false), (" in ", true)] {
        if let Some((key, set)) = text.split_once(word) {
            let set = set.trim().strip_prefix('(')?.strip_suffix(')')?;
            let values: Option<Vec<String>> = set.split(',').map(plain).collect();
            let (key, values) = (plain(key)?, values?);
            return Some(if is_in {
                Selector::In(key, values)
            } else {
                Selector::NotIn(key, values)
            });
        }
    }
    plain(text).map(Selector::Has)
}

fn plain(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.trim().chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next()?),
            '(' | ')' | '=' | '!' | ' ' => return None,
            c => out.push(c),
        }
    }
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_choose_by_labels() {
        let labels: BTreeMap<String, String> = [("a", "x"), ("b", "1,2")]
            .map(|(key, value)| (key.into(), value.into()))
            .into();
        for (text, expected) in [
            ("a", true),
            ("a==x", true),
            ("a!=x", false),
            ("a in (y, x), b", true),
            ("a notin (x)", false),
            ("b==1\\,2", true),
            ("c", false),
            ("c!=1", true),
        ] {
            assert_eq!(
                Selectors::parse(text).unwrap().pass(&labels),
                expected,
                "{text}"
            );
        }
        assert!(Selectors::parse("a==x==").is_err());
    }
}
