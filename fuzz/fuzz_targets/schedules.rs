//! libFuzzer's way into the target `schedules`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("schedules").run(data));
