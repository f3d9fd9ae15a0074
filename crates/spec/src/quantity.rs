//! Amounts as users write them: spans of time, sizes, thousandths, counts and shares.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// Why a text is no amount.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum QuantityError {
    #[error("'{0}' is not a span of time; write 30s, 5m, 1h30m or a number of seconds")]
    Span(String),
    #[error("'{0}' is not a size; write 128MiB, 1GiB or a number of MiB")]
    Size(String),
    #[error("'{0}' is not a count or a share; write 2 or 25%")]
    Share(String),
    #[error("{0} is not between 0 and {1}")]
    Range(String, &'static str),
}

/// A span of time, kept in milliseconds; written `30s`, `1h30m`, `250ms`, or as a number of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub u64);

/// A size in MiB, kept in KiB; written `128MiB`, `1GiB`, or as a number of MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// An amount with three decimals, kept in thousandths, such as cpus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thousandths(pub u64);

/// A count (`2`) or a share of all (`25%`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    Count(u32),
    /// In whole percent.
    Percent(u32),
}

const DAY_MS: u64 = 86_400_000;
/// A thousand years: more is a mistake.
const MAX_SPAN_MS: u64 = 365_000 * DAY_MS;
/// 2^40 MiB: more is a mistake.
const MAX_SIZE_KIB: u64 = 1 << 50;
const UNITS_MS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", DAY_MS),
    ("w", 7 * DAY_MS),
];
const UNITS_KIB: [(&str, u64); 7] = [
    ("KiB", 1),
    ("MiB", 1 << 10),
    ("GiB", 1 << 20),
    ("TiB", 1 << 30),
    ("Ki", 1),
    ("Mi", 1 << 10),
    ("Gi", 1 << 20),
];

impl Span {
    /// From whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds * 1_000)
    }

    /// In nanoseconds.
    pub fn nanoseconds(self) -> u64 {
        self.0.saturating_mul(1_000_000)
    }

    /// Reads `1h30m` and the like.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let bad = || QuantityError::Span(text.into());
        let mut rest = text.trim();
        let mut total: u64 = 0;
        if rest.is_empty() {
            return Err(bad());
        }
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let (number, tail) = rest.split_at(digits);
            let letters = tail
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(tail.len());
            let (unit, next) = tail.split_at(letters);
            let factor = UNITS_MS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(bad)?
                .1;
            let part = thousandths_of(number)
                .ok_or_else(bad)?
                .checked_mul(factor)
                .ok_or_else(bad)?;
            total = total.checked_add(part / 1_000).ok_or_else(bad)?;
            rest = next;
        }
        Self::checked(total, text)
    }

    fn checked(milliseconds: u64, text: &str) -> Result<Self, QuantityError> {
        if milliseconds > MAX_SPAN_MS {
            return Err(QuantityError::Range(text.into(), "365000d"));
        }
        Ok(Self(milliseconds))
    }

    /// As it is written: the largest units first.
    pub fn text(self) -> String {
        if self.0 == 0 {
            return "0s".into();
        }
        let mut left = self.0;
        let mut text = String::new();
        for (unit, factor) in [
            ("d", DAY_MS),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
            ("ms", 1),
        ] {
            if left >= factor {
                text.push_str(&(left / factor).to_string());
                text.push_str(unit);
                left %= factor;
            }
        }
        text
    }
}

impl Size {
    /// From whole MiB.
    pub const fn mebibytes(count: u64) -> Self {
        Self(count << 10)
    }

    /// Reads `128MiB` and the like.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let bad = || QuantityError::Size(text.into());
        let text = text.trim();
        let digits = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim();
        let factor = UNITS_KIB
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(bad)?
            .1;
        let part = thousandths_of(number)
            .ok_or_else(bad)?
            .checked_mul(factor)
            .ok_or_else(bad)?;
        if part / 1_000 > MAX_SIZE_KIB {
            return Err(QuantityError::Range(text.into(), "1024PiB"));
        }
        Ok(Self(part / 1_000))
    }

    /// As a number of MiB where three decimals can tell it, otherwise in KiB.
    fn written(self) -> serde_json::Value {
        if self.0.saturating_mul(1_000).is_multiple_of(1_024) {
            number_of_thousandths(self.mebibytes_thousandths()).into()
        } else {
            format!("{}KiB", self.0).into()
        }
    }

    /// In MiB, with three decimals.
    pub fn mebibytes_thousandths(self) -> u64 {
        self.0.saturating_mul(1_000) >> 10
    }
}

