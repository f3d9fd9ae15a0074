//! What a plain scalar of YAML means: by the core schema of 1.2, and whether 1.1 had it otherwise.

use serde_json::{Number, Value};

/// The value of an unquoted text by YAML 1.2's core schema; none for a number that JSON cannot hold.
pub(super) fn plain(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
        _ => {}
    }
    if is_infinite(text) || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return None;
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return whole(digits, 16, text);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return whole(digits, 8, text);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return decimal(text);
    }
    if is_float(unsigned) {
        let number = text.parse::<f64>().ok().and_then(Number::from_f64)?;
        return Some(Value::Number(number));
    }
    Some(Value::String(text.to_owned()))
}

fn is_infinite(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF")
}

fn whole(digits: &str, radix: u32, text: &str) -> Option<Value> {
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    if !is_number {
        return Some(Value::String(text.to_owned()));
    }
    u64::from_str_radix(digits, radix).ok().map(Value::from)
}

fn decimal(text: &str) -> Option<Value> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    let number = text.parse::<f64>().ok().and_then(Number::from_f64)?;
    Some(Value::Number(number))
}

/// `[0-9]*` with a point or an exponent, and a digit.
fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (front, back) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digit = !front.is_empty() || !back.is_empty();
    let good_exponent = exponent.is_none_or(|text| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        !digits.is_empty() && all_digits(digits)
    });
    has_digit && all_digits(front) && all_digits(back) && good_exponent
}

/// What an unquoted text is to a reader of YAML 1.1, where that differs from 1.2.
pub(super) fn older_meaning(text: &str) -> Option<&'static str> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Some("true"),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Some("false"),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let bytes = unsigned.as_bytes();
    if !bytes.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let all = |good: fn(&u8) -> bool| bytes[1..].iter().all(good);
    if bytes.len() > 1 && bytes[0] == b'0' {
        if all(|byte| byte.is_ascii_digit() || *byte == b'_') {
            return Some("an octal number");
        }
        if matches!(bytes[1], b'o' | b'b') && all(u8::is_ascii_alphanumeric) {
            let radix = if bytes[1] == b'o' { 8 } else { 2 };
            let digits = &unsigned[2..];
            let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
            return is_number.then_some("a number");
        }
    }
    if unsigned.contains('_') && all(|byte| matches!(byte, b'0'..=b'9' | b'_' | b'.')) {
        return Some("a number");
    }
    is_sexagesimal(unsigned).then_some("a number to the base 60")
}

/// `12:30`, `190:20:30.15`.
fn is_sexagesimal(unsigned: &str) -> bool {
    let mut parts = unsigned.split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((last, middle)) = rest.split_last() else {
        return false;
    };
    let below_sixty =
        |text: &str| digits(text) && text.len() <= 2 && (text.len() == 1 || text < "60");
    let (last, fraction) = last.split_once('.').unwrap_or((last, "0"));
    digits(first)
        && middle.iter().all(|part| below_sixty(part))
        && below_sixty(last)
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_mean_what_yaml_1_2_says() {
        for (text, value) in [
            ("", json!(null)),
            ("true", json!(true)),
            ("no", json!("no")),
            ("12", json!(12)),
            ("-12", json!(-12)),
            ("0x1f", json!(31)),
            ("0o17", json!(15)),
            ("1e3", json!(1000.0)),
            (".5", json!(0.5)),
            ("5.", json!(5.0)),
            (".", json!(".")),
            ("e5", json!("e5")),
            ("1.2.3", json!("1.2.3")),
            ("18446744073709551615", json!(u64::MAX)),
        ] {
            assert_eq!(plain(text), Some(value), "{text}");
        }
        assert_eq!(plain(".inf"), None);
    }

    #[test]
    fn words_that_yaml_1_1_reads_otherwise_are_known() {
        for text in [
            "no", "Off", "y", "0123", "08", "1_000", "12:30", "0b11", "0o17", "1:2:3.5",
        ] {
            assert!(older_meaning(text).is_some(), "{text}");
        }
        for text in [
            "none",
            "0",
            "12",
            "8080:80",
            "1.5",
            "0x1f",
            "a:30",
            "12:3x",
            "-",
            "2026-01-01",
            "0bad",
        ] {
            assert!(older_meaning(text).is_none(), "{text}");
        }
    }
}
