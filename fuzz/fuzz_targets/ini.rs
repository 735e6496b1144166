//! See `fuzz/src/ini.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::ini::run(data));
