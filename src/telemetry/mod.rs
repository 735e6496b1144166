//! The log. Logging never blocks a caller.

mod file_limit;
mod level;
mod line;
mod log;
mod log_throttle;
mod rotation;
mod sink;
mod utc;

pub use file_limit::survive_file_limit;
pub use level::LogLevel;
pub use line::{LINE_BYTES_MAX, LogFormat};
pub use log::{LogOutput, OfferResult, Pipe, flush, lines_lost, log_panics, log_to, set_level};
pub use log_throttle::LogThrottle;
pub use rotation::LogFile;
pub use sink::{LINES_WAITING_MAX, Sink, SinkSettings};
pub use utc::{today, unix_millis, unix_seconds, unix_time};
