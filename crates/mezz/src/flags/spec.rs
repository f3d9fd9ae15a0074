//! What one daemon flag is: its name, kind, default and whether this version honours it. The tables of the daemons
//! are made of these; the layers read them.

/// What values a flag takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A file or folder.
    Path,
    /// `true` or `false`; also `--x` and `--no-x`.
    Switch,
    /// A whole number between two bounds.
    Count(u64, u64),
    /// A decimal number.
    Decimal,
    /// A duration; below `minimum` Mesos would refuse it, here it is a warning.
    Duration { minimum: Option<&'static str> },
    /// A size in bytes.
    Bytes,
    /// An IP address.
    Ip,
    /// One of a few words.
    Choice(&'static [&'static str]),
}

/// What this version does with a flag.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Support {
    /// It does what its help says.
    Built,
    /// The daemon refuses to start with anything but the default, and says why.
    Refused(&'static str),
    /// The daemon starts, and warns that a value other than the default changes nothing, and why.
    Inert(&'static str),
}

/// One flag of a daemon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlagSpec {
    /// The name in Mesos's spelling, with underscores.
    pub(crate) name: &'static str,
    /// Older names of the same flag.
    pub(crate) aliases: &'static [&'static str],
    pub(crate) kind: Kind,
    /// The text of the default, canonical for its kind.
    pub(crate) default: Option<&'static str>,
    pub(crate) support: Support,
    pub(crate) help: &'static str,
}

impl FlagSpec {
    /// A flag that works.
    pub(crate) const fn built(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            kind,
            default: None,
            support: Support::Built,
            help,
        }
    }

    /// A flag of Mesos whose work is not built: any value but the default stops the daemon.
    pub(crate) const fn refused(name: &'static str, kind: Kind, why: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            kind,
            default: None,
            support: Support::Refused(why),
            help: "",
        }
    }

    /// A flag of Mesos that tunes something which does not exist here.
    pub(crate) const fn inert(name: &'static str, kind: Kind, why: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            kind,
            default: None,
            support: Support::Inert(why),
            help: "",
        }
    }

    /// The same flag with a default.
    pub(crate) const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }

    /// The same flag with older names.
    pub(crate) const fn aliases(mut self, names: &'static [&'static str]) -> Self {
        self.aliases = names;
        self
    }

    /// The name as the command line shows it, without the leading dashes.
    pub(crate) fn dashed(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// A whole number that fits a port.
pub(crate) const PORT: Kind = Kind::Count(0, 65_535);
/// A whole number with a bound that no sane value meets.
pub(crate) const COUNT: Kind = Kind::Count(0, 1_000_000_000);
/// A whole number that is at least one.
pub(crate) const POSITIVE: Kind = Kind::Count(1, 1_000_000_000);
/// A duration without a minimum.
pub(crate) const DURATION: Kind = Kind::Duration { minimum: None };
