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
