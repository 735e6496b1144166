//! See `fuzz/src/envelope.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::envelope::run(data));
