//! The log. It is opened at the start. Its level is the configured one, or temporarily one that an
//! operator has requested.

use std::time::{Duration, Instant};

use super::children::RunningChildren;
use super::now;
use crate::admin::AdminResponse;
use crate::config::LogSettings;
use crate::link::control::CommonCommand;
use crate::supervisor::StartError;
use crate::supervisor::bootstrap::log_file;
use crate::telemetry::{LogLevel, Sink, SinkSettings, log_panics, log_to, set_level};

pub(super) fn open_log(log: &LogSettings) -> Result<Sink, StartError> {
    let settings = SinkSettings { file: log_file(log), has_console: log.console };
    let sink = Sink::open(&settings).map_err(StartError::Log)?;
    log_to(sink.clone(), "supervisor", log.format, log.level).map_err(StartError::Log)?;
    log_panics();
    Ok(sink)
}

/// The log level of all processes.
#[derive(Debug)]
pub(super) struct ActiveLogLevel {
    configured: LogLevel,
    change: Option<LevelChange>,
}

/// A temporary log level.
#[derive(Clone, Copy, Debug)]
struct LevelChange {
    level: LogLevel,
    until: Instant,
}

impl ActiveLogLevel {
    pub(super) fn new(configured: LogLevel) -> Self {
        Self { configured, change: None }
    }

    /// Returns the current level.
    pub(super) fn level(&self) -> LogLevel {
        self.change.map_or(self.configured, |change| change.level)
    }

    /// Returns the time at which the configured level is restored.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.change.map(|change| change.until)
    }

    /// Changes the log level of all processes temporarily.
    pub(super) fn change_for(
        &mut self,
        level: LogLevel,
        seconds: u64,
        children: &RunningChildren,
    ) -> AdminResponse {
        self.change = Some(LevelChange { level, until: now() + Duration::from_secs(seconds) });
        self.send(children);
        tracing::info!(
            event = "log_level_changed",
            log_level = %level,
            seconds,
            "log level changed for a limited time"
        );
        AdminResponse::Done(vec![format!(
            "log level `{level}` for {seconds} s, then `{}`",
            self.configured
        )])
    }

    /// Restores the configured level when the time is over.
    pub(super) fn restore(&mut self, children: &RunningChildren) {
        if self.change.take_if(|change| change.until <= now()).is_some() {
            self.send(children);
            tracing::info!(
                event = "log_level_restored",
                log_level = %self.level(),
                "configured log level restored"
            );
        }
    }

    /// Sets the configured level after a reload.
    pub(super) fn configure(&mut self, configured: LogLevel, children: &RunningChildren) {
        self.configured = configured;
        self.send(children);
    }

    /// Sends the current level to all processes.
    fn send(&self, children: &RunningChildren) {
        let level = self.level();
        set_level(level);
        children
            .members()
            .for_each(|child| children.send(child, CommonCommand::LogLevel { level }));
    }
}
