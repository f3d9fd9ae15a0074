//! libFuzzer's way into the target `facades`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("facades").run(data));
