//! What the server says about itself: log lines, on a way that nobody ever waits for.

mod file_limit;
mod level;
mod line;
mod log;
mod rotation;
mod sink;
mod utc;

pub use file_limit::survive_file_limit;
pub use level::LogLevel;
pub use line::{LINE_BYTES_MAX, LogFormat};
pub use log::{LogOutput, OfferResult, Pipe, let_go, log_panics, log_to, set_level};
pub use rotation::LogFile;
pub use sink::{Console, LINES_WAITING_MAX, Sink, SinkSettings};
pub use utc::today;
