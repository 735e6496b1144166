//! See `fuzz/src/client_frames.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::client_frames::run(data));
