//! See `fuzz/src/phpws.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::phpws::run(data));
