//! Reading values into fields: which JSON kinds each field type takes, and what is missing afterwards.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use super::duration;
use super::scan::{Fail, Number, Scanner, Token, join, parse_number};
use super::write::Writer;
use crate::v1;
use crate::well_known;
use crate::wire::Required;

/// Standard alphabet; absent padding is taken too.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The fields of one message, as generated.
pub(super) trait Fields {
    /// Its required fields, in the order of the bits that `read` returns.
    fn required(&self) -> &'static [Required];
    /// Writes its fields in declaration order.
    fn write(&self, writer: &mut Writer<'_>);
    /// Reads the value of one field that is not null; returns the bit of a required field.
    fn read(&mut self, key: &str, reader: &mut Reader<'_>) -> Result<u64, Fail>;
}

impl<T: Fields + ?Sized> Fields for Box<T> {
    fn required(&self) -> &'static [Required] {
        (**self).required()
    }
    fn write(&self, writer: &mut Writer<'_>) {
        (**self).write(writer);
    }
    fn read(&mut self, key: &str, reader: &mut Reader<'_>) -> Result<u64, Fail> {
        (**self).read(key, reader)
    }
}

/// The names of an enum, both ways.
#[derive(Debug)]
pub(super) struct EnumTable {
    /// The name of a number.
    pub(super) name: fn(i32) -> Option<&'static str>,
    /// The number of a name.
    pub(super) number: fn(&str) -> Option<i32>,
}

/// Reads JSON text into messages.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    scanner: Scanner<'a>,
    missing: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            scanner: Scanner::new(text),
            missing: Vec::new(),
        }
    }

    /// The paths of required fields that were absent.
    pub(super) fn into_missing(self) -> Vec<String> {
        self.missing
    }

    /// Reads the whole text as one message.
    pub(super) fn document(&mut self, message: &mut dyn Fields) -> Result<(), Fail> {
        self.message(message)?;
        self.scanner.end()
    }

    pub(super) fn skip(&mut self) -> Result<(), Fail> {
        self.scanner.skip_value()
    }

    /// True, and taken, when the next value is null.
    fn is_null(&mut self) -> Result<bool, Fail> {
        let null = self.scanner.peek()? == Token::Null;
        if null {
            self.scanner.null()?;
        }
        Ok(null)
    }

    fn unexpected<T>(&mut self, wanted: &str) -> Result<T, Fail> {
        let found = self.scanner.peek()?.words();
        Err(Fail::mismatch(format!("expected {wanted}, found {found}")))
    }

    pub(super) fn message(&mut self, message: &mut dyn Fields) -> Result<(), Fail> {
        if self.scanner.peek()? != Token::Object {
            return self.unexpected("an object");
        }
        let start = self.missing.len();
        let mut seen = 0;
        let mut member = self.scanner.open(b'{', b'}')?;
        while member {
            let key = self.scanner.key()?;
            if !self.is_null()? {
                seen |= self.within(
                    || key.clone().into_owned(),
                    |reader| message.read(&key, reader),
                )?;
            }
            member = self.scanner.more(b'}')?;
        }
        let own = message
            .required()
            .iter()
            .enumerate()
            .filter(|(bit, _)| seen & (1 << bit) == 0);
        let own: Vec<String> = own.map(|(_, field)| field.name.to_owned()).collect();
        self.missing.splice(start..start, own);
        Ok(())
    }

    /// Runs a step and names this part of the path in whatever it complains about.
    fn within<T>(
        &mut self,
        segment: impl Fn() -> String,
        step: impl FnOnce(&mut Self) -> Result<T, Fail>,
    ) -> Result<T, Fail> {
        let start = self.missing.len();
        let result = step(self).map_err(|fail| fail.within(&segment));
        for path in &mut self.missing[start..] {
            *path = join(&segment(), path);
        }
        result
    }

    /// Reads an array, or a single value in its place; null elements are left out.
    fn elements(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Fail>,
    ) -> Result<(), Fail> {
        if self.scanner.peek()? != Token::Array {
            return element(self);
        }
        let mut index = 0_usize;
        let mut more = self.scanner.open(b'[', b']')?;
        while more {
            if !self.is_null()? {
                self.within(|| format!("[{index}]"), &mut element)?;
            }
            index += 1;
            more = self.scanner.more(b']')?;
        }
        Ok(())
    }

    /// Reads an object as a map; null entries are left out.
    fn entries(
        &mut self,
        mut entry: impl FnMut(&mut Self, String) -> Result<(), Fail>,
    ) -> Result<(), Fail> {
        if self.scanner.peek()? != Token::Object {
            return self.unexpected("an object");
        }
        let mut more = self.scanner.open(b'{', b'}')?;
        while more {
            let key = self.scanner.key()?.into_owned();
            if !self.is_null()? {
                self.within(|| format!("[{key:?}]"), |reader| entry(reader, key.clone()))?;
            }
            more = self.scanner.more(b'}')?;
        }
        Ok(())
    }

    fn text(&mut self, wanted: &str) -> Result<Cow<'a, str>, Fail> {
        match self.scanner.peek()? {
            Token::String => self.scanner.string(),
            _ => self.unexpected(wanted),
        }
    }

    pub(super) fn string(&mut self) -> Result<String, Fail> {
        self.text("a string").map(Cow::into_owned)
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, Fail> {
        let text = self.text("a base64 string")?;
        match BASE64.decode(text.as_bytes()) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(Fail::mismatch(format!("not base64: {error}"))),
        }
    }

    pub(super) fn boolean(&mut self) -> Result<bool, Fail> {
        match self.scanner.peek()? {
            Token::Boolean => self.scanner.boolean(),
            Token::String => match &*self.scanner.string()? {
                "true" => Ok(true),
                "false" => Ok(false),
                other => Err(Fail::mismatch(format!(
                    "expected a boolean, found the string {other:?}"
                ))),
            },
            _ => self.unexpected("a boolean"),
        }
    }

    fn number(&mut self) -> Result<Number, Fail> {
        match self.scanner.peek()? {
            Token::Number => self.scanner.number(),
            Token::String => {
                let text = self.scanner.string()?;
                match &*text {
                    "Infinity" => Ok(Number::Double(f64::INFINITY)),
                    "-Infinity" => Ok(Number::Double(f64::NEG_INFINITY)),
                    other => parse_number(other).ok_or_else(|| {
                        Fail::mismatch(format!("expected a number, found the string {other:?}"))
                    }),
                }
            }
            _ => self.unexpected("a number"),
        }
    }

    pub(super) fn double(&mut self) -> Result<f64, Fail> {
        match self.number()? {
            Number::Double(value) if value.is_nan() => Err(Fail::mismatch("NaN is not accepted")),
            Number::Double(value) => Ok(value),
            Number::Signed(value) => Ok(value as f64),
            Number::Unsigned(value) => Ok(value as f64),
        }
    }

    /// A whole number; a fraction is cut off.
    fn integer<T: TryFrom<i128>>(&mut self, kind: &str) -> Result<T, Fail> {
        let number = self.number()?;
        let (shown, whole) = match number {
            Number::Signed(value) => (value.to_string(), Some(i128::from(value))),
            Number::Unsigned(value) => (value.to_string(), Some(i128::from(value))),
            Number::Double(value) => (value.to_string(), truncated(value)),
        };
        whole
            .and_then(|whole| T::try_from(whole).ok())
            .ok_or_else(|| Fail::mismatch(format!("{shown} is out of range for {kind}")))
    }

    pub(super) fn int32(&mut self) -> Result<i32, Fail> {
        self.integer("int32")
    }

    pub(super) fn int64(&mut self) -> Result<i64, Fail> {
        self.integer("int64")
    }

    pub(super) fn uint32(&mut self) -> Result<u32, Fail> {
        self.integer("uint32")
    }

    pub(super) fn uint64(&mut self) -> Result<u64, Fail> {
        self.integer("uint64")
    }

    /// An enum by its name; a name that this version does not know counts as unset.
    pub(super) fn enumeration(&mut self, table: &EnumTable) -> Result<Option<i32>, Fail> {
        let name = self.text("the name of an enum value")?;
        Ok((table.number)(&name))
    }

    pub(super) fn required_enumeration(&mut self, table: &EnumTable) -> Result<i32, Fail> {
        let name = self.text("the name of an enum value")?;
        (table.number)(&name).ok_or_else(|| Fail::mismatch(format!("unknown enum value {name:?}")))
    }

    pub(super) fn strings(&mut self, target: &mut Vec<String>) -> Result<(), Fail> {
        target.clear();
        self.elements(|reader| {
            target.push(reader.string()?);
            Ok(())
        })
    }

    pub(super) fn uints(&mut self, target: &mut Vec<u32>) -> Result<(), Fail> {
        target.clear();
        self.elements(|reader| {
            target.push(reader.uint32()?);
            Ok(())
        })
    }

    pub(super) fn enumerations(
        &mut self,
        target: &mut Vec<i32>,
        table: &EnumTable,
    ) -> Result<(), Fail> {
        target.clear();
        self.elements(|reader| {
            target.extend(reader.enumeration(table)?);
            Ok(())
        })
    }

    pub(super) fn messages<T: Fields + Default>(
        &mut self,
        target: &mut Vec<T>,
    ) -> Result<(), Fail> {
        target.clear();
        self.elements(|reader| {
            let mut message = T::default();
            reader.message(&mut message)?;
            target.push(message);
            Ok(())
        })
    }

    pub(super) fn string_map(&mut self, target: &mut BTreeMap<String, String>) -> Result<(), Fail> {
        target.clear();
        self.entries(|reader, key| {
            let value = reader.string()?;
            target.insert(key, value);
            Ok(())
        })
    }

    pub(super) fn message_map<T: Fields + Default>(
        &mut self,
        target: &mut BTreeMap<String, T>,
    ) -> Result<(), Fail> {
        target.clear();
        self.entries(|reader, key| {
            let mut message = T::default();
            reader.message(&mut message)?;
            target.insert(key, message);
            Ok(())
        })
    }

    /// A map of scalars; a bare number in the place of the scalar's object is taken too.
    pub(super) fn scalar_map(
        &mut self,
        target: &mut BTreeMap<String, v1::value::Scalar>,
    ) -> Result<(), Fail> {
        target.clear();
        self.entries(|reader, key| {
            let mut scalar = v1::value::Scalar::default();
            match reader.scanner.peek()? {
                Token::Number | Token::String => scalar.value = reader.double()?,
                _ => reader.message(&mut scalar)?,
            }
            target.insert(key, scalar);
            Ok(())
        })
    }

    /// A duration as an object, or as text such as `10mins`.
    pub(super) fn duration(&mut self, target: &mut well_known::Duration) -> Result<(), Fail> {
        if self.scanner.peek()? != Token::String {
            return self.message(target);
        }
        let text = self.scanner.string()?;
        *target = duration::parse(&text).ok_or_else(|| {
            Fail::mismatch(format!(
                "expected a duration such as \"10mins\", found {text:?}"
            ))
        })?;
        Ok(())
    }
}

/// The whole part of a double, unless it is infinite or beyond any integer field.
#[allow(clippy::cast_possible_truncation)] // The range was checked.
fn truncated(value: f64) -> Option<i128> {
    (value.abs() < 1e30).then(|| value.trunc() as i128)
}
