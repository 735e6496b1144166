//! See `fuzz/src/v1_frames.rs`. V30.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tagcast_fuzz::v1_frames::run(data));
