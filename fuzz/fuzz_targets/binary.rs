//! libFuzzer's way into the target `binary`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("binary").run(data));
