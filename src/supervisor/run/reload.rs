//! Reloads the configuration of a running server. A reload applies completely or not at all. Of
//! several requests the last one wins.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;

use super::{Supervisor, now};
use crate::admin::{AdminResponse, ServerEventKind};
use crate::config;
use crate::config::{ConfigChange, ConfigSources, Diagnostics, Loaded, Reload};
use crate::link::control::ControlMessage;
use crate::supervisor::child::ProcessEvent;
use crate::supervisor::control_socket::AdminConnection;
use crate::supervisor::lifecycle::ChildId;
use crate::supervisor::notify;
use crate::telemetry::unix_seconds;
use crate::types::{ConfigNumber, ReloadResult};

/// Maximum wait for the processes to acknowledge a configuration. A hung process is restarted
/// anyway, and its successor gets the new configuration.
const CONFIRM_WAIT: Duration = Duration::from_secs(5);
/// A file that was modified less than this time ago may be incomplete.
const SETTLED: Duration = Duration::from_millis(50);
/// Maximum attempts to read files that keep changing.
const LOOKS_MAX: usize = 40;

/// The state of a reload.
#[derive(Debug, Default)]
pub(super) struct PendingReload {
    stage: ReloadStage,
    /// Requests that arrived during the reload. Another reload follows for them.
    next: Option<Vec<AdminConnection>>,
    /// Result of the last reload, for the status.
    last: Option<String>,
    /// The same for the metrics.
    result: Option<ReloadResult>,
    /// Changes that need a restart, for the status.
    waits_for_restart: Vec<String>,
}

#[derive(Debug, Default)]
enum ReloadStage {
    #[default]
    Idle,
    /// The files are being read.
    Reading { requesters: Vec<AdminConnection> },
    /// The processes have been sent the configuration.
    Confirming {
        requesters: Vec<AdminConnection>,
        number: ConfigNumber,
        waits: BTreeSet<ChildId>,
        lines: Vec<String>,
        until: Instant,
    },
}

