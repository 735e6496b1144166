//! See `fuzz/src/head.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::head::run(data));
