//! The log: opened at the start. Its level is that of the configuration, or for a time that of an
//! operator.

use std::time::{Duration, Instant};

use super::{Supervisor, now};
use crate::admin::AdminResponse;
use crate::config::LogSettings;
use crate::link::control::CommonCommand;
use crate::supervisor::StartError;
use crate::supervisor::bootstrap::log_file;
use crate::supervisor::control_socket::AdminConnection;
use crate::telemetry::{Console, LogLevel, Sink, SinkSettings, log_panics, log_to, set_level};

pub(super) fn open_log(log: &LogSettings) -> Result<Sink, StartError> {
    let console = if log.console { Console::On } else { Console::Off };
    let settings = SinkSettings { file: log_file(log), console };
    let sink = Sink::open(&settings).map_err(StartError::Log)?;
    log_to(sink.clone(), "supervisor", log.format, log.level).map_err(StartError::Log)?;
    log_panics();
    Ok(sink)
}

/// A level that an operator asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct LevelChange {
    level: LogLevel,
    until: Instant,
}

impl Supervisor {
    /// Logs another level for a while, in all processes.
    pub(super) fn set_level_for(
        &mut self,
        (level, seconds): (LogLevel, u64),
        asker: &AdminConnection,
    ) {
        self.asked_level = Some(LevelChange { level, until: now() + Duration::from_secs(seconds) });
        self.send_level();
        let configured = self.prepared.config.log.level;
        tracing::info!(
            event = "log_level_changed",
            log_level = %level,
            seconds,
            "log level changed for a limited time"
        );
        asker.answer(AdminResponse::Done(vec![format!(
            "log level `{level}` for {seconds} s, then `{configured}`"
        )]));
    }

    /// The level that holds now.
    pub(super) fn level(&self) -> LogLevel {
        let configured = self.prepared.config.log.level;
        self.asked_level.map_or(configured, |asked| asked.level)
    }

    /// When the configured level holds again.
    pub(super) fn level_wakes_at(&self) -> Option<Instant> {
        self.asked_level.map(|asked| asked.until)
    }

    /// Ends what an operator asked for, when its time is over.
    pub(super) fn restore_level(&mut self) {
        if self.asked_level.is_some_and(|asked| asked.until <= now()) {
            self.asked_level = None;
            self.send_level();
            tracing::info!(
                event = "log_level_restored",
                log_level = %self.level(),
                "configured log level restored"
            );
        }
    }

    /// Passes the level on that holds now.
    pub(super) fn send_level(&self) {
        let level = self.level();
        set_level(level);
        for member in self.children.keys() {
            self.send(*member, CommonCommand::LogLevel { level });
        }
    }
}
