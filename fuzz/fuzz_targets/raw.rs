//! See `fuzz/src/raw.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::raw::run(data));
