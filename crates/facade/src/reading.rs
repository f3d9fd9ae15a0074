//! Reading JSON of other systems member by member. All faults are gathered, each with its path. Members that nobody asked
//! for are faults, too; where the other system drops them, only those that look like a slip of the pen are.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use mezz_spec::Object;
use mezz_spec::nearest::nearest;
use mezz_spec::quantity::{Size, Span};
use serde_json::{Map, Value};

/// The largest number of anything that is taken.
const LARGEST: f64 = 1e12;

/// What is said of a member that is like no known one.
const NO_MEMBER: &str = "there is no such member";

/// Something wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A JSON pointer.
    pub path: String,
    pub message: String,
}

/// What becomes of members that nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    #[default]
    Refused,
    /// Dropped as the other system does, since its clients rely on that; refused when nearly a known one.
    Dropped,
}

/// Faults found so far.
#[derive(Debug, Default)]
pub struct Faults {
    found: RefCell<Vec<Fault>>,
    unknown: Unknown,
}

impl Faults {
    /// For a document whose unknown members are dropped.
    pub fn dropping() -> Self {
        Self {
            unknown: Unknown::Dropped,
            ..Self::default()
        }
    }

    /// Notes a fault.
    pub fn tell(&self, path: impl Into<String>, message: impl Into<String>) {
        self.found.borrow_mut().push(Fault {
            path: path.into(),
            message: message.into(),
        });
    }

    /// What was found.
    pub fn into_list(self) -> Vec<Fault> {
        self.found.into_inner()
    }

    /// Those of what was found that are about members which a lenient reader drops.
    pub fn into_unknown(self) -> Vec<Fault> {
        let mut found = self.into_list();
        found.retain(|fault| fault.message == NO_MEMBER);
        found
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }
}

