//! libFuzzer's way into the target `objects`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("objects").run(data));
