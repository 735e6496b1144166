//! Limits of operators: their sessions, and attempts to log in.

use std::time::Duration;

/// Operators of one file: far more people than run one server.
pub const OPERATORS_MAX: usize = 1000;
/// Maximum bytes of the name of an operator.
pub const OPERATOR_NAME_BYTES_MAX: usize = 64;
/// How long a session lasts: a working day.
pub const OPERATOR_SESSION_TIME: Duration = Duration::from_secs(43_200);
/// How long a session lasts without a request.
pub const OPERATOR_SESSION_IDLE: Duration = Duration::from_secs(3600);
/// Sessions of one operator. One more ends the session that has been unused for the longest time.
pub const OPERATOR_SESSIONS_MAX: usize = 32;
/// Failed attempts to log in with one name from one address, in [`LOGIN_WINDOW`].
pub const LOGIN_TRIES_MAX: usize = 5;
/// The time in which failed attempts to log in are counted.
pub const LOGIN_WINDOW: Duration = Duration::from_secs(60);
/// Names and addresses whose attempts are remembered. Checks of passwords take too long for more in
/// [`LOGIN_WINDOW`]; if there are more nevertheless, new ones are refused.
pub const LOGIN_SOURCES_MAX: usize = 10_000;
/// Maximum bytes of a password.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Maximum memory in KiB that the check of a password may use. The hash says how much it needs.
pub const PASSWORD_MEMORY_MAX: u32 = 262_144;
/// Maximum passes over that memory.
pub const PASSWORD_PASSES_MAX: u32 = 16;
/// Last events of the server that the supervisor keeps. With the longest texts they take half a megabyte.
pub const SERVER_EVENTS_MAX: usize = 1_000;
/// Maximum bytes of the text of an event.
pub const SERVER_EVENT_BYTES_MAX: usize = 512;
/// Refusals for one reason, and uses of one limit, make one event in this time. A flood must not displace
/// all other events.
pub const COUNTED_EVENT_EVERY: Duration = Duration::from_secs(60);
/// How often the API process asks the supervisor for events, for each reader.
pub const EVENTS_EVERY: Duration = Duration::from_secs(1);
/// Readers of publications (`GET /v1/server/tail`) at the same time, and as many readers of events
/// (`GET /v1/server/events/stream`).
pub const TAIL_READERS_MAX: usize = 8;
/// Publications per second for one reader.
pub const TAIL_RATE_MAX: usize = 100;
/// Publications per second for a reader that names no rate.
pub const TAIL_RATE: usize = 20;
/// Bytes of a payload that a reader gets.
pub const TAIL_PAYLOAD_MAX: u32 = 4096;
/// Memory of the copies for one reader that the API process has not taken yet.
pub const TAIL_BYTES_MAX: usize = 1024 * 1024;
/// The broker removes a reader that has asked nothing for this time.
pub const TAIL_READER_SILENCE: Duration = Duration::from_secs(10);
/// An empty line is sent to a reader in this interval if nothing was published. The end of its connection is
/// noticed only when something is sent.
pub const TAIL_KEEPALIVE: Duration = Duration::from_secs(2);
