//! See `fuzz/src/gomoob.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::gomoob::run(data));
