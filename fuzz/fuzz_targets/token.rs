//! See `fuzz/src/token.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::token::run(data));
