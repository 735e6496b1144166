//! See `fuzz/src/uuid.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::uuid::run(data));
