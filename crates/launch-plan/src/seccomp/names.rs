//! System calls by name, of each architecture that a profile can be about.
//!
//! Owns the tables' use only: they come from a crate that is generated from the kernel's sources.

/// An architecture for which programs are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86, whose programs run on the 64-bit kernel too.
    X86,
    /// 64-bit ARM.
    Aarch64,
}

impl Architecture {
    const ALL: [Self; 3] = [Self::X86_64, Self::X86, Self::Aarch64];

    /// What the kernel calls it in `seccomp_data.arch`.
    pub(crate) const fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// Its name in `architectures` and `archMap`.
    pub(crate) const fn profile_name(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::X86 => "SCMP_ARCH_X86",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
        }
    }

    /// Its name in `includes.arches` and `excludes.arches`.
    pub(crate) const fn restriction_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::X86 => "x86",
            Self::Aarch64 => "arm64",
        }
    }

    /// The number of a system call.
    pub(crate) fn number(self, name: &str) -> Option<u32> {
        let id = match self {
            Self::X86_64 => name.parse::<syscalls::x86_64::Sysno>().ok()?.id(),
            Self::X86 => name.parse::<syscalls::x86::Sysno>().ok()?.id(),
            Self::Aarch64 => name.parse::<syscalls::aarch64::Sysno>().ok()?.id(),
        };
        u32::try_from(id).ok()
    }

    /// The name of a system call.
    pub(crate) fn name(self, number: u32) -> Option<&'static str> {
        let id = number as usize;
        Some(match self {
            Self::X86_64 => syscalls::x86_64::Sysno::new(id)?.name(),
            Self::X86 => syscalls::x86::Sysno::new(id)?.name(),
            Self::Aarch64 => syscalls::aarch64::Sysno::new(id)?.name(),
        })
    }

    /// Every number that is a system call.
    pub(crate) fn numbers(self) -> impl Iterator<Item = u32> {
        /// Above the last number that Linux has given on any of these.
        const END: u32 = 1024;
        (0..END).filter(move |number| {
            let id = *number as usize;
            match self {
                Self::X86_64 => syscalls::x86_64::Sysno::new(id).is_some(),
                Self::X86 => syscalls::x86::Sysno::new(id).is_some(),
                Self::Aarch64 => syscalls::aarch64::Sysno::new(id).is_some(),
            }
        })
    }
}

/// Whether any architecture has a system call of this name.
pub(crate) fn is_known(name: &str) -> bool {
    Architecture::ALL
        .into_iter()
        .any(|architecture| architecture.number(name).is_some())
}

/// The architecture of this name in `architectures` and `archMap`, if programs can be made for it.
pub(crate) fn of_profile_name(name: &str) -> Option<Architecture> {
    Architecture::ALL
        .into_iter()
        .find(|architecture| architecture.profile_name() == name)
}
