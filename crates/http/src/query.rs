//! Percent-decoding, query strings and form bodies.

/// Decodes `%XX`; a broken escape is left as it is. Bytes that are not UTF-8 become U+FFFD.
pub fn percent_decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escape = (bytes[i] == b'%').then(|| {
            let high = hex(*bytes.get(i + 1)?)?;
            let low = hex(*bytes.get(i + 2)?)?;
            Some(high << 4 | low)
        });
        if let Some(Some(byte)) = escape {
            out.push(byte);
            i += 3;
        } else {
            out.push(bytes[i]);
            i += 1;
        }
    }
    String::from_utf8(out)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Encodes everything but unreserved characters and `/`.
pub fn percent_encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    out
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// The pairs of a query string or of a form body, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Parses `a=b&c=d`; `+` is a space.
    pub fn parse(text: &str) -> Self {
        let decode = |part: &str| percent_decode(&part.replace('+', " "));
        Self(
            text.split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(key), decode(value))
                })
                .collect(),
        )
    }

    /// The last value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Every value of a key.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// All pairs.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// A number; the error names the key.
    pub fn number<N: std::str::FromStr>(&self, key: &str) -> Result<Option<N>, String> {
        self.get(key)
            .map(|text| {
                text.parse()
                    .map_err(|_| format!("Failed to parse '{key}': '{text}' is not a number"))
            })
            .transpose()
    }

    /// A boolean: `true`, `1` or empty, `false` or `0`; the error names the key.
    pub fn flag(&self, key: &str) -> Result<bool, String> {
        match self.get(key) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1" | "") => Ok(true),
            Some(text) => Err(format!(
                "Failed to parse '{key}': '{text}' is neither true nor false"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("path=%2Fa%20b&x=1+2&x=3&flag&bad=%zz");
        assert_eq!(query.get("path"), Some("/a b"));
        assert_eq!(query.all("x").collect::<Vec<_>>(), ["1 2", "3"]);
        assert_eq!(query.flag("flag"), Ok(true));
        assert_eq!(query.get("bad"), Some("%zz"));
        assert!(query.number::<u32>("bad").unwrap_err().contains("'bad'"));
    }

    #[test]
    fn encoding_and_decoding_are_inverse() {
        let text = "/a b/ü%&=?";
        assert_eq!(percent_decode(&percent_encode(text)), text);
    }
}
