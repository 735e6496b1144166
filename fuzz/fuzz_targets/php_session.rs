//! See `fuzz/src/php_session.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::php_session::run(data));
