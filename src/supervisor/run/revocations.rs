//! Revocations of connection tokens. One is written to the disk, then sent to all workers, and answered when
//! all of them have confirmed it.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use super::children::RunningChildren;
use super::now;
use crate::admin::AdminResponse;
use crate::config::Config;
use crate::link::control::WorkerCommand;
use crate::supervisor::StartError;
use crate::supervisor::child::ProcessEvent;
use crate::supervisor::control_socket::AdminConnection;
use crate::supervisor::lifecycle::ChildId;
use crate::supervisor::revocation_file::RevocationFile;
use crate::telemetry::unix_seconds;
use crate::types::limits::{REVOCATIONS_MAX, REVOCATIONS_SENT_MAX, TOKEN_LEEWAY};
use crate::types::{RevocationList, RevokedTokens, TokenRevocation};

/// Maximum wait for the workers. A worker that hangs is replaced, and its successor gets the list.
const CONFIRM_WAIT: Duration = Duration::from_secs(5);
/// Expired revocations that are removed in a turn.
const FORGOTTEN_MAX: usize = 64;

/// The revoked tokens, and requests that are not answered yet.
#[derive(Debug)]
pub(super) struct Revocations {
    file: RevocationFile,
    list: RevocationList,
    /// Requests for the next write.
    queued: Vec<RequestedRevocation>,
    /// Requests that are being written.
    writing: Vec<RequestedRevocation>,
    /// Requests that wait for workers.
    confirming: Vec<UnconfirmedRevocation>,
    /// Number of the last command to the workers.
    number: u32,
}

/// A request to revoke tokens.
#[derive(Debug)]
pub(super) struct WantedRevocation {
    pub(super) application: Box<str>,
    pub(super) tokens: RevokedTokens,
    /// How long a token of the application may be valid. `None`: it accepts none.
    pub(super) max_age: Option<Duration>,
    pub(super) requester: AdminConnection,
}

#[derive(Debug)]
struct RequestedRevocation {
    revocation: TokenRevocation,
    requester: AdminConnection,
}

#[derive(Debug)]
struct UnconfirmedRevocation {
    number: u32,
    requesters: Vec<AdminConnection>,
    waits: BTreeSet<ChildId>,
    until: Instant,
}

/// The end of a write.
#[derive(Debug)]
pub(in crate::supervisor) struct WrittenRevocations {
    /// How many revocations the file has.
    lines: usize,
    result: io::Result<()>,
}