impl PendingReload {
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        match &self.stage {
            ReloadStage::Confirming { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// Returns the result of the last reload.
    pub(super) fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// Returns whether the last reload was applied, and when one was. None before the first.
    pub(super) fn result(&self) -> Option<ReloadResult> {
        self.result
    }

    /// Notes a reload that was applied.
    fn note_applied(&mut self, last: String) {
        self.result = Some(ReloadResult { is_applied: true, applied_at: Some(unix_seconds()) });
        self.last = Some(last);
    }

    /// Notes a reload that failed.
    fn note_failed(&mut self, last: String) {
        let applied_at = self.result.and_then(|result| result.applied_at);
        self.result = Some(ReloadResult { is_applied: false, applied_at });
        self.last = Some(last);
    }

    /// Returns the changes that need a restart.
    pub(super) fn waits_for_restart(&self) -> &[String] {
        &self.waits_for_restart
    }

    /// Records that a process has applied a configuration.
    pub(super) fn confirmed(&mut self, child: ChildId, of: ConfigNumber) {
        if let ReloadStage::Confirming { number, waits, .. } = &mut self.stage
            && *number == of
        {
            waits.remove(&child);
        }
    }

    /// Removes a dead process from those that must acknowledge. Its successor starts with the new
    /// configuration.
    pub(super) fn confirms_no_more(&mut self, child: ChildId) {
        if let ReloadStage::Confirming { waits, .. } = &mut self.stage {
            waits.remove(&child);
        }
    }
}

impl Supervisor {
    /// Requests a reload: by an admin command, or without a connection by SIGHUP.
    pub(super) fn request_reload(&mut self, requester: Option<AdminConnection>) {
        if self.processes.is_ending() {
            return requester.into_iter().for_each(|requester| requester.answer(is_ending()));
        }
        match &self.reloading.stage {
            ReloadStage::Idle => self.begin_reload(requester.into_iter().collect()),
            _ => self.reloading.next.get_or_insert_default().extend(requester),
        }
    }

    fn begin_reload(&mut self, requesters: Vec<AdminConnection>) {
        tracing::info!(event = "reload_started", "reloading the configuration");
        notify::reloading();
        self.reloading.stage = ReloadStage::Reading { requesters };
        let (source, events) = (self.source.clone(), self.children.events());
        tokio::task::spawn_blocking(move || read(&source, &events));
    }

    /// Handles the result of reading the files.
    pub(super) fn reread(&mut self, read: Result<Loaded, Diagnostics>) {
        let ReloadStage::Reading { requesters } = std::mem::take(&mut self.reloading.stage) else {
            return;
        };
        match read.and_then(|fresh| self.loaded.reload(fresh)) {
            Ok(reload) => self.apply(requesters, reload),
            Err(findings) => {
                let lines: Vec<String> = findings.0.iter().map(ToString::to_string).collect();
                for line in &lines {
                    tracing::error!(
                        event = "config_error",
                        finding = line,
                        "error in the new configuration"
                    );
                }
                tracing::error!(
                    event = "reload_failed",
                    findings = lines.len(),
                    "reload failed, keeping the previous configuration"
                );
                self.reloading.note_failed(format!("failed, {} errors", lines.len()));
                let text = format!("reload failed: {} errors", lines.len());
                self.events.note(ServerEventKind::Reload, text);
                self.finish_reload(&requesters, &AdminResponse::Failed(lines));
            }
        }
    }

    fn apply(&mut self, requesters: Vec<AdminConnection>, reload: Reload) {
        let Reload { loaded, changes } = reload;
        let mut lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
        for line in &lines {
            tracing::info!(event = "config_change", change = line, "change of the configuration");
        }
        let of_restart = |change: &&ConfigChange| change.needs_restart;
        self.reloading.waits_for_restart =
            changes.iter().filter(of_restart).map(|change| change.what.clone()).collect();
        lines.extend(loaded.warnings.iter().map(|warning| format!("warning: {warning}")));
        if changes.iter().all(|change| change.needs_restart) {
            lines.insert(0, "nothing has changed".to_owned());
            self.reloading.note_applied("nothing has changed".to_owned());
            return self.finish_reload(&requesters, &AdminResponse::Done(lines));
        }
        let number = self.prepared.reconfigure(loaded.config.clone());
        self.loaded = loaded;
        let config = &self.prepared.config;
        self.processes.set_drain_time(config.limits.drain_time);
        self.log_level.configure(config.log.level, &self.children);
        self.memory.watch(config.limits.max_memory, &self.children);
        for child in self.children.members() {
            let json = self.prepared.json_for(child);
            self.children.send_message(child, ControlMessage::configure(number, json));
        }
        let waits = self.children.members().collect();
        let until = now() + CONFIRM_WAIT;
        self.reloading.stage = ReloadStage::Confirming { requesters, number, waits, lines, until };
    }

    /// Finishes a reload that all processes have acknowledged, or that took too long.
    pub(super) fn check_reload(&mut self) {
        let ReloadStage::Confirming { waits, until, .. } = &self.reloading.stage else { return };
        if !waits.is_empty() && *until > now() {
            return;
        }
        let stage = std::mem::take(&mut self.reloading.stage);
        let ReloadStage::Confirming { requesters, number, waits, mut lines, .. } = stage else {
            return;
        };
        for child in waits {
            tracing::error!(
                event = "reload_unacknowledged",
                role = %child,
                "child did not acknowledge the new configuration"
            );
            lines.push(format!("warning: {child} has not acknowledged it yet"));
        }
        tracing::info!(event = "reload_done", number = number.0, "configuration reloaded");
        self.reloading.note_applied(format!("configuration {number}"));
        let text = format!("configuration {} is active", number.0);
        self.events.note(ServerEventKind::Reload, text);
        lines.insert(0, format!("configuration {number} is active"));
        self.finish_reload(&requesters, &AdminResponse::Done(lines));
    }

    fn finish_reload(&mut self, requesters: &[AdminConnection], answer: &AdminResponse) {
        requesters.iter().for_each(|requester| requester.answer(answer.clone()));
        let next = self.reloading.next.take();
        if self.processes.is_ending() {
            // A shutdown has started since the last notification, so the server must not report
            // that it is ready.
            next.into_iter().flatten().for_each(|requester| requester.answer(is_ending()));
            return;
        }
        notify::ready();
        if let Some(requesters) = next {
            self.begin_reload(requesters);
        }
    }
}

fn is_ending() -> AdminResponse {
    AdminResponse::Failed(vec!["the server is shutting down".to_owned()])
}

/// Reads the files once no process is writing them.
fn read(source: &ConfigSources, events: &mpsc::Sender<ProcessEvent>) {
    let mut looks = 0;
    let read = loop {
        let files = config::files(source);
        let before = stamps(&files);
        let read = config::load(source);
        looks += 1;
        if looks == LOOKS_MAX || (is_settled(&before) && stamps(&files) == before) {
            break read;
        }
        pause();
    };
    let _ended = events.blocking_send(ProcessEvent::Reread(Box::new(read)));
}

/// Returns the modification time and size of each file.
fn stamps(files: &[PathBuf]) -> Vec<Option<(SystemTime, u64)>> {
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(stamp).collect()
}

fn is_settled(stamps: &[Option<(SystemTime, u64)>]) -> bool {
    let settled = |(written, _): &(SystemTime, u64)| {
        // A modification time in the future is not recent.
        written.elapsed().map_or(true, |ago| ago >= SETTLED)
    };
    stamps.iter().flatten().all(settled)
}

#[expect(clippy::disallowed_methods, reason = "on a thread of its own, for a file to be written")]
fn pause() {
    std::thread::sleep(SETTLED);
}
