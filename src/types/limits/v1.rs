//! Limits of `tagcast.v1`.

/// Maximum bytes of `hello`.
pub const V1_HELLO_BYTES_MAX: usize = 16 * 1024;
/// Maximum bytes of the name of an event.
pub const V1_EVENT_BYTES_MAX: usize = 64;
/// Maximum levels of lists and objects in data.
pub const V1_DATA_NESTING_MAX: usize = 127;
/// Maximum items of `except`.
pub const V1_EXCEPT_MAX: usize = 16;