impl Revocations {
    pub(super) fn open(folder: &std::path::Path) -> Result<Self, StartError> {
        let opened = RevocationFile::open(folder, unix_seconds());
        let wrong = |error| StartError::StateFolder { path: folder.to_owned(), error };
        let (file, list) = opened.map_err(wrong)?;
        let (queued, writing, confirming) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { file, list, queued, writing, confirming, number: 0 })
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.confirming.iter().map(|one| one.until).min()
    }

    /// Records that a worker refuses all tokens of this command and of those before it.
    pub(super) fn confirmed(&mut self, child: ChildId, of: u32) {
        for one in self.confirming.iter_mut().filter(|one| one.number <= of) {
            one.waits.remove(&child);
        }
    }

    /// Removes a dead worker from those that must confirm. Its successor starts with the list.
    pub(super) fn confirms_no_more(&mut self, child: ChildId) {
        self.confirming.iter_mut().for_each(|one| _ = one.waits.remove(&child));
    }

    fn is_full_for(&self, revocation: &TokenRevocation) -> bool {
        let known = self.list.len() + self.queued.len() + self.writing.len();
        known >= REVOCATIONS_MAX && !self.list.has_place_of(revocation)
    }

    /// Returns the commands with all revocations, for a worker that starts.
    pub(super) fn commands(&self) -> Vec<WorkerCommand> {
        let all: Vec<_> = self.list.iter().collect();
        let parts = all.chunks(REVOCATIONS_SENT_MAX).map(<[_]>::to_vec);
        parts.map(|entries| WorkerCommand::Revoke { number: self.number, entries }).collect()
    }

    /// Revokes tokens of an application.
    pub(super) fn request(&mut self, wanted: WantedRevocation, children: &RunningChildren) {
        let WantedRevocation { application, tokens, max_age, requester } = wanted;
        let Some(max_age) = max_age else {
            let text =
                format!("the application {application} does not exist, or accepts no tokens");
            return requester.answer(AdminResponse::Failed(vec![text]));
        };
        // No token is valid for longer.
        let until = unix_seconds() + max_age.as_secs() + TOKEN_LEEWAY.as_secs();
        let revocation = TokenRevocation { application, tokens, until };
        if self.is_full_for(&revocation) {
            let limit = u64::try_from(REVOCATIONS_MAX).unwrap_or(u64::MAX);
            return requester.answer(AdminResponse::Full { limit });
        }
        self.queued.push(RequestedRevocation { revocation, requester });
        self.write(children);
    }

    /// Writes what is queued, unless a write is under way.
    fn write(&mut self, children: &RunningChildren) {
        if !self.writing.is_empty() || self.queued.is_empty() {
            return;
        }
        self.writing = std::mem::take(&mut self.queued);
        let new: Vec<_> = self.writing.iter().map(|one| one.revocation.clone()).collect();
        let (write, events) = (self.file.writing(&self.list, &new), children.events());
        tokio::task::spawn_blocking(move || {
            let written = WrittenRevocations { lines: write.lines_after(), result: write.run() };
            let _ended = events.blocking_send(ProcessEvent::RevocationsWritten(written));
        });
    }

    /// Sends written revocations to the workers.
    pub(super) fn on_written(&mut self, written: WrittenRevocations, children: &RunningChildren) {
        let requested = std::mem::take(&mut self.writing);
        match written.result {
            Ok(()) => {
                self.file.written(written.lines);
                self.send(requested, children);
            }
            Err(error) => {
                tracing::error!(
                    event = "revocations_not_written",
                    %error,
                    "failed to write revoked tokens"
                );
                let text = format!("cannot write state/revoked: {error}");
                let failed = AdminResponse::Failed(vec![text]);
                requested.iter().for_each(|one| one.requester.answer(failed.clone()));
            }
        }
        self.write(children);
    }

    fn send(&mut self, requested: Vec<RequestedRevocation>, children: &RunningChildren) {
        self.number = self.number.wrapping_add(1);
        let number = self.number;
        let (mut entries, mut requesters) = (Vec::new(), Vec::new());
        for RequestedRevocation { revocation, requester } in requested {
            self.list.add(&revocation);
            entries.push(revocation);
            requesters.push(requester);
        }
        tracing::info!(event = "tokens_revoked", count = entries.len(), "tokens revoked");
        let is_worker = |child: &ChildId| matches!(child, ChildId::Worker(_));
        let waits: BTreeSet<ChildId> = children.members().filter(is_worker).collect();
        for worker in &waits {
            children.send(*worker, WorkerCommand::Revoke { number, entries: entries.clone() });
        }
        let until = now() + CONFIRM_WAIT;
        self.confirming.push(UnconfirmedRevocation { number, requesters, waits, until });
    }

    /// Answers requests that all workers have confirmed, or that took too long.
    pub(super) fn check(&mut self) {
        self.list.forget_expired(unix_seconds(), FORGOTTEN_MAX);
        if self.confirming.is_empty() {
            return;
        }
        let now = now();
        let is_over = |one: &mut UnconfirmedRevocation| one.waits.is_empty() || one.until <= now;
        for one in self.confirming.extract_if(.., is_over) {
            let late = |child: &ChildId| format!("{child} has not confirmed it yet; it is stored");
            let late: Vec<String> = one.waits.iter().map(late).collect();
            let answer = match late.is_empty() {
                true => AdminResponse::Done(vec!["no worker accepts these tokens".to_owned()]),
                false => AdminResponse::Unconfirmed(late),
            };
            one.requesters.iter().for_each(|requester| requester.answer(answer.clone()));
        }
    }
}

/// Returns how long a token of an application may be valid. `None`: it accepts none.
pub(super) fn token_age(config: &Config, application: &str) -> Option<Duration> {
    let all = &config.applications.as_ref()?.list;
    Some(all.iter().find(|one| one.key == application)?.tokens.as_ref()?.max_age)
}
