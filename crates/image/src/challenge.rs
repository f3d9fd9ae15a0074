//! `WWW-Authenticate`: what a registry wants to see before it answers.

/// One way to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A token from the server at `realm`.
    Bearer {
        /// An address.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
        /// What it allows; a registry may ask for more than was thought.
        scope: Option<String>,
    },
    /// Name and password with every request.
    Basic,
}

/// The challenges of a header that we can answer, in its order.
pub fn parse(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = header.trim();
    while !rest.is_empty() {
        let (scheme, after) = split_word(rest);
        let (parameters, after) = parameters(after);
        let parameter = |name: &str| {
            let mut named = parameters
                .iter()
                .filter(|(key, _)| key.eq_ignore_ascii_case(name));
            named.next().map(|(_, value)| value.clone())
        };
        if scheme.eq_ignore_ascii_case("basic") {
            found.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = parameter("realm")
        {
            found.push(Challenge::Bearer {
                realm,
                service: parameter("service"),
                scope: parameter("scope").filter(|scope| !scope.is_empty()),
            });
        }
        // Whatever was not understood must not be looked at for ever.
        rest = if after.len() < rest.len() { after } else { "" };
    }
    found
}

fn split_word(text: &str) -> (&str, &str) {
    let end = text.find([' ', ',', '\t']).unwrap_or(text.len());
    (
        &text[..end],
        text[end..].trim_start_matches([' ', ',', '\t']),
    )
}

/// `a=b, c="d"` up to the next scheme, which is a word without `=`.
fn parameters(mut text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches([' ', ',', '\t']);
        let end = text.find(['=', ' ', ',', '\t']).unwrap_or(text.len());
        let Some(value) = text[end..].strip_prefix('=') else {
            return (found, text);
        };
        let name = text[..end].to_owned();
        let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
            unquote(quoted)
        } else {
            let end = value.find([' ', ',', '\t']).unwrap_or(value.len());
            (value[..end].to_owned(), &value[end..])
        };
        found.push((name, value));
        text = after;
    }
}

fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn challenges_of_real_registries_are_read() {
        for (header, found) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/busybox:pull""#,
                vec![bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/busybox:pull"),
                )],
            ),
            (r#"Basic realm="Registry Realm""#, vec![Challenge::Basic]),
            (
                r#"bearer service=x , realm = "no", realm=https://a/b?c=d"#,
                vec![],
            ),
            (
                r#"BASIC realm="a, b", Bearer realm="c",scope="pull,push""#,
                vec![Challenge::Basic, bearer("c", None, Some("pull,push"))],
            ),
            (r#"Bearer realm="a\"b""#, vec![bearer("a\"b", None, None)]),
            (
                r#"Digest qop="auth", nonce="x", Basic realm="y""#,
                vec![Challenge::Basic],
            ),
            ("Negotiate", vec![]),
            ("Negotiate abc==, Basic", vec![Challenge::Basic]),
            ("Bearer", vec![]),
            ("", vec![]),
            (",,, ==\"", vec![]),
        ] {
            assert_eq!(parse(header), found, "{header}");
        }
    }
}