impl Share {
    /// Reads `2` or `25%`.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let bad = || QuantityError::Share(text.into());
        match text.trim().strip_suffix('%') {
            Some(number) => number.trim().parse().map(Self::Percent).map_err(|_| bad()),
            None => text.trim().parse().map(Self::Count).map_err(|_| bad()),
        }
    }

    /// How many of `all`, a share rounded up.
    pub fn of_rounded_up(self, all: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => portion(all, percent, 99),
        }
    }

    /// How many of `all`, a share rounded down.
    pub fn of_rounded_down(self, all: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => portion(all, percent, 0),
        }
    }
}

fn portion(all: u32, percent: u32, extra: u64) -> u32 {
    let hundredfold = u64::from(all) * u64::from(percent) + extra;
    u32::try_from(hundredfold / 100).unwrap_or(u32::MAX)
}

/// A decimal number in thousandths; what is finer is cut off.
fn thousandths_of(number: &str) -> Option<u64> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && decimals.is_empty() || decimals.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut decimals: String = decimals.chars().take(3).collect();
    while decimals.len() < 3 {
        decimals.push('0');
    }
    whole
        .checked_mul(1_000)?
        .checked_add(decimals.parse().ok()?)
}

/// A number or a text, as JSON gives it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Whole(u64),
    Decimal(f64),
    Text(String),
}

fn thousandths_of_number(number: f64) -> Result<u64, QuantityError> {
    let scaled = (number * 1_000.0).round();
    if !(0.0..=1e15).contains(&scaled) {
        return Err(QuantityError::Range(number.to_string(), "1e12"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above"
    )]
    Ok(scaled as u64)
}

fn number_of_thousandths(value: u64) -> serde_json::Number {
    if value.is_multiple_of(1_000) {
        (value / 1_000).into()
    } else {
        serde_json::Number::from_f64(value as f64 / 1_000.0).expect("a finite number")
    }
}

macro_rules! written {
    ($type:ident, $title:literal, $format:literal, $pattern:literal, $number:literal, $most:literal, |$written:ident| $read:expr, |$value:ident| $write:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let $written = Written::deserialize(deserializer)?;
                let read: Result<Self, QuantityError> = $read;
                read.map_err(de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $value = *self;
                $write.serialize(serializer)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": $title,
                    "anyOf": [
                        { "type": $number, "minimum": 0, "maximum": $most },
                        { "type": "string", "format": $format, "pattern": $pattern }
                    ]
                })
            }
        }
    };
}

written!(
    Span,
    "A span of time: 30s, 5m, 1h30m, or a number of seconds.",
    "span",
    "^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d|w))+$",
    "number",
    31_536_000_000_u64,
    |written| match written {
        Written::Whole(seconds) =>
            Self::checked(seconds.saturating_mul(1_000), &seconds.to_string()),
        Written::Decimal(seconds) => thousandths_of_number(seconds)
            .and_then(|milliseconds| Self::checked(milliseconds, &seconds.to_string())),
        Written::Text(text) => Self::parse(&text),
    },
    |value| value.text()
);
written!(
    Size,
    "A size: 128MiB, 1GiB, or a number of MiB.",
    "size",
    "^[0-9]+(\\.[0-9]+)?\\s*(KiB|MiB|GiB|TiB|Ki|Mi|Gi)$",
    "number",
    1_099_511_627_776_u64,
    |written| match written {
        Written::Whole(count) if count <= 1 << 40 => Ok(Self::mebibytes(count)),
        Written::Whole(count) => Err(QuantityError::Range(count.to_string(), "1099511627776")),
        Written::Decimal(count) => thousandths_of_number(count).map(|value| Self(
            u64::try_from(u128::from(value) * 1_024 / 1_000).unwrap_or(u64::MAX)
        )),
        Written::Text(text) => Self::parse(&text),
    },
    |value| value.written()
);
written!(
    Share,
    "A count (2) or a share of all (25%).",
    "share",
    "^[0-9]+%?$",
    "integer",
    4_294_967_295_u64,
    |written| match written {
        Written::Whole(count) => u32::try_from(count)
            .map(Self::Count)
            .map_err(|_| QuantityError::Share(count.to_string())),
        Written::Decimal(count) => Err(QuantityError::Share(count.to_string())),
        Written::Text(text) => Self::parse(&text),
    },
    |value| match value {
        Share::Count(count) => serde_json::Value::from(count),
        Share::Percent(percent) => serde_json::Value::from(format!("{percent}%")),
    }
);

impl<'de> Deserialize<'de> for Thousandths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        thousandths_of_number(number)
            .map(Self)
            .map_err(de::Error::custom)
    }
}

impl Serialize for Thousandths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number_of_thousandths(self.0).serialize(serializer)
    }
}

impl JsonSchema for Thousandths {
    fn schema_name() -> Cow<'static, str> {
        "Thousandths".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "A number with three decimals.", "type": "number", "minimum": 0, "maximum": 1_000_000_000 })
    }
}
