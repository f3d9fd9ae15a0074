//! The text form of values that flags use: `4`, `[1-5,8-9]`, `{a,b}`, `any text`.

use crate::ranges::{Range, Ranges};
use thiserror::Error;

/// A value written as text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ValueText {
    Scalar(f64),
    Ranges(Ranges),
    Set(Vec<String>),
    Text(String),
}

/// Why a text is no value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ValueTextError {
    #[error("Expecting non-empty string")]
    Empty,
    #[error("Mismatched brackets")]
    Brackets,
    #[error("Expecting one or more \"ranges\"")]
    RangePairs,
    #[error("Expecting non-negative integers in '{0}'")]
    RangeNumber(String),
    #[error("Unexpected '{0}' found")]
    Unexpected(char),
}

/// Reads a value; spaces mean nothing, and what is no number is text.
pub(crate) fn parse_value(text: &str) -> Result<ValueText, ValueTextError> {
    let compact: String = text.chars().filter(|c| *c != ' ').collect();
    if compact.is_empty() {
        return Err(ValueTextError::Empty);
    }
    if [('{', '}'), ('[', ']'), ('(', ')')]
        .into_iter()
        .any(|pair| !is_balanced(&compact, pair))
    {
        return Err(ValueTextError::Brackets);
    }
    match (compact.find('['), compact.find('{')) {
        (Some(0), _) => parse_ranges(&compact),
        (Some(_), _) => Err(ValueTextError::Unexpected('[')),
        (None, Some(0)) => Ok(ValueText::Set(tokens(&compact, &['{', '}', ',', '\n']))),
        (None, Some(_)) => Err(ValueTextError::Unexpected('{')),
        (None, None) => Ok(parse_plain(compact)),
    }
}

fn parse_plain(text: String) -> ValueText {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => ValueText::Scalar(value),
        _ => ValueText::Text(text),
    }
}

fn parse_ranges(text: &str) -> Result<ValueText, ValueTextError> {
    let tokens = tokens(text, &['[', ']', '-', ',', '\n']);
    if !tokens.len().is_multiple_of(2) {
        return Err(ValueTextError::RangePairs);
    }
    let number = |token: &String| {
        token
            .parse::<u64>()
            .map_err(|_| ValueTextError::RangeNumber(token.clone()))
    };
    let ranges: Result<Ranges, _> = tokens
        .chunks_exact(2)
        .map(|pair| {
            Ok(Range {
                begin: number(&pair[0])?,
                end: number(&pair[1])?,
            })
        })
        .collect();
    ranges.map(ValueText::Ranges)
}

fn tokens(text: &str, separators: &[char]) -> Vec<String> {
    text.split(separators)
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
        .collect()
}

fn is_balanced(text: &str, (open, close): (char, char)) -> bool {
    let mut depth = 0usize;
    for c in text.chars() {
        if c == open {
            depth += 1;
        } else if c == close {
            let Some(less) = depth.checked_sub(1) else {
                return false;
            };
            depth = less;
        }
    }
    depth == 0
}
