//! See `fuzz/src/api_body.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::api_body::run(data));
