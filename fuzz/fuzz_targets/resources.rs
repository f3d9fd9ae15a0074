//! libFuzzer's way into the target `resources`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("resources").run(data));
