//! libFuzzer's way into the target `ids`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("ids").run(data));
