//! libFuzzer's way into the target `agent_frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("agent_frames").run(data));
