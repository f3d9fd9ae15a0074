//! A request as facades see it: decoded by the shell, without headers that mean nothing to them.

use serde_json::Value;

use crate::answer::Answer;

/// A request. The path is what follows the facade's own base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// In capitals.
    pub method: String,
    /// Percent-decoded; doubled slashes are kept.
    pub path: String,
    /// In order, decoded.
    pub query: Vec<(String, String)>,
    /// The header `Accept`.
    pub accept: Option<String>,
    /// Address of the client, as events tell it.
    pub client: String,
    pub body: Vec<u8>,
}

impl Request {
    /// The parts of the path, empty ones left out: clients paste ids with their first slash.
    pub fn parts(&self) -> Vec<&str> {
        self.path
            .split('/')
            .filter(|part| !part.is_empty())
            .collect()
    }

    /// The last value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A flag as clients of any language write it: `true`, `True`, `1`, or nothing at all behind its name.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, Answer> {
        let Some(text) = self.parameter(name) else {
            return Ok(default);
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(Answer::message(
                400,
                format!("{name}: '{text}' is neither true nor false"),
            )),
        }
    }

    /// Whether the client would rather have this media type than any other.
    pub fn accepts(&self, media_type: &str) -> bool {
        self.accept
            .as_deref()
            .is_some_and(|accept| accept.split(',').any(|one| is_type(one, media_type)))
    }

    /// The body as JSON; none when there is no body.
    pub fn json(&self) -> Result<Option<Value>, serde_json::Error> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        serde_json::from_slice(&self.body).map(Some)
    }
}

fn is_type(given: &str, wanted: &str) -> bool {
    let given = given.split(';').next().unwrap_or_default().trim();
    given.eq_ignore_ascii_case(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_any_language_writes_them() {
        let mut request = Request::default();
        for (text, expected) in [("True", true), ("true", true), ("", true), ("False", false)] {
            request.query = vec![("force".into(), text.into())];
            assert_eq!(request.flag("force", false).unwrap(), expected);
        }
        request.query = vec![("force".into(), "yes".into())];
        assert_eq!(request.flag("force", false).unwrap_err().status, 400);
        assert!(request.flag("wipe", true).unwrap());
    }

    #[test]
    fn doubled_and_trailing_slashes_mean_nothing() {
        let request = Request {
            path: "/v2/apps//a/b/".into(),
            ..Request::default()
        };
        assert_eq!(request.parts(), ["v2", "apps", "a", "b"]);
    }
}
