//! libFuzzer's way into the target `recordio`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("recordio").run(data));
