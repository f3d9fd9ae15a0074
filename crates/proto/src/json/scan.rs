//! The tokens of JSON text: where one begins, what it holds, and whether the text is well formed.
//!
//! It must never know about messages; it reports positions, and leaves wording to its callers.

use std::borrow::Cow;

/// How deep objects and arrays may be nested.
const DEPTH_LIMIT: usize = 200;

/// Why reading stopped.
#[derive(Debug)]
pub(super) enum Fail {
    /// The text is not JSON at this byte.
    Syntax(usize),
    /// A value does not fit its field.
    Mismatch(Box<Mismatch>),
}

/// A value that does not fit its field, with the path to it, innermost part first.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub(super) problem: String,
    segments: Vec<String>,
}

impl Mismatch {
    /// The path from the outermost field inwards.
    pub(super) fn path(&self) -> String {
        self.segments
            .iter()
            .rev()
            .fold(String::new(), |path, segment| join(&path, segment))
    }
}

/// Puts two parts of a path together: `a` and `b` to `a.b`, `a` and `[0]` to `a[0]`.
pub(super) fn join(outer: &str, inner: &str) -> String {
    let dot = if outer.is_empty() || inner.is_empty() || inner.starts_with('[') {
        ""
    } else {
        "."
    };
    format!("{outer}{dot}{inner}")
}

impl Fail {
    pub(super) fn mismatch(problem: impl Into<String>) -> Self {
        Self::Mismatch(Box::new(Mismatch {
            problem: problem.into(),
            segments: Vec::new(),
        }))
    }

    /// Says in which field, element or entry it happened.
    pub(super) fn within(mut self, segment: impl FnOnce() -> String) -> Self {
        if let Self::Mismatch(mismatch) = &mut self {
            mismatch.segments.push(segment());
        }
        self
    }
}

/// A number as it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Signed(i64),
    Unsigned(u64),
    Double(f64),
}

/// The kind of the next value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

impl Token {
    /// The kind in words, with its article.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "null",
        }
    }
}

