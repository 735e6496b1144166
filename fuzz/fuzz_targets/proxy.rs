//! See `fuzz/src/proxy.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::proxy::run(data));
