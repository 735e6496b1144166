//! See `fuzz/src/resume_token.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::resume_token::run(data));
