//! Small texts of other systems: variables, words of a command, quantities, spans.

use std::collections::BTreeMap;

/// Replaces `$NAME`, `${NAME}`, `${NAME:-default}` and `$$`; names without a value are told.
pub(crate) fn interpolate(
    text: &str,
    variables: &BTreeMap<String, String>,
    missing: &mut Vec<String>,
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((inside, tail)) =
            rest.strip_prefix('{').and_then(|rest| rest.split_once('}'))
        {
            out.push_str(&value_of(inside, variables, missing));
            rest = tail;
        } else {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            if end == 0 {
                out.push('$');
            } else {
                out.push_str(&value_of(&rest[..end], variables, missing));
                rest = &rest[end..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn value_of(
    inside: &str,
    variables: &BTreeMap<String, String>,
    missing: &mut Vec<String>,
) -> String {
    let end = inside
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(inside.len());
    let (name, rule) = inside.split_at(end);
    let value = variables.get(name);
    let empty_counts = !rule.starts_with(':');
    let value = value.filter(|value| empty_counts || !value.is_empty());
    let rule = rule.strip_prefix(':').unwrap_or(rule);
    match (value, rule.get(..1), rule.get(1..)) {
        (_, Some("+"), Some(other)) => value.map_or(String::new(), |_| other.to_owned()),
        (Some(value), ..) => value.clone(),
        (None, Some("-"), Some(default)) => default.to_owned(),
        (None, ..) => {
            missing.push(name.to_owned());
            String::new()
        }
    }
}

/// The words of a command as a shell would see them: quotes and backslashes, nothing more.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(letters.next()),
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, Some(open)) if letter == open => quote = None,
            (_, None) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Cpus in thousandths: `0.5`, `500m`.
pub(crate) fn cpus(text: &str) -> Option<f64> {
    let number = match text.strip_suffix('m') {
        Some(thousandths) => thousandths.parse::<f64>().ok()? / 1_000.0,
        None => text.parse().ok()?,
    };
    ((0.0..=1e6).contains(&number)).then(|| (number * 1_000.0).ceil() / 1_000.0)
}

/// Bytes with a unit, as a size of ours, rounded up to KiB.
pub(crate) fn size(text: &str) -> Option<String> {
    const UNITS: [(&str, u128); 21] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("kb", 1 << 10),
        ("mb", 1 << 20),
        ("gb", 1 << 30),
        ("kB", 1 << 10),
        ("mB", 1 << 20),
        ("KB", 1 << 10),
        ("MB", 1 << 20),
        ("GB", 1 << 30),
        ("g", 1 << 30),
        ("b", 1),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("", 1),
    ];
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let factor = UNITS.iter().find(|(name, _)| *name == unit)?.1;
    let mut bytes = whole.parse::<u64>().ok().map(u128::from)? * factor;
    if !decimals.is_empty() {
        let decimals = &decimals[..decimals.len().min(6)];
        let scale = 10_u128.pow(u32::try_from(decimals.len()).ok()?);
        bytes += decimals.parse::<u64>().ok().map(u128::from)? * factor / scale;
    }
    let kibibytes = bytes.div_ceil(1 << 10);
    if kibibytes > 1 << 50 {
        return None;
    }
    Some(match kibibytes {
        _ if kibibytes.is_multiple_of(1 << 20) && kibibytes > 0 => {
            format!("{}GiB", kibibytes >> 20)
        }
        _ if kibibytes.is_multiple_of(1 << 10) => format!("{}MiB", kibibytes >> 10),
        _ => format!("{kibibytes}KiB"),
    })
}

/// A size of a Compose file, in which `m` and `k` are binary, too.
pub(crate) fn compose_size(text: &str) -> Option<String> {
    match text.trim().to_ascii_lowercase() {
        lower if lower.ends_with(['k', 'm', 'g']) => size(&format!("{lower}b").replace("gb", "g")),
        lower => size(&lower),
    }
}

/// A span of a Compose file: `1m30s`, `500ms`; `us` and `ns` round up to a millisecond.
pub(crate) fn span(text: &str) -> Option<String> {
    if text.ends_with("us") || text.ends_with("ns") {
        return Some("1ms".into());
    }
    mezz_spec::quantity::Span::parse(text)
        .ok()
        .map(mezz_spec::quantity::Span::text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_missing_ones_told() {
        let variables = BTreeMap::from([
            ("A".to_owned(), "1".to_owned()),
            ("E".to_owned(), String::new()),
        ]);
        let mut missing = Vec::new();
        let out = interpolate(
            "$A ${A}x ${B:-two} ${E:-three} ${E-four} $$C ${D} ${A:+set} $",
            &variables,
            &mut missing,
        );
        assert_eq!(out, "1 1x two three  $C  set $");
        assert_eq!(missing, ["D"]);
    }

    #[test]
    fn commands_are_split_as_a_shell_would() {
        assert_eq!(
            words(r#"sh -c "echo 'a b'" c\ d ''"#),
            ["sh", "-c", "echo 'a b'", "c d", ""]
        );
    }

    #[test]
    fn quantities_keep_their_amount() {
        assert_eq!(cpus("250m"), Some(0.25));
        assert_eq!(cpus("2"), Some(2.0));
        assert_eq!(cpus("-1"), None);
        for (text, ours) in [
            ("128Mi", "128MiB"),
            ("1.5Gi", "1536MiB"),
            ("1000", "1KiB"),
            ("1G", "976563KiB"),
            ("2Ti", "2048GiB"),
            ("0", "0MiB"),
        ] {
            assert_eq!(size(text).as_deref(), Some(ours), "{text}");
        }
        assert_eq!(compose_size("64m").as_deref(), Some("64MiB"));
        assert_eq!(compose_size("1g").as_deref(), Some("1GiB"));
        assert_eq!(compose_size("512MB").as_deref(), Some("512MiB"));
        assert_eq!(size("much"), None);
    }
}
