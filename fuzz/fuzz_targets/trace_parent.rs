//! See `fuzz/src/trace_parent.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::trace_parent::run(data));
