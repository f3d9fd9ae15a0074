//! libFuzzer's way into the target `image_documents`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mezz_fuzz::target("image_documents").run(data));
