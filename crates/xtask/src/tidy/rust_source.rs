//! A Rust file with its comments and literals told apart from its code.

use std::path::{Path, PathBuf};

/// What a stretch of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

/// A Rust file. The three views have the same length and line breaks as the text; what does not
/// belong to a view is blank in it.
#[derive(Debug)]
pub(super) struct RustSource {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// Without comments and without the contents of literals.
    pub(super) code: String,
    /// Comments only.
    pub(super) comments: String,
    /// Contents of literals only, without their quotes.
    pub(super) literals: String,
}

impl RustSource {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        let parts = classify(text);
        let view = |wanted: Part| blank(text, |i| parts[i] == wanted);
        Self {
            path: path.to_owned(),
            code: view(Part::Code),
            comments: view(Part::Comment),
            literals: view(Part::Literal),
            text: text.to_owned(),
        }
    }

    /// The code without `#[cfg(test)]` modules.
    pub(super) fn shipped_code(&self) -> String {
        let mut code = self.code.clone().into_bytes();
        let mut from = 0;
        while let Some(at) = self.code[from..].find("#[cfg(test)]").map(|at| at + from) {
            let end = end_of_item(&self.code, at);
            for byte in &mut code[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
            from = end;
        }
        String::from_utf8(code).unwrap_or_default()
    }
}

/// The end of the item that begins at `at`: its closing brace, or its semicolon.
pub(super) fn end_of_item(code: &str, at: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.as_bytes()[at..].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return at + offset + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return at + offset + 1,
            _ => {}
        }
    }
    code.len()
}

/// Keeps the bytes that `keep` wants and all line breaks.
fn blank(text: &str, keep: impl Fn(usize) -> bool) -> String {
    let bytes = text.bytes().enumerate();
    let kept = bytes.map(|(i, byte)| {
        if byte == b'\n' || (keep(i) && byte.is_ascii()) {
            byte
        } else {
            b' '
        }
    });
    kept.map(char::from).collect()
}

fn classify(text: &str) -> Vec<Part> {
    let bytes = text.as_bytes();
    let mut parts = vec![Part::Code; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let (part, from, to, next) = token(bytes, at);
        for slot in &mut parts[from..to] {
            *slot = part;
        }
        at = next;
    }
    parts
}

/// The comment or literal at `at` as (part, start, end, next), or one byte of code.
fn token(bytes: &[u8], at: usize) -> (Part, usize, usize, usize) {
    let rest = &bytes[at..];
    let whole = |part, length: usize| (part, at, at + length, at + length);
    if rest.starts_with(b"//") {
        return whole(
            Part::Comment,
            rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
        );
    }
    if rest.starts_with(b"/*") {
        return whole(Part::Comment, block_comment(rest));
    }
    let after_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest[0] == b'"' {
        let length = quoted(rest, b'"');
        return (
            Part::Literal,
            at + 1,
            (at + length).saturating_sub(1).max(at + 1),
            at + length,
        );
    }
    if !after_word && let Some((hashes, opening)) = raw_opening(rest) {
        let closing = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
        let body = &rest[opening..];
        let length = body
            .windows(closing.len())
            .position(|w| w == closing)
            .unwrap_or(body.len());
        let end = (at + opening + length + closing.len()).min(bytes.len());
        return (Part::Literal, at + opening, at + opening + length, end);
    }
    if rest[0] == b'\'' && is_char(rest) {
        let length = quoted(rest, b'\'');
        return (
            Part::Literal,
            at + 1,
            (at + length).saturating_sub(1).max(at + 1),
            at + length,
        );
    }
    whole(Part::Code, 1)
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of a quoted literal with both of its quotes.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The number of hashes and the length of `r##"`, `br"` and the like.
fn raw_opening(rest: &[u8]) -> Option<(usize, usize)> {
    let prefix = if rest.starts_with(b"r") {
        1
    } else if rest.starts_with(b"br") || rest.starts_with(b"cr") {
        2
    } else {
        return None;
    };
    let hashes = rest[prefix..].iter().take_while(|b| **b == b'#').count();
    (rest.get(prefix + hashes) == Some(&b'"')).then_some((hashes, prefix + hashes + 1))
}

/// Whether the quote opens a character rather than a lifetime.
fn is_char(rest: &[u8]) -> bool {
    match rest.get(1) {
        Some(b'\\') => true,
        Some(byte) if byte.is_ascii() => rest.get(2) == Some(&b'\''),
        Some(_) => true,
        None => false,
    }
}

/// The number of the line that holds byte `at`.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].split(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> RustSource {
        RustSource::new(Path::new("a.rs"), text)
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        let s = source(
            "let a = \"x // y\"; // tail \"q\"\nlet b = 'c'; /* in /* nested */ side */ let c = r#\"raw \" end\"#;",
        );
        assert!(
            s.code.contains("let a =") && s.code.contains("let b =") && s.code.contains("let c =")
        );
        for hidden in ["x // y", "tail", "nested", "raw"] {
            assert!(!s.code.contains(hidden), "{hidden} in {}", s.code);
        }
        assert!(s.comments.contains("tail") && s.comments.contains("side"));
        assert!(s.literals.contains("x // y") && s.literals.contains("raw \" end"));
        assert_eq!(s.code.len(), s.text.len());
    }

    #[test]
    fn lifetimes_are_no_characters() {
        let s = source("fn f<'a>(x: &'a str) -> &'a str { x } // done");
        assert!(s.code.contains("&'a str { x }"));
    }

    #[test]
    fn test_modules_are_not_shipped() {
        let s = source("fn a() {}\n#[cfg(test)]\nmod tests { fn b() { { } } }\nfn c() {}");
        let shipped = s.shipped_code();
        assert!(
            shipped.contains("fn a()") && shipped.contains("fn c()") && !shipped.contains("fn b()")
        );
    }
}
