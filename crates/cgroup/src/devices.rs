//! Device files and what may be done with them.
//!
//! Pure: neither looks devices up nor makes them.

use std::collections::BTreeMap;
use std::fmt;

/// The number of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceNumber {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// Which kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceKind {
    /// Block devices.
    Block,
    /// Character devices.
    Character,
}

/// Which devices a rule is about; `None` is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceSelector {
    /// Block or character.
    pub kind: DeviceKind,
    /// Which driver.
    pub major: Option<u32>,
    /// Which of its devices.
    pub minor: Option<u32>,
}

/// What may be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access(u8);

impl Access {
    /// Make the file.
    pub const MAKE: Self = Self(1);
    /// Read.
    pub const READ: Self = Self(2);
    /// Write.
    pub const WRITE: Self = Self(4);
    /// All of it.
    pub const ALL: Self = Self(7);

    /// Both.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What `other` does not have.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether nothing may be done.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// As the kernel's virtual machine sees it.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (one, letter) in [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MAKE, "m")] {
            if self.0 & one.0 != 0 {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for DeviceSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::Block => 'b',
            DeviceKind::Character => 'c',
        };
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |n| n.to_string());
        write!(f, "{kind} {}:{}", number(self.major), number(self.minor))
    }
}

/// A device rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("device rule {rule:?}: {problem}; write it as `c 1:3 rwm`, with `*` for any number")]
pub struct DeviceRuleError {
    /// The rule.
    pub rule: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Everything that may be used; what is not named may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceList(BTreeMap<DeviceSelector, Access>);

/// What every container may use, as in Mesos.
const DEFAULT: &[&str] = &[
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 4:0 rwm",
    "c 4:1 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 10:200 rwm",
    "c 136:* rwm",
];

impl DeviceList {
    /// What every container may use, as in Mesos: null, zero, full, random, urandom, terminals, tun; and to make any
    /// device file.
    pub fn standard() -> Self {
        let mut list = Self::default();
        for rule in DEFAULT {
            list.allow_text(rule)
                .expect("the list is right, a test reads it");
        }
        list
    }

    /// Adds to what may be done.
    pub fn allow(&mut self, selector: DeviceSelector, access: Access) {
        if !access.is_empty() {
            let all = self.0.entry(selector).or_default();
            *all = all.with(access);
        }
    }

    /// Adds a rule in the kernel's words: `c 1:3 rwm`.
    pub fn allow_text(&mut self, rule: &str) -> Result<(), DeviceRuleError> {
        let (selector, access) = parse_rule(rule).map_err(|problem| DeviceRuleError {
            rule: rule.to_owned(),
            problem,
        })?;
        self.allow(selector, access);
        Ok(())
    }

    /// What may be used, in order.
    pub fn rules(&self) -> impl Iterator<Item = (DeviceSelector, Access)> + '_ {
        self.0.iter().map(|(selector, access)| (*selector, *access))
    }

    /// What `other` does not allow.
    pub(crate) fn beyond(&self, other: &Self) -> impl Iterator<Item = (DeviceSelector, Access)> {
        self.rules().filter_map(|(selector, access)| {
            let there = other.0.get(&selector).copied().unwrap_or_default();
            let more = access.without(there);
            (!more.is_empty()).then_some((selector, more))
        })
    }
}

fn parse_rule(rule: &str) -> Result<(DeviceSelector, Access), &'static str> {
    let mut words = rule.split(' ');
    let (Some(kind), Some(number), Some(access), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("it has not three words");
    };
    let kind = match kind {
        "c" => DeviceKind::Character,
        "b" => DeviceKind::Block,
        _ => return Err("its kind is neither `c` nor `b`"),
    };
    let Some((major, minor)) = number.split_once(':') else {
        return Err("its number has no colon");
    };
    let selector = DeviceSelector {
        kind,
        major: parse_number(major, 0xfff, "its major number is not 0 to 4095")?,
        minor: parse_number(minor, 0xf_ffff, "its minor number is not 0 to 1048575")?,
    };
    let mut all = Access::default();
    for letter in access.chars() {
        all = all.with(match letter {
            'r' => Access::READ,
            'w' => Access::WRITE,
            'm' => Access::MAKE,
            _ => return Err("its access has a letter other than r, w and m"),
        });
    }
    if all.is_empty() {
        return Err("it allows nothing");
    }
    Ok((selector, all))
}

/// `None` for `*`.
fn parse_number(text: &str, most: u32, problem: &'static str) -> Result<Option<u32>, &'static str> {
    if text == "*" {
        return Ok(None);
    }
    match text.parse() {
        Ok(number) if number <= most => Ok(Some(number)),
        _ => Err(problem),
    }
}
