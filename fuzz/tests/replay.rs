//! Every target takes its corpus and a bounded number of mutations of it.
//!
//! `MEZZ_FUZZ_SECONDS=60 cargo test -p mezz-fuzz` looks for longer; `MEZZ_FUZZ_SEED` begins elsewhere. An input that
//! breaks a target is written to `fuzz/corpus/TARGET`, where it stays as a test once the fault is mended.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use mezz_fuzz::mutate::Chance;
use mezz_fuzz::{Target, target};

/// Rounds for a target that takes no steps; one that does gets a part of them.
const ROUNDS: usize = 3_000;

fn folder(target: Target) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name)
}

fn kept(target: Target) -> Vec<Vec<u8>> {
    let Ok(files) = std::fs::read_dir(folder(target)) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn run(target: Target, input: &[u8]) {
    let outcome = std::panic::catch_unwind(|| target.run(input));
    if outcome.is_err() {
        let name = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(input));
        std::fs::create_dir_all(folder(target)).unwrap();
        let file = folder(target).join(name);
        std::fs::write(&file, input).unwrap();
        panic!("{} breaks on {}", target.name, file.display());
    }
}

fn fuzz(name: &str) {
    let target = target(name);
    let mut inputs = target.seeds();
    inputs.extend(kept(target));
    for input in &inputs {
        run(target, input);
    }
    let mut chance = Chance(number("MEZZ_FUZZ_SEED").unwrap_or(1));
    let rounds = ROUNDS / target.cost();
    let limit = number("MEZZ_FUZZ_SECONDS").map(Duration::from_secs);
    let begun = Instant::now();
    let mut round = 0;
    while limit.map_or(round < rounds, |limit| begun.elapsed() < limit) {
        let [one, other] = [(); 2].map(|()| &inputs[chance.below(inputs.len())]);
        let input = target.mutate(&mut chance, one, other);
        run(target, &input);
        round += 1;
    }
}

macro_rules! targets {
    ($($test:ident = $name:literal),* $(,)?) => { $(
        #[test]
        fn $test() {
            fuzz($name);
        }
    )* };
}

targets! {
    json_is_refused_or_reads_as_it_is_written = "json",
    binary_messages_are_refused_or_survive_a_round = "binary",
    records_do_not_depend_on_how_they_are_cut = "recordio",
    resource_texts_are_refused_or_valid_on_the_wire = "resources",
    roles_are_refused_or_well_formed = "ids",
    query_strings_are_taken_apart = "queries",
    objects_are_refused_or_read_as_they_are_written = "objects",
    files_of_other_systems_are_converted_or_refused = "foreign",
    bodies_for_other_systems_apis_are_taken_or_refused = "facades",
    schedules_go_forward = "schedules",
    frames_of_agents_end_a_session_at_worst = "agent_frames",
    frames_for_the_warden_survive_a_round = "warden_frames",
    documents_of_images_are_refused_or_within_their_caps = "image_documents",
    layers_of_images_stay_in_their_folder = "image_layers",
    no_events_break_the_master = "master_events",
    no_events_break_the_agent = "agent_events",
}
