//! libFuzzer's way into the target `image_layers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("image_layers").run(data));
