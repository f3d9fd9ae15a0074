//! libFuzzer's way into the target `foreign`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("foreign").run(data));
