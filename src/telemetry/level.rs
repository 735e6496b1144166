//! Which lines are written.

use std::fmt;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;

use crate::types::{WordChoice, word_choices};

word_choices! {
    /// The least important lines that are written.
    #[serde(rename_all = "kebab-case")]
    LogLevel {
        /// What an operator must do something about now.
        Error = "error",
        /// What an operator must do something about today.
        Warn = "warn",
        /// Processes and connections that start or end.
        Info = "info",
        /// What helps developers.
        Debug = "debug",
        /// Everything.
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
