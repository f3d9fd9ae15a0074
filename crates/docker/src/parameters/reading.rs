//! Values of flags, read as Docker's command line reads them.

/// `KEY=VALUE`, of which the key is not empty.
pub(super) fn pair(value: &str) -> Result<(String, String), String> {
    match value.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("'{value}' is not KEY=VALUE")),
    }
}

/// A switch; Docker's own is on when nothing is said.
pub(super) fn switch(value: &str) -> Result<bool, String> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(format!("'{other}' is neither true nor false")),
    }
}

/// A whole number.
pub(super) fn number<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    let refused = || format!("'{value}' is not a whole number that fits");
    value.parse().map_err(|_| refused())
}

/// A number of bytes: `512m`, `2gb`, `1073741824`.
pub(super) fn bytes(value: &str) -> Result<u64, String> {
    let refused = || format!("'{value}' is not a size such as 512m");
    let lower = value.trim().to_ascii_lowercase();
    let digits = lower
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(lower.len());
    let (count, unit) = lower.split_at(digits);
    let unit = unit.trim().trim_end_matches('b').trim_end_matches('i');
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(refused()),
    };
    let count: u64 = count.parse().map_err(|_| refused())?;
    count.checked_mul(1 << shift).ok_or_else(refused)
}

/// A limit in bytes, or -1 for none.
pub(super) fn bytes_or_none(value: &str) -> Result<i64, String> {
    if value == "-1" {
        return Ok(-1);
    }
    i64::try_from(bytes(value)?).map_err(|_| format!("'{value}' is too large"))
}

/// Nanoseconds of a duration such as `1m30s`.
pub(super) fn duration(value: &str) -> Result<u64, String> {
    let refused = || format!("'{value}' is not a duration such as 1m30s");
    let mut rest = value;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest
            .find(|letter: char| !letter.is_ascii_digit())
            .ok_or_else(refused)?;
        let count: u64 = rest[..digits].parse().map_err(|_| refused())?;
        let unit_end = rest[digits..]
            .find(|letter: char| letter.is_ascii_digit())
            .map_or(rest.len(), |end| digits + end);
        let each: u64 = match &rest[digits..unit_end] {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(refused()),
        };
        let part = count.checked_mul(each).ok_or_else(refused)?;
        total = total.checked_add(part).ok_or_else(refused)?;
        rest = &rest[unit_end..];
    }
    if value.is_empty() {
        Err(refused())
    } else {
        Ok(total)
    }
}

/// Thousand-millionths of a decimal number with at most nine decimals, not negative.
pub(super) fn billionths(value: &str) -> Result<u64, String> {
    let refused = || format!("'{value}' is not a number such as 1.5");
    let (whole, part) = value.split_once('.').unwrap_or((value, ""));
    let digits = |text: &str| text.chars().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || part.len() > 9 || !digits(whole) || !digits(part) {
        return Err(refused());
    }
    let whole: u64 = whole.parse().map_err(|_| refused())?;
    let part: u64 = format!("{part:0<9}").parse().map_err(|_| refused())?;
    let whole = whole.checked_mul(1_000_000_000).ok_or_else(refused)?;
    whole.checked_add(part).ok_or_else(refused)
}

/// Several, parted by commas.
pub(super) fn list(value: &str) -> impl Iterator<Item = String> {
    value.split(',').map(str::to_owned)
}
