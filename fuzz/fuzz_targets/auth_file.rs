//! See `fuzz/src/auth_file.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::auth_file::run(data));