/// A position in JSON text.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    position: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            position: 0,
            depth: 0,
        }
    }

    /// Checks that the whole text is one JSON value.
    pub(super) fn validate(mut self) -> Result<(), Fail> {
        self.skip_value()?;
        self.end()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn syntax<T>(&self) -> Result<T, Fail> {
        Err(Fail::Syntax(self.position))
    }

    fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    /// Takes this byte if it comes next, after white space.
    pub(super) fn accept(&mut self, wanted: u8) -> bool {
        self.space();
        let found = self.byte() == Some(wanted);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Fail> {
        if self.accept(wanted) {
            Ok(())
        } else {
            self.syntax()
        }
    }

    /// Checks that nothing but white space follows.
    pub(super) fn end(&mut self) -> Result<(), Fail> {
        self.space();
        if self.byte().is_none() {
            Ok(())
        } else {
            self.syntax()
        }
    }

    /// The kind of the value that comes next.
    pub(super) fn peek(&mut self) -> Result<Token, Fail> {
        self.space();
        match self.byte() {
            Some(b'{') => Ok(Token::Object),
            Some(b'[') => Ok(Token::Array),
            Some(b'"') => Ok(Token::String),
            Some(b't' | b'f') => Ok(Token::Boolean),
            Some(b'n') => Ok(Token::Null),
            Some(b'-' | b'0'..=b'9' | b'I' | b'N') => Ok(Token::Number),
            _ => self.syntax(),
        }
    }

    /// Enters an object or array; true when it has a first member.
    pub(super) fn open(&mut self, opening: u8, closing: u8) -> Result<bool, Fail> {
        self.expect(opening)?;
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return self.syntax();
        }
        let empty = self.accept(closing);
        self.depth -= usize::from(empty);
        Ok(!empty)
    }

    /// After a member: true when another follows, false when the object or array ended.
    pub(super) fn more(&mut self, closing: u8) -> Result<bool, Fail> {
        if self.accept(b',') {
            return Ok(true);
        }
        self.expect(closing)?;
        self.depth -= 1;
        Ok(false)
    }

    /// The name of an object's member and its colon.
    pub(super) fn key(&mut self) -> Result<Cow<'a, str>, Fail> {
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    fn word(&mut self, word: &str) -> Result<(), Fail> {
        for byte in word.bytes() {
            if self.byte() != Some(byte) {
                return self.syntax();
            }
            self.position += 1;
        }
        Ok(())
    }

    pub(super) fn null(&mut self) -> Result<(), Fail> {
        self.space();
        self.word("null")
    }

    pub(super) fn boolean(&mut self) -> Result<bool, Fail> {
        self.space();
        let value = self.byte() == Some(b't');
        self.word(if value { "true" } else { "false" })?;
        Ok(value)
    }

    /// A number; `Infinity`, `-Infinity` and `NaN` count as such, without quotes.
    pub(super) fn number(&mut self) -> Result<Number, Fail> {
        self.space();
        let start = self.position;
        let rest = &self.text[start..];
        for (word, value) in [
            ("Infinity", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("NaN", f64::NAN),
        ] {
            if rest.starts_with(word) {
                self.position += word.len();
                return Ok(Number::Double(value));
            }
        }
        while matches!(
            self.byte(),
            Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
        ) {
            self.position += 1;
        }
        parse_number(&self.text[start..self.position]).ok_or(Fail::Syntax(start))
    }

    /// A string, borrowed from the text when it has no escapes.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Fail> {
        self.expect(b'"')?;
        let start = self.position;
        loop {
            match self.byte() {
                Some(b'"') => {
                    let plain = &self.text[start..self.position];
                    self.position += 1;
                    return Ok(Cow::Borrowed(plain));
                }
                Some(b'\\') => return self.escaped(start).map(Cow::Owned),
                Some(0..0x20) | None => return self.syntax(),
                Some(_) => self.position += 1,
            }
        }
    }

    /// The rest of a string from its first escape on.
    fn escaped(&mut self, start: usize) -> Result<String, Fail> {
        let mut value = self.text[start..self.position].to_owned();
        loop {
            let plain = self.position;
            while !matches!(self.byte(), Some(b'"' | b'\\' | 0..0x20) | None) {
                self.position += 1;
            }
            value.push_str(&self.text[plain..self.position]);
            match self.byte() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(value);
                }
                Some(b'\\') => {
                    self.position += 1;
                    value.push(self.escape()?);
                }
                _ => return self.syntax(),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fail> {
        let plain = match self.byte() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.position += 1;
                return self.code_point();
            }
            _ => return self.syntax(),
        };
        self.position += 1;
        Ok(plain)
    }

    fn code_point(&mut self) -> Result<char, Fail> {
        let start = self.position;
        let first = self.four_digits()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            self.word("\\u")?;
            let second = self.four_digits()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(Fail::Syntax(start));
            }
            0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(code).ok_or(Fail::Syntax(start))
    }

    fn four_digits(&mut self) -> Result<u32, Fail> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.byte().and_then(|byte| char::from(byte).to_digit(16)) else {
                return self.syntax();
            };
            code = code * 16 + digit;
            self.position += 1;
        }
        Ok(code)
    }

    /// Passes over one value of any kind.
    pub(super) fn skip_value(&mut self) -> Result<(), Fail> {
        match self.peek()? {
            Token::Object => {
                let mut member = self.open(b'{', b'}')?;
                while member {
                    self.key()?;
                    self.skip_value()?;
                    member = self.more(b'}')?;
                }
                Ok(())
            }
            Token::Array => {
                let mut element = self.open(b'[', b']')?;
                while element {
                    self.skip_value()?;
                    element = self.more(b']')?;
                }
                Ok(())
            }
            Token::String => self.string().map(drop),
            Token::Number => self.number().map(drop),
            Token::Boolean => self.boolean().map(drop),
            Token::Null => self.null(),
        }
    }
}

/// The number that a text is as a whole.
pub(super) fn parse_number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return None;
    }
    if let Ok(value) = text.parse() {
        return Some(Number::Signed(value));
    }
    if let Ok(value) = text.parse() {
        return Some(Number::Unsigned(value));
    }
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(Number::Double(value))
}