/// The members of a JSON object.
#[derive(Debug)]
pub struct Members<'a> {
    map: &'a Map<String, Value>,
    path: String,
    faults: &'a Faults,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Members<'a> {
    /// Of a value that has to be an object.
    pub fn new(value: &'a Value, path: impl Into<String>, faults: &'a Faults) -> Option<Self> {
        let path = path.into();
        let Value::Object(map) = value else {
            faults.tell(path, format!("an object is wanted, not {}", kind(value)));
            return None;
        };
        Some(Self {
            map,
            path,
            faults,
            asked: RefCell::default(),
        })
    }

    /// The path of a member.
    pub fn path(&self, key: &str) -> String {
        format!("{}/{key}", self.path)
    }

    /// Notes a fault of a member.
    pub fn tell(&self, key: &str, message: impl Into<String>) {
        self.faults.tell(self.path(key), message);
    }

    /// A member; `null` is none.
    pub fn value(&self, key: &'static str) -> Option<&'a Value> {
        self.asked.borrow_mut().insert(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Members that are known and mean nothing here.
    pub fn pass(&self, keys: &[&'static str]) {
        self.asked.borrow_mut().extend(keys);
    }

    fn wanted<T>(
        &self,
        key: &'static str,
        what: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let found = read(value);
        if found.is_none() {
            self.tell(key, format!("{what} is wanted, not {}", shown(value)));
        }
        found
    }

    /// A text.
    pub fn text(&self, key: &'static str) -> Option<&'a str> {
        self.wanted(key, "a text", Value::as_str)
    }

    /// A number from 0 on.
    pub fn number(&self, key: &'static str) -> Option<f64> {
        self.wanted(key, "a number from 0 on", |value| {
            value
                .as_f64()
                .filter(|number| (0.0..=LARGEST).contains(number))
        })
    }

    /// A whole number up to `most`; one written as `3.0` counts.
    pub fn whole(&self, key: &'static str, most: u64) -> Option<u64> {
        let what = format!("a whole number from 0 to {most}");
        self.wanted(key, &what, |value| {
            whole(value).filter(|number| *number <= most)
        })
    }

    /// A truth value.
    pub fn flag(&self, key: &'static str) -> Option<bool> {
        self.wanted(key, "true or false", Value::as_bool)
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let what = format!("one of {}", names.join(", "));
        self.wanted(key, &what, |value| {
            let text = value.as_str()?;
            words
                .iter()
                .find(|(name, _)| *name == text)
                .map(|(_, meaning)| *meaning)
        })
    }

    /// A list.
    pub fn list(&self, key: &'static str) -> Option<&'a [Value]> {
        self.wanted(key, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    /// A list of texts.
    pub fn texts(&self, key: &'static str) -> Option<Vec<String>> {
        let list = self.list(key)?;
        let mut texts = Vec::new();
        for (index, value) in list.iter().enumerate() {
            match value.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.faults.tell(
                    format!("{}/{index}", self.path(key)),
                    format!("a text is wanted, not {}", shown(value)),
                ),
            }
        }
        Some(texts)
    }

    /// An object.
    pub fn object(&self, key: &'static str) -> Option<Members<'a>> {
        Members::new(self.value(key)?, self.path(key), self.faults)
    }

    /// A list of objects; what is none is left out.
    pub fn objects(&self, key: &'static str) -> Option<Vec<Members<'a>>> {
        let list = self.list(key)?;
        let members = list.iter().enumerate().filter_map(|(index, value)| {
            Members::new(value, format!("{}/{index}", self.path(key)), self.faults)
        });
        Some(members.collect())
    }

    /// An object of texts; numbers and truth values are taken as they are written.
    pub fn pairs(&self, key: &'static str) -> Option<BTreeMap<String, String>> {
        let value = self.value(key)?;
        let Value::Object(map) = value else {
            self.tell(key, format!("an object is wanted, not {}", shown(value)));
            return None;
        };
        let mut pairs = BTreeMap::new();
        for (name, value) in map {
            match value {
                Value::String(text) => {
                    pairs.insert(name.clone(), text.clone());
                }
                Value::Number(_) | Value::Bool(_) => {
                    pairs.insert(name.clone(), value.to_string());
                }
                other => self.faults.tell(
                    format!("{}/{name}", self.path(key)),
                    format!("a text is wanted, not {}", shown(other)),
                ),
            }
        }
        Some(pairs)
    }

    /// That a member stands for something that is not built; none when it is absent or says nothing.
    pub fn not_built(&self, key: &'static str, what: &str) {
        let says_nothing = |value: &Value| match value {
            Value::Bool(flag) => !flag,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        };
        if self.value(key).is_some_and(|value| !says_nothing(value)) {
            self.tell(key, format!("{what} not built yet; leave it out"));
        }
    }

    /// Tells of members that nobody has asked for.
    pub fn finish(&self) {
        let asked = self.asked.borrow();
        let known: Vec<&str> = asked.iter().copied().collect();
        for (key, value) in self.map {
            if value.is_null() || asked.contains(key.as_str()) {
                continue;
            }
            let message = match nearest(key, known.iter().copied()) {
                Some(near) => format!("there is no such member; did you mean '{near}'?"),
                None if self.faults.unknown == Unknown::Dropped => continue,
                None => NO_MEMBER.to_owned(),
            };
            self.tell(key, message);
        }
    }
}

/// A whole number from 0 on, also when it is written with a point.
pub fn whole(value: &Value) -> Option<u64> {
    if let Some(number) = value.as_u64() {
        return Some(number);
    }
    let number = value.as_f64()?;
    if number.fract() != 0.0 || !(0.0..=LARGEST).contains(&number) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above"
    )]
    Some(number as u64)
}

/// Thousandths of a number from 0 on.
pub fn thousandths(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "numbers that are read are from 0 to 1e12"
    )]
    let thousandths = (number.clamp(0.0, LARGEST) * 1_000.0).round() as u64;
    thousandths
}

/// A size of so many MiB.
pub fn mebibytes(number: f64) -> Size {
    let kibibytes = u128::from(thousandths(number)) * 1_024 / 1_000;
    Size(u64::try_from(kibibytes).unwrap_or(u64::MAX))
}

/// A span of so many seconds.
pub fn seconds(number: f64) -> Span {
    Span(thousandths(number))
}

/// A number of thousandths, whole where it can be.
pub fn decimal(thousandths: u64) -> Value {
    if thousandths.is_multiple_of(1_000) {
        return (thousandths / 1_000).into();
    }
    (thousandths as f64 / 1_000.0).into()
}

/// What is wrong with an object that was made of a foreign document: a rule that it breaks, or an amount that nobody could
/// have written, which the store would not give back.
pub fn faults_of(object: &Object) -> Vec<mezz_spec::Fault> {
    let told = mezz_spec::rules::check(object);
    if !told.is_empty() {
        return told;
    }
    Object::from_value(object.to_value())
        .err()
        .unwrap_or_default()
}

/// Faults of a spec that was made of a foreign document, with paths from the container or the spec on.
pub fn of_spec(faults: &[mezz_spec::Fault], below: &str) -> Vec<Fault> {
    let told = |fault: &mezz_spec::Fault| {
        let message = match &fault.hint {
            Some(hint) => format!("{}; {hint}", fault.message),
            None => fault.message.clone(),
        };
        let path = fault
            .path
            .strip_prefix("/spec/template/containers/0")
            .or_else(|| fault.path.strip_prefix("/spec"))
            .unwrap_or(&fault.path);
        Fault {
            path: format!("{below}{path}"),
            message,
        }
    };
    faults.iter().map(told).collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A short value itself, of a long one what it is.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= 40 {
        text
    } else {
        kind(value).to_owned()
    }
}
