//! libFuzzer's way into the target `warden_frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("warden_frames").run(data));
