//! See `fuzz/src/hixie.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::hixie::run(data));
