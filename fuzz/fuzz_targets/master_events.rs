//! libFuzzer's way into the target `master_events`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("master_events").run(data));
