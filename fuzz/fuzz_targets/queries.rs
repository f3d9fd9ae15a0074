//! libFuzzer's way into the target `queries`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("queries").run(data));
