//! See `fuzz/src/expression.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::expression::run(data));
