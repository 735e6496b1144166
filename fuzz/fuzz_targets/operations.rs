//! See `fuzz/src/operations.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::operations::run(data));
