//! See `fuzz/src/answer.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::answer::run(data));
