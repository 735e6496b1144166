//! Limits of `tagcast.v1`.

use std::time::Duration;

/// Maximum bytes of `hello`.
pub const V1_HELLO_BYTES_MAX: usize = 16 * 1024;
/// Maximum bytes of the name of an event.
pub const V1_EVENT_BYTES_MAX: usize = 64;
/// Maximum levels of lists and objects in data.
pub const V1_DATA_NESTING_MAX: usize = 127;
/// Maximum items of `except`.
pub const V1_EXCEPT_MAX: usize = 16;
/// How long a resume token is valid. A client that is away for so long has ended in any case; the token then gives it
/// its UUID back.
pub const RESUME_TOKEN_AGE: Duration = Duration::from_secs(86_400);
/// Maximum characters of a resume token. A longer one is not read.
pub const RESUME_TOKEN_BYTES_MAX: usize = 200;
/// How long a client may be away by default.
pub const RESUME_FOR: Duration = Duration::from_secs(60);
/// The longest time that a client may be away.
pub const RESUME_FOR_MAX: Duration = Duration::from_secs(600);
/// Publications that are kept for a client that is away, by default.
pub const MAILBOX: u16 = 100;
/// The most that an application may set.
pub const MAILBOX_MAX: u16 = 1000;
/// Maximum bytes of the publications in a mailbox.
pub const MAILBOX_BYTES_MAX: usize = 256 * 1024;
/// Numbers of requests below the latest one of an instance that are recognised when they are repeated.
pub const REQUEST_IDS_BELOW: u64 = 255;
/// Memory for all clients that are away, by default.
pub const AWAY_MEMORY: usize = 64 * 1024 * 1024;
/// Time for a client to send anything, once another connection shows its token.
pub const PROBE_WAIT: Duration = Duration::from_secs(2);
