//! See `fuzz/src/schema.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::schema::run(data));
