//! libFuzzer's way into the target `json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("json").run(data));
