//! Log levels.

use std::fmt;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;

use crate::types::{WordChoice, word_choices};

word_choices! {
    /// The least severe level that is written to the log.
    #[serde(rename_all = "kebab-case")]
    LogLevel {
        /// Events that need an operator now.
        Error = "error",
        /// Events that need an operator today.
        Warn = "warn",
        /// Starts and ends of processes and connections.
        Info = "info",
        /// Events for debugging.
        Debug = "debug",
        /// All events.
        Trace = "trace",
    }
}

impl LogLevel {
    pub(super) const fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::from_word(text).filter(|level| level.word() == text);
        known.ok_or_else(|| format!("use {}", Self::words()))
    }
}
