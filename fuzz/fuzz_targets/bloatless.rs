//! See `fuzz/src/bloatless.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::bloatless::run(data));
