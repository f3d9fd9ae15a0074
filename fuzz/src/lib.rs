//! Fuzz targets: functions from bytes that must neither panic nor break the law that they check.
//!
//! They own no randomness: bytes come from a corpus, from [`mutate`], or from libFuzzer.

mod seeds;
mod targets;

pub mod mutate;

/// One thing that takes foreign bytes in.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As in `fuzz_targets` and `corpus`.
    pub name: &'static str,
    check: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
    form: Form,
}

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Bytes,
    /// A script, which says more when its steps stay whole.
    Steps,
}

impl Target {
    /// Takes the bytes in; panics where a law is broken.
    pub fn run(&self, data: &[u8]) {
        (self.check)(data);
    }

    /// How many times longer than a short input one takes, roughly.
    pub fn cost(&self) -> usize {
        match self.form {
            Form::Bytes => 1,
            Form::Steps => 3,
        }
    }

    /// Another input, made of these two.
    pub fn mutate(&self, chance: &mut mutate::Chance, input: &[u8], other: &[u8]) -> Vec<u8> {
        if self.form == Form::Steps && chance.below(4) > 0 {
            return mutate::mutate_steps(chance, input, other);
        }
        mutate::mutate(chance, input, other)
    }

    /// Well-formed input to begin with.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        (self.seeds)()
    }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "json",
        check: targets::codecs::json,
        seeds: seeds::json,
        form: Form::Bytes,
    },
    Target {
        name: "binary",
        check: targets::codecs::binary,
        seeds: seeds::binary,
        form: Form::Bytes,
    },
    Target {
        name: "recordio",
        check: targets::framing::recordio,
        seeds: seeds::recordio,
        form: Form::Bytes,
    },
    Target {
        name: "resources",
        check: targets::texts::resources,
        seeds: seeds::resources,
        form: Form::Bytes,
    },
    Target {
        name: "ids",
        check: targets::texts::ids,
        seeds: seeds::ids,
        form: Form::Bytes,
    },
    Target {
        name: "queries",
        check: targets::texts::queries,
        seeds: seeds::queries,
        form: Form::Bytes,
    },
    Target {
        name: "objects",
        check: targets::objects::objects,
        seeds: seeds::objects,
        form: Form::Bytes,
    },
    Target {
        name: "foreign",
        check: targets::objects::foreign,
        seeds: seeds::foreign,
        form: Form::Bytes,
    },
    Target {
        name: "facades",
        check: targets::facades::check,
        seeds: seeds::facades,
        form: Form::Bytes,
    },
    Target {
        name: "schedules",
        check: targets::objects::schedules,
        seeds: seeds::schedules,
        form: Form::Bytes,
    },
    Target {
        name: "agent_frames",
        check: targets::framing::agent_frames,
        seeds: seeds::agent_frames,
        form: Form::Bytes,
    },
    Target {
        name: "warden_frames",
        check: targets::framing::warden_frames,
        seeds: seeds::warden_frames,
        form: Form::Bytes,
    },
    Target {
        name: "image_documents",
        check: targets::images::documents,
        seeds: targets::images::document_seeds,
        form: Form::Bytes,
    },
    Target {
        name: "image_layers",
        check: targets::images::layers,
        seeds: targets::images::layer_seeds,
        form: Form::Bytes,
    },
    Target {
        name: "master_events",
        check: targets::master_events::check,
        seeds: targets::master_events::seeds,
        form: Form::Steps,
    },
    Target {
        name: "agent_events",
        check: targets::agent_events::check,
        seeds: targets::agent_events::seeds,
        form: Form::Steps,
    },
];

/// The target of this name.
pub fn target(name: &str) -> Target {
    *TARGETS
        .iter()
        .find(|target| target.name == name)
        .expect("only targets of the list have a program")
}
