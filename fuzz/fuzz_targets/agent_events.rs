//! libFuzzer's way into the target `agent_events`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("agent_events").run(data));
